//! Will systemd start hushfs, start it again, and keep its mount meanwhile?

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

use super::finding::Finding;

const NAME: &str = "unit";
const UNIT: &str = "hushfs.service";
const PROPERTIES: &str = "--property=LoadState,LoadError,UnitFileState,ActiveState,Result,FileDescriptorStoreMax,\
                          NeedDaemonReload,Type,User,Environment";

/// Whose systemd runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    /// The host's.
    System,
    /// That of the user who asks.
    Users,
}

impl Manager {
    /// How it is spoken to, and its journal.
    fn systemctl(self) -> &'static str {
        if self == Self::System { "systemctl" } else { "systemctl --user" }
    }

    fn journalctl(self) -> &'static str {
        if self == Self::System { "journalctl" } else { "journalctl --user" }
    }

    fn analyze(self) -> &'static str {
        if self == Self::System { "systemd-analyze" } else { "systemd-analyze --user" }
    }

    /// What is meant by its unit.
    fn unit(self) -> String {
        if self == Self::System { UNIT.to_owned() } else { format!("this user's {UNIT}") }
    }

    /// What it says of the unit; in words where it says nothing.
    fn show(self) -> Result<String, String> {
        let mut command = Command::new("systemctl");
        if self == Self::Users {
            command.arg("--user");
        }
        command.args(["show", "--no-pager", PROPERTIES, UNIT]).stdin(Stdio::null());
        match command.output() {
            Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            Ok(output) => {
                Err(format!("systemd does not tell of {UNIT}: {}", String::from_utf8_lossy(&output.stderr).trim()))
            }
            Err(error) => Err(format!("systemctl cannot be run: {error}")),
        }
    }
}

/// Nothing to say where systemd is not what runs this host.
pub fn check() -> Vec<Finding> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Vec::new();
    }
    // Whoever has a hushfs of their own asks about that one. A user without a systemd of their own has none.
    if !super::is_root()
        && let Ok(shown) = Manager::Users.show()
        && is_used(&shown)
    {
        return judge(&shown, Manager::Users);
    }
    match Manager::System.show() {
        Ok(shown) => judge(&shown, Manager::System),
        Err(why) => vec![Finding::note(NAME, why)],
    }
}

/// Installed it is for everybody.
fn is_used(shown: &str) -> bool {
    let has = |line: &str| shown.lines().any(|it| it == line);
    has("LoadState=masked")
        || !(has("ActiveState=inactive") && (has("UnitFileState=disabled") || has("UnitFileState=")))
}

fn judge(shown: &str, manager: Manager) -> Vec<Finding> {
    let properties: HashMap<&str, &str> = shown.lines().filter_map(|line| line.split_once('=')).collect();
    let get = |name: &str| properties.get(name).copied().unwrap_or_default();
    let (unit, systemctl) = (manager.unit(), manager.systemctl());
    match get("LoadState") {
        "loaded" => {}
        "not-found" => {
            return vec![
                Finding::note(NAME, format!("{unit} is not installed"))
                    .why("nobody starts hushfs at boot, nor again after a crash")
                    .mend("docs/operations.md has the unit"),
            ];
        }
        "masked" => {
            return vec![
                Finding::problem(NAME, format!("{unit} is masked"))
                    .why("systemd will not start it, whoever asks")
                    .mend(format!("{systemctl} unmask {UNIT}")),
            ];
        }
        state => {
            return vec![
                Finding::problem(NAME, format!("{unit} cannot be loaded: {state} {}", get("LoadError")))
                    .mend(format!("{} verify {UNIT}", manager.analyze())),
            ];
        }
    }
    let mut findings = Vec::new();
    if get("ActiveState") == "failed" {
        findings.push(
            Finding::problem(NAME, format!("{unit} has failed: {}", get("Result")))
                .why("systemd has given it up, or it does not restart by itself")
                .mend(format!(
                    "{} -u {UNIT} -n 50; then: {systemctl} reset-failed {UNIT}; {systemctl} start {UNIT}",
                    manager.journalctl()
                )),
        );
    }
    match get("UnitFileState") {
        "disabled" | "masked" => findings.push(
            Finding::problem(NAME, format!("{unit} is not enabled"))
                .why(match manager {
                    Manager::System => "it will not be started at the next boot",
                    Manager::Users => "it will not be started at the next login",
                })
                .mend(enable(manager, super::is_root())),
        ),
        state => findings.push(Finding::ok(NAME, format!("{unit} is {state} and {}", get("ActiveState")))),
    }
    if get("FileDescriptorStoreMax").parse::<u64>().is_ok_and(|most| most < 2) {
        findings.push(
            Finding::problem(NAME, "FileDescriptorStoreMax= is not set")
                .why("systemd cannot keep the mount: after a crash, a restart or an upgrade readers get `Transport endpoint is not connected`")
                .mend(format!(
                    "{systemctl} edit {UNIT}: [Service], FileDescriptorStoreMax=16; then: {systemctl} restart {UNIT}"
                )),
        );
    }
    if !matches!(get("Type"), "notify" | "notify-reload" | "") {
        findings.push(
            Finding::note(NAME, format!("it has Type={}", get("Type")))
                .why("systemd starts what needs secrets before they are there")
                .mend(format!("{systemctl} edit {UNIT}: [Service], Type=notify")),
        );
    }
    if get("NeedDaemonReload") == "yes" {
        findings.push(
            Finding::note(NAME, format!("{unit} has changed since systemd read it"))
                .mend(format!("{systemctl} daemon-reload")),
        );
    }
    let user = if get("User").is_empty() { "root" } else { get("User") };
    if manager == Manager::System && is_somebody_else(user) {
        findings.push(
            Finding::note(NAME, format!("the daemon runs as {user}, and this does not"))
                .why("permissions, limits and credentials are those of who runs this")
                .mend(format!("sudo -u {user} hushfs doctor")),
        );
    }
    findings
}

