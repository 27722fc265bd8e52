//! Is the mountpoint there, free, and ours to mount at; and are there mounts that nobody serves?

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, access};

use super::finding::Finding;
use crate::config::Config;
use crate::fs::located;
use crate::fs::mount::{self, State};

const NAME: &str = "mountpoint";
const STALE: &str = "mount";

pub fn check(config: &Config) -> Vec<Finding> {
    let canonical = match mount::canonical(&config.mountpoint) {
        Ok(canonical) => canonical,
        Err(error) => return vec![unusable(&config.mountpoint, &error)],
    };
    let mut findings = match mount::state(&canonical) {
        Ok(State::Free) => directory(&canonical),
        Ok(state) => vec![of_state(NAME, &canonical, state)],
        Err(error) => vec![Finding::problem(NAME, format!("what is mounted cannot be looked up: {error}"))],
    };
    let others = located::mounts().unwrap_or_default();
    for other in others.iter().filter(|other| **other != canonical) {
        match mount::state(other) {
            Ok(state @ (State::Dead | State::Hung)) => findings.push(of_state(STALE, other, state)),
            Ok(State::Alive | State::Closed | State::Free) | Err(_) => {}
        }
    }
    findings
}

fn of_state(check: &'static str, at: &Path, state: State) -> Finding {
    let at = at.display();
    match state {
        State::Free => Finding::ok(check, format!("nothing is mounted at {at}")),
        State::Alive => Finding::ok(check, format!("a hushfs is mounted at {at}, and answers")),
        State::Closed => Finding::note(check, format!("a hushfs of another user is mounted at {at}"))
            .why("without allow_other only that user may look at it, so whether it answers cannot be told")
            .mend("run this as that user"),
        State::Dead => Finding::problem(check, format!("the mount at {at} is stale"))
            .why("its daemon has died without unmounting; whoever looks gets `Transport endpoint is not connected`")
            .mend(format!("hushfs unmount {at}; or start the daemon, which clears it away")),
        State::Hung => Finding::problem(check, format!("the hushfs at {at} does not answer"))
            .why("its daemon hangs, or has died and systemd keeps the mount for the next one")
            .mend(format!("systemctl restart hushfs; or give it up with: hushfs unmount --lazy {at}")),
    }
}

fn unusable(at: &Path, error: &std::io::Error) -> Finding {
    let shown = at.display();
    let finding = Finding::problem(NAME, format!("{shown} cannot be a mountpoint: {error}"));
    match error.kind() {
        ErrorKind::NotFound => finding.mend(format!("mkdir -p {shown}")),
        _ => finding.mend(format!("ls -ld {shown}")),
    }
}

fn directory(at: &Path) -> Vec<Finding> {
    let shown = at.display();
    let metadata = match std::fs::metadata(at) {
        Ok(metadata) => metadata,
        Err(error) => return vec![unusable(at, &error)],
    };
    if !metadata.is_dir() {
        return vec![
            Finding::problem(NAME, format!("{shown} is not a directory"))
                .mend(format!("mv {shown} {shown}.old && mkdir {shown}")),
        ];
    }
    let uid = rustix::process::geteuid().as_raw();
    if !super::is_root() && access(at, Access::WRITE_OK).is_err() {
        return vec![
            Finding::problem(NAME, format!("{shown} is not this user's"))
                .why(format!("fusermount3 mounts only where the user may write; it belongs to uid {}", metadata.uid()))
                .mend(format!("sudo chown {uid} {shown}")),
        ];
    }
    let mut findings = vec![Finding::ok(NAME, format!("{shown} is a directory where nothing is mounted"))];
    if std::fs::read_dir(at).is_ok_and(|mut entries| entries.next().is_some()) {
        findings.push(
            Finding::note(NAME, format!("{shown} is not empty"))
                .why("what is in it is hidden as long as hushfs is mounted, and shows in between"),
        );
    }
    findings
}
