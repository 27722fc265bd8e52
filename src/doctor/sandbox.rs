//! Does the kernel have what the daemon confines itself with?

use super::finding::{Finding, Verdict};
use crate::config::{Config, OwnUser, Source};
use crate::sandbox;

const NAME: &str = "sandbox";

pub fn check(config: &Config, source: &Source) -> Vec<Finding> {
    let mut findings = judge(config, sandbox::landlock_version(), sandbox::has_seccomp());
    if super::is_root()
        && let Some(why) = sandbox::obstacle_to_user(config, source)
    {
        let is_ok = |finding: &Finding| finding.verdict == Verdict::Ok;
        findings.retain(|finding| !is_ok(finding));
        findings.push(match config.sandbox.user {
            OwnUser::Named(_) => Finding::problem(NAME, why).why("the daemon does not start"),
            OwnUser::Usual | OwnUser::No => Finding::note(NAME, format!("the daemon stays root: {why}"))
                .why("whoever takes over the daemon can have systemd, Docker and others do as root tells them"),
        });
    }
    findings
}

fn judge(config: &Config, landlock: Option<i32>, has_seccomp: bool) -> Vec<Finding> {
    let settings = &config.sandbox;
    let layers = [
        ("user", settings.user != OwnUser::No),
        ("capabilities", settings.capabilities),
        ("no_new_privileges", settings.no_new_privileges),
        ("landlock", settings.landlock),
        ("seccomp", settings.seccomp),
    ];
    let off: Vec<&str> = layers.iter().filter(|(_, is_on)| !is_on).map(|(name, _)| *name).collect();
    let mut findings = Vec::new();
    if !off.is_empty() {
        findings.push(
            Finding::note(NAME, format!("turned off: {}", off.join(", ")))
                .why("whoever takes over the daemon can do more than it would have to")
                .mend("take the settings out of [sandbox], and restart hushfs"),
        );
    }
    let newest = sandbox::LANDLOCK_KNOWN;
    match landlock {
        Some(version) if version >= newest => {}
        Some(version) => findings.push(
            Finding::note(NAME, format!("Landlock is of version {version}, and has all that is used from version {newest} on"))
                .why("files are confined; ports of TCP from Linux 6.7 on, signals and sockets without a path from Linux 6.12 on")
                .mend("run a newer kernel"),
        ),
        None => findings.push(
            Finding::note(NAME, "this kernel has no Landlock, or has it turned off")
                .why("whoever takes over the daemon can read and write all that its user can")
                .mend("add landlock to lsm= on the kernel's command line; it came with Linux 5.13"),
        ),
    }
    if !has_seccomp {
        findings.push(
            Finding::note(NAME, "this kernel does not filter system calls, or hushfs has no list for its architecture")
                .why("whoever takes over the daemon can make every system call"),
        );
    }
    if findings.is_empty() {
        findings.push(Finding::ok(NAME, "the kernel has all layers, and none is turned off"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    #[test]
    fn what_is_turned_off_and_what_the_kernel_lacks_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let config = |text: &str| {
            let file = folder.path().join("hushfs.toml");
            std::fs::write(&file, text).unwrap();
            load(&Source::File(file)).unwrap_or_else(|report| panic!("{report}")).config
        };
        let verdicts = |text: &str, landlock, has_seccomp| {
            judge(&config(text), landlock, has_seccomp).iter().map(|it| it.verdict).collect::<Vec<_>>()
        };
        assert_eq!(verdicts("", Some(6), true), [Verdict::Ok]);
        assert_eq!(verdicts("", Some(4), true), [Verdict::Note]);
        assert_eq!(verdicts("", None, false), [Verdict::Note, Verdict::Note]);
        let off = judge(&config("[sandbox]\nlandlock = false\n"), Some(7), true);
        assert!(off.len() == 1 && off[0].what.contains("landlock"), "{off:?}");
    }
}
