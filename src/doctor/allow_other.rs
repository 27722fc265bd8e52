//! May a user who is not root let others reach the mount?

use std::io::ErrorKind;

use nix::unistd::{Uid, User};

use super::finding::Finding;
use crate::config::Config;

const NAME: &str = "allow_other";
const FILE: &str = "/etc/fuse.conf";
const SETTING: &str = "user_allow_other";

/// Nothing to say where others are not to reach it.
pub fn check(config: &Config) -> Vec<Finding> {
    if !config.allow_other {
        return Vec::new();
    }
    if super::is_root() {
        return vec![Finding::ok(NAME, "root may let other users reach the mount")];
    }
    let mend = format!("echo {SETTING} | sudo tee -a {FILE}");
    let of_file = match std::fs::read_to_string(FILE) {
        Ok(text) if has_setting(&text) => Finding::ok(NAME, format!("{FILE} has {SETTING}")),
        Ok(_) => Finding::problem(NAME, format!("{SETTING} is off in {FILE}"))
            .why("without it fusermount3 refuses allow_other = true of the configuration")
            .mend(mend),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Finding::problem(NAME, format!("there is no {FILE}, so {SETTING} is off"))
                .why("without it fusermount3 refuses allow_other = true of the configuration")
                .mend(mend)
        }
        Err(error) => Finding::note(NAME, format!("{FILE} cannot be read: {error}"))
            .why(format!("fusermount3 refuses allow_other = true unless it has the line {SETTING}")),
    };
    let mut findings = vec![of_file];
    let uid = rustix::process::geteuid().as_raw();
    if let Ok(None) = User::from_uid(Uid::from_raw(uid)) {
        findings.push(
            Finding::problem(NAME, format!("there is no user with the number {uid}"))
                .why("fusermount3 mounts for users that have a name")
                .mend("run hushfs as a user of the system, or add one: useradd --system hushfs"),
        );
    }
    findings
}

/// A line of its own; `#` begins a comment.
fn has_setting(text: &str) -> bool {
    text.lines().any(|line| line.split('#').next().is_some_and(|line| line.trim() == SETTING))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_counts_where_it_is_a_line_and_no_comment() {
        for on in ["user_allow_other", "mount_max = 9\n  user_allow_other  # yes\n"] {
            assert!(has_setting(on), "{on}");
        }
        for off in ["", "#user_allow_other\n", "user_allow_others\n", "no user_allow_other\n"] {
            assert!(!has_setting(off), "{off}");
        }
    }
}
