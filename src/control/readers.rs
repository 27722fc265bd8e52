//! `hushfs readers`, on the daemon's side: who has read which version, and may an old one be revoked?

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::protocol::{Reader, ReadersReport, Response, SecretReaders, VersionReaders};
use super::report::Reporter;
use crate::access::audit::text;
use crate::access::evidence::Seen;
use crate::cache::{Good, ValueKey, rfc3339};
use crate::fs::{Holder, Opener, Read, Use};
use crate::provider::VersionSelector;
use crate::tree::{Below, Document, Node, SecretNode};

/// What is known of one version, whoever the provider was asked as.
#[derive(Default)]
struct Version {
    reads: u64,
    last: Option<Read>,
    open: Vec<Holder>,
    /// Memory gives it as the current one.
    is_served: bool,
}

/// Open files of which it is not known which version they are of.
#[derive(Clone, Copy)]
struct Elsewhere {
    /// Below the path that was asked about, on their way to be open.
    opening: usize,
    /// Anywhere, since an earlier daemon.
    unknown: usize,
}

/// What is known of one secret.
#[derive(Default)]
struct Secret {
    versions: BTreeMap<String, Version>,
    /// The version that was fetched last, and when.
    current: Option<(String, SystemTime)>,
}

impl Reporter {
    /// Who has read what is at and below a path.
    pub fn readers(&self, names: &[String]) -> Response {
        let below = match self.below(names) {
            Ok(below) => self.operations.namespace().memory().meant(&below),
            Err(why) => return Response::NoSuch { why },
        };
        let readers = self.operations.readers();
        // In this order nobody is missed: what memory gives, who is on the way to have it, who has it.
        let values = self.operations.namespace().memory().values();
        let asked = |below: &Below| {
            let opening = self.operations.being_opened(below);
            (opening, self.operations.holders(below), readers.below(below))
        };
        let mut known = asked(&below);
        // A key of a secret that is not in memory any more.
        if let Some(of) = below.of_its_key()
            && known.0 == 0
            && known.1.is_empty()
            && known.2.is_empty()
        {
            known = asked(&of);
        }
        let (opening, holders, found) = known;
        let is_heard_of = opening > 0 || !holders.is_empty() || !found.is_empty();
        if !is_heard_of && !self.is_known(&below, &values) {
            let why = format!(
                "nothing that is called {:?} is known here: nobody has looked at it since the daemon was started; is the \
                 name right? Look at it, and ask again",
                names.join("/")
            );
            return Response::NoSuch { why };
        }
        let mut secrets = BTreeMap::<String, Secret>::new();
        for (at, uses) in found {
            let secret = secrets.entry(path_of(at)).or_default();
            uses.into_iter().for_each(|it| secret.add(it));
        }
        let mut unknown = self.operations.open_and_unknown();
        for holder in holders {
            let node = self.operations.inodes.node(holder.ino);
            let Some(at) = node.as_ref().and_then(|node| node.secret()) else {
                unknown += 1;
                continue;
            };
            let secret = secrets.entry(path_of(at.clone())).or_default();
            secret.versions.entry(holder.version.clone()).or_default().open.push(holder);
        }
        for (key, good) in values {
            if key.version == VersionSelector::Current
                && let Some(secret) = secrets.get_mut(&path_of(key.at))
            {
                secret.serves(&good.value.version, good.fetched_wall);
            }
        }
        let elsewhere = Elsewhere { opening, unknown };
        let secrets = secrets.into_iter().map(|(path, secret)| secret.report(path, elsewhere)).collect();
        Response::Readers(Box::new(ReadersReport {
            since: rfc3339(self.started),
            had_predecessor: self.had_predecessor,
            opening,
            unknown,
            dropped: readers.dropped(),
            secrets,
        }))
    }
}

impl Reporter {
    /// Is there anything, as far as the kernel or memory knows? A scope is there, or there would be no answer.
    pub(super) fn is_known(&self, below: &Below, values: &[(ValueKey, Good<Document>)]) -> bool {
        if matches!(below, Below::All | Below::Scope(_)) {
            return true;
        }
        let inodes = &self.operations.inodes;
        let in_memory = |below: &Below| values.iter().any(|(key, _)| below.covers(&key.at));
        let seen = |node: &Node| node.secret().is_some_and(|at| below.covers(at));
        // A directory of secrets has no keys.
        let is_key = || below.of_its_key().is_some_and(|of| in_memory(&of));
        in_memory(below) || !inodes.known(seen).is_empty() || is_key()
    }
}

fn path_of(at: SecretNode) -> String {
    Node::Directory(at).path()
}

impl Secret {
    fn add(&mut self, Use { version, reads, last }: Use) {
        let known = self.versions.entry(version).or_default();
        known.reads += reads;
        if known.last.as_ref().is_none_or(|other| other.at() < last.at()) {
            known.last = Some(last);
        }
    }

    fn serves(&mut self, version: &str, fetched: SystemTime) {
        self.versions.entry(version.to_owned()).or_default().is_served = true;
        if self.current.as_ref().is_none_or(|(_, other)| *other < fetched) {
            self.current = Some((version.to_owned(), fetched));
        }
    }

