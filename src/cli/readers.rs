//! `hushfs readers`: who has read which version, and may an old one be revoked?

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::place::Place;
use super::status::escaped;
use super::{Failure, Status as Exit, json, print};
use crate::control::{self, Reader, ReadersReport, Request, Response};

/// Tell who has read which version of a secret, who has it open, and whether an old one may be revoked
///
/// It is known of reads since the daemon was started, and of all that is open. A version may be revoked when it is not
/// the current one, nobody has a file of it open and nobody is given it any more; whoever has read it may still keep it
/// in mind. After a rotation: hushfs refresh PATH. The status is 0 where every version but the current may be revoked,
/// and 1 where one may not yet, or where it cannot be told. Only root and the user who runs the daemon may ask.
#[derive(Debug, clap::Args)]
pub struct Readers {
    /// A file, a secret, a folder of secrets, a scope or the mountpoint
    path: PathBuf,
    /// For machines
    #[arg(long)]
    json: bool,
}

impl Readers {
    pub fn run(self) -> Result<ExitCode, Failure> {
        let place = Place::of(&self.path)?;
        let answer = control::ask(&place.mountpoint, &Request::Readers { names: place.names })?;
        let Response::Readers(report) = answer else {
            return Err(Failure::new(Exit::Software, "the daemon answered another question"));
        };
        let text = if self.json { json::pretty(&report)? } else { for_people(&report) };
        print(text.as_bytes())?;
        Ok(if is_a_yes(&report) { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

/// May all but the current versions be revoked? Not where there is nothing to tell by.
fn is_a_yes(report: &ReadersReport) -> bool {
    let mut versions = report.secrets.iter().flat_map(|secret| &secret.versions);
    let is_known = !report.secrets.is_empty() || !report.had_predecessor;
    let is_whole = report.opening == 0 && report.unknown == 0;
    is_known && is_whole && versions.all(|version| version.is_current || version.may_be_revoked)
}

fn for_people(report: &ReadersReport) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for secret in &report.secrets {
        let _ = writeln!(text, "{}", escaped(&secret.path));
        for version in &secret.versions {
            let current = match (version.is_current, &secret.fetched) {
                (true, Some(fetched)) => format!(" (current, fetched at {})", escaped(fetched)),
                (true, None) => " (current)".to_owned(),
                (false, _) => String::new(),
            };
            let times = if version.reads == 1 { "once" } else { &format!("{} times", version.reads) };
            let last = version.last.as_ref().map_or_else(String::new, |last| format!(", last {}", about(last)));
            let read = if version.reads == 0 { "not read".to_owned() } else { format!("read {times}{last}") };
            let _ = writeln!(text, "  {}{current}: {read}", escaped(&version.version));
            for open in &version.open {
                let _ = writeln!(text, "    open {}", about(open));
            }
        }
        for version in secret.versions.iter().filter(|version| !version.is_current) {
            let may = if version.may_be_revoked { "may be revoked" } else { "may not be revoked" };
            let _ = writeln!(text, "  version {} {may}: {}", escaped(&version.version), escaped(&version.why));
        }
    }
    let (nothing, since) = (report.secrets.is_empty(), escaped(&report.since));
    let _ = match (nothing, report.had_predecessor) {
        (true, false) => writeln!(text, "nobody has read anything of it since {since}"),
        (false, false) => writeln!(text, "reads are known since {since}"),
        (true, true) => writeln!(
            text,
            "nobody has read anything of it since {since}; what was read and closed before that, while an earlier \
             daemon had this mount, is not known: read it, and ask again"
        ),
        (false, true) => writeln!(
            text,
            "reads are known since {since}; what was read and closed before that, while an earlier daemon had this \
             mount, is not"
        ),
    };
    for (count, what) in [(report.opening, "being opened"), (report.unknown, "open since then of something unknown")] {
        if count > 0 {
            let _ = writeln!(text, "files {what}: {count}");
        }
    }
    if report.dropped > 0 {
        let _ =
            writeln!(text, "there were too many to remember: what is known of {} versions was dropped", report.dropped);
    }
    text
}

fn about(reader: &Reader) -> String {
    let at =
        reader.at.as_ref().map_or_else(|| "at a time that is not known".to_owned(), |at| format!("at {}", escaped(at)));
    let uid = reader.uid.map_or_else(|| "not known".to_owned(), |uid| uid.to_string());
    let mut parts = vec![format!("{at} by pid {}, uid {uid}", reader.pid)];
    let known = [("", &reader.exe), ("unit ", &reader.unit), ("container ", &reader.container)];
    parts.extend(known.into_iter().filter_map(|(what, value)| Some(format!("{what}{}", escaped(value.as_ref()?)))));
    parts.join(", ")
}
