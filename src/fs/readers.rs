//! Who has read which version of what: so that people know when an old one may be revoked. In memory only, and
//! bounded; what is read is in the audit log.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::opener::Opener;
use crate::access::evidence::Seen;
use crate::tree::{Below, SecretNode};

/// Secrets that are remembered, as each identity sees them.
const MOST_SECRETS: usize = 10_000;
/// Versions of each.
const MOST_VERSIONS: usize = 8;

/// One version of a secret, and its reads.
#[derive(Debug, Clone)]
pub struct Use {
    pub version: String,
    /// How often a file of it was opened.
    pub reads: u64,
    pub last: Read,
}

#[derive(Debug, Clone)]
pub struct Read {
    pub opener: Opener,
    /// As far as it had been found out by then: nobody waits for it.
    pub seen: Seen,
}

impl Read {
    /// None where that was not noted, which is before everything that was.
    pub fn at(&self) -> Option<SystemTime> {
        self.opener.at()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Readers(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    secrets: HashMap<SecretNode, Vec<Use>>,
    dropped: u64,
}

impl Readers {
    /// To be called for every file that is opened, so it does little.
    pub fn note(&self, at: &SecretNode, version: &str, last: Read) {
        let mut table = self.lock();
        if let Some(uses) = table.secrets.get_mut(at) {
            if let Some(found) = uses.iter_mut().find(|it| it.version == version) {
                found.reads = found.reads.saturating_add(1);
                found.last = last;
                return;
            }
            uses.push(Use { version: version.to_owned(), reads: 1, last });
            if uses.len() > MOST_VERSIONS
                && let Some(oldest) = (0..uses.len()).min_by_key(|index| uses.get(*index).map(|it| it.last.at()))
            {
                uses.remove(oldest);
                table.dropped += 1;
            }
            return;
        }
        if table.secrets.len() >= MOST_SECRETS {
            table.drop_the_oldest();
        }
        table.secrets.insert(at.clone(), vec![Use { version: version.to_owned(), reads: 1, last }]);
    }

    /// What is known of the secrets at and below a place.
    pub fn below(&self, below: &Below) -> Vec<(SecretNode, Vec<Use>)> {
        let table = self.lock();
        let covered = table.secrets.iter().filter(|(at, _)| below.covers(at));
        covered.map(|(at, uses)| (at.clone(), uses.clone())).collect()
    }

    /// Versions of which nothing is known any more, because there were too many.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // What a panic leaves half done is a count.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// An eighth of all, so that it is seldom.
    fn drop_the_oldest(&mut self) {
        let newest = |uses: &[Use]| uses.iter().map(|it| it.last.at()).max();
        let mut times: Vec<_> = self.secrets.values().map(|uses| newest(uses)).collect();
        let index = times.len() / 8;
        if index >= times.len() {
            return;
        }
        let limit = *times.select_nth_unstable(index).1;
        let dropped = &mut self.dropped;
        self.secrets.retain(|_, uses| {
            let stays = newest(uses) > limit;
            if !stays {
                *dropped += uses.len() as u64;
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Caller;
    use crate::access::evidence::Evidence;
    use crate::config::ScopeName;
    use crate::fs::opener::Who;
    use crate::provider::Identity;
    use crate::tree::SecretPath;

    fn at(name: &str) -> SecretNode {
        let (scope, path) = (ScopeName::new("prod").unwrap(), SecretPath::parse(name).unwrap());
        SecretNode { scope, identity: Identity::Own, path }
    }

    fn read() -> Read {
        let who = Some(Who::of(&Evidence::of(Caller { uid: 1, gid: 1, pid: 1 })));
        Read { opener: Opener { thread: 1, who }, seen: Seen::default() }
    }

    #[test]
    fn reads_are_counted_by_version_and_the_oldest_of_too_many_versions_goes() {
        let readers = Readers::default();
        for version in 0..=MOST_VERSIONS {
            for _ in 0..=version {
                readers.note(&at("db"), &version.to_string(), read());
            }
        }
        let known = readers.below(&Below::All);
        let counts: Vec<_> = known[0].1.iter().map(|it| (it.version.clone(), it.reads)).collect();
        let expected: Vec<_> = (1..=MOST_VERSIONS).map(|version| (version.to_string(), version as u64 + 1)).collect();
        assert_eq!((counts, readers.dropped()), (expected, 1));
    }

    #[test]
    fn more_secrets_than_are_remembered_push_out_those_read_longest_ago() {
        let readers = Readers::default();
        for n in 0..=MOST_SECRETS {
            readers.note(&at(&format!("s{n}")), "1", read());
        }
        let known = readers.below(&Below::All).len();
        assert!((MOST_SECRETS / 2..=MOST_SECRETS).contains(&known), "{known}");
        assert_eq!(readers.dropped() as usize, MOST_SECRETS + 1 - known);
        assert!(readers.below(&Below::All).iter().any(|(of, _)| *of == at(&format!("s{MOST_SECRETS}"))));
    }
}