    fn report(self, path: String, elsewhere: Elsewhere) -> SecretReaders {
        let (current, fetched) = self.current.unzip();
        let mut versions: Vec<_> = self.versions.into_iter().collect();
        // Of two that were read at the same time, the current one first.
        versions.sort_by_key(|(version, known)| {
            std::cmp::Reverse((known.last.as_ref().and_then(Read::at), Some(version) == current.as_ref()))
        });
        let report = |(version, known): (String, Version)| known.report(version, current.as_deref(), elsewhere);
        let versions = versions.into_iter().map(report).collect();
        SecretReaders { path, fetched: fetched.map(rfc3339), current, versions }
    }
}

impl Version {
    fn report(self, version: String, current: Option<&str>, elsewhere: Elsewhere) -> VersionReaders {
        let is_current = current == Some(version.as_str());
        let since = self.last.as_ref().and_then(Read::at).map(rfc3339);
        let (may_be_revoked, why) = match (current, self.open.len()) {
            _ if is_current => (false, "it is the current version".to_owned()),
            (None, _) => {
                let why =
                    "which version is current is not known, for nothing of it is in memory; read it, and ask again";
                (false, why.to_owned())
            }
            (Some(_), 1) => (false, "not yet: 1 file of it is open".to_owned()),
            (Some(_), open @ 2..) => (false, format!("not yet: {open} files of it are open")),
            (Some(_), 0) if self.is_served => {
                let why = "not yet: memory gives it to callers of another identity; fetch it anew with: hushfs refresh";
                (false, why.to_owned())
            }
            (Some(_), 0) if elsewhere.opening > 0 => {
                (false, format!("not yet: {} being opened, of this version or another", files(elsewhere.opening)))
            }
            (Some(_), 0) if elsewhere.unknown > 0 => {
                let why = format!(
                    "not yet: {} open since before the daemon was started, and it is not known of what",
                    files(elsewhere.unknown)
                );
                (false, why)
            }
            (Some(_), 0) => match since {
                Some(since) => (true, format!("nobody has it open, and nobody has read it since {since}")),
                None if self.reads > 0 => (true, "nobody has it open any more".to_owned()),
                None => (true, "nobody has it open, and nobody has read it".to_owned()),
            },
        };
        VersionReaders {
            version,
            is_current,
            may_be_revoked,
            why,
            reads: self.reads,
            last: self.last.map(|Read { opener, seen }| reader(opener, seen)),
            open: self.open.into_iter().map(|holder| holder_of(holder.opener)).collect(),
        }
    }
}

/// Of who has it open it can still be found out who that is, if they are the same as then.
fn holder_of(opener: Opener) -> Reader {
    let evidence = opener.evidence();
    let seen = evidence.map(|evidence| {
        evidence.gather();
        evidence.seen()
    });
    reader(opener, seen.unwrap_or_default())
}

fn reader(opener: Opener, seen: Seen) -> Reader {
    let Opener { thread, who } = opener;
    let Seen { tgid, executable, unit, container } = seen;
    Reader {
        at: opener.at().map(rfc3339),
        uid: who.map(|who| who.uid),
        gid: who.map(|who| who.gid),
        pid: tgid.unwrap_or(thread),
        exe: executable.map(|path| text(path.as_os_str())),
        unit,
        container,
    }
}

fn files(count: usize) -> String {
    if count == 1 { "1 file is".to_owned() } else { format!("{count} files are") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Elsewhere = Elsewhere { opening: 0, unknown: 0 };

    /// Of a version before the current one: may it be revoked, and why.
    fn old(version: Version, elsewhere: Elsewhere) -> (bool, String) {
        let report = version.report("old".into(), Some("new"), elsewhere);
        (report.may_be_revoked, report.why)
    }

    fn open() -> Holder {
        Holder { ino: 2, version: "old".into(), opener: Opener { thread: 7, who: None } }
    }

    #[test]
    fn a_version_may_be_revoked_when_nothing_speaks_against_it_and_only_then() {
        assert!(old(Version::default(), NOTHING).0);
        let held = Version { open: vec![open()], ..Version::default() };
        assert!(!old(held, NOTHING).0);
        let served = Version { is_served: true, ..Version::default() };
        assert!(!old(served, NOTHING).0);
        assert!(!Version::default().report("one".into(), None, NOTHING).may_be_revoked);
        assert!(!Version::default().report("one".into(), Some("one"), NOTHING).may_be_revoked);
    }

    #[test]
    fn a_version_may_not_be_revoked_while_a_file_is_being_opened_or_is_open_and_unknown() {
        let (may, why) = old(Version::default(), Elsewhere { opening: 1, ..NOTHING });
        assert!(!may && why.contains("1 file is being opened"), "{why}");
        let (may, why) = old(Version::default(), Elsewhere { unknown: 2, ..NOTHING });
        assert!(!may && why.contains("2 files are open"), "{why}");
    }

    #[test]
    fn of_whoever_opened_a_file_under_an_older_hushfs_the_thread_is_told_and_nothing_is_guessed() {
        let version = Version { open: vec![open()], ..Version::default() };
        let reader = version.report("old".into(), Some("new"), NOTHING).open.remove(0);
        assert_eq!((reader.pid, reader.uid, reader.at, reader.exe), (7, None, None, None));
    }
}