fn enable(manager: Manager, is_root: bool) -> String {
    let own = format!("{} enable --now {UNIT}", Manager::Users.systemctl());
    match manager {
        Manager::Users => own,
        Manager::System if is_root => format!("systemctl enable {UNIT}"),
        Manager::System => format!("systemctl enable {UNIT}; or, of this user alone: {own}"),
    }
}

/// False where it cannot be told.
fn is_somebody_else(user: &str) -> bool {
    let uid = user.parse().ok().or_else(|| Some(nix::unistd::User::from_name(user).ok()??.uid.as_raw()));
    uid.is_some_and(|uid| uid != rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn problems(shown: &str) -> Vec<String> {
        let found = judge(shown, Manager::System).into_iter().filter(|finding| finding.verdict == Verdict::Problem);
        found.map(|finding| finding.what).collect()
    }

    #[test]
    fn what_systemd_says_of_the_unit_is_judged() {
        let good =
            "LoadState=loaded\nUnitFileState=enabled\nActiveState=active\nFileDescriptorStoreMax=16\nType=notify\n";
        assert_eq!(problems(good), [""; 0]);
        assert_eq!(problems(&good.replace("=enabled", "=disabled")), ["hushfs.service is not enabled"]);
        assert_eq!(problems(&good.replace("=16", "=0")), ["FileDescriptorStoreMax= is not set"]);
        let failed = good.replace("=active", "=failed") + "Result=exit-code\n";
        assert_eq!(problems(&failed), ["hushfs.service has failed: exit-code"]);
        assert_eq!(problems("LoadState=masked\n"), ["hushfs.service is masked"]);
        assert_eq!(problems("LoadState=not-found\n"), [""; 0]);
        assert_eq!(problems("LoadState=bad-setting\n").len(), 1);
        assert_eq!(problems("").len(), 1, "an answer that says nothing is no good sign");
    }

    #[test]
    fn a_users_own_unit_is_judged_as_that_users_where_it_is_used() {
        let unused = "LoadState=loaded\nUnitFileState=disabled\nActiveState=inactive\nFileDescriptorStoreMax=16\n";
        assert!(!is_used(unused) && !is_used("LoadState=not-found\nUnitFileState=\nActiveState=inactive\n"));
        let (enabled, started) = (unused.replace("disabled", "enabled"), unused.replace("inactive", "active"));
        assert!(is_used(&enabled) && is_used(&started) && is_used(&unused.replace("inactive", "failed")));
        assert!(is_used("LoadState=masked\nUnitFileState=masked\nActiveState=inactive\n"));
        let found = judge(&started, Manager::Users);
        assert_eq!(found.len(), 1, "and nothing of another user's: {found:?}");
        assert_eq!(found[0].what, "this user's hushfs.service is not enabled");
        assert_eq!(found[0].mend.as_deref(), Some("systemctl --user enable --now hushfs.service"));
    }
}
