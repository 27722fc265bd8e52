//! Will systemd start hushfs, start it again, and keep its mount meanwhile?

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

use super::finding::Finding;

const NAME: &str = "unit";
const UNIT: &str = "hushfs.service";
const PROPERTIES: &str = "--property=LoadState,LoadError,UnitFileState,ActiveState,Result,FileDescriptorStoreMax,\
                          NeedDaemonReload,Type,User,Environment";

/// Nothing to say where systemd is not what runs this host.
pub fn check() -> Vec<Finding> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Vec::new();
    }
    let mut command = Command::new("systemctl");
    command.args(["show", "--no-pager", PROPERTIES, UNIT]).stdin(Stdio::null());
    match command.output() {
        Ok(output) if output.status.success() => judge(&String::from_utf8_lossy(&output.stdout)),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            vec![Finding::note(NAME, format!("systemd does not tell of {UNIT}: {}", said.trim()))]
        }
        Err(error) => vec![Finding::note(NAME, format!("systemctl cannot be run: {error}"))],
    }
}

fn judge(shown: &str) -> Vec<Finding> {
    let properties: HashMap<&str, &str> = shown.lines().filter_map(|line| line.split_once('=')).collect();
    let get = |name: &str| properties.get(name).copied().unwrap_or_default();
    match get("LoadState") {
        "loaded" => {}
        "not-found" => {
            return vec![
                Finding::note(NAME, format!("{UNIT} is not installed"))
                    .why("nobody starts hushfs at boot, nor again after a crash")
                    .mend("docs/operations.md has the unit"),
            ];
        }
        "masked" => {
            return vec![
                Finding::problem(NAME, format!("{UNIT} is masked"))
                    .why("systemd will not start it, whoever asks")
                    .mend(format!("systemctl unmask {UNIT}")),
            ];
        }
        state => {
            return vec![
                Finding::problem(NAME, format!("{UNIT} cannot be loaded: {state} {}", get("LoadError")))
                    .mend(format!("systemd-analyze verify {UNIT}")),
            ];
        }
    }
    let mut findings = Vec::new();
    if get("ActiveState") == "failed" {
        findings.push(
            Finding::problem(NAME, format!("{UNIT} has failed: {}", get("Result")))
                .why("systemd has given it up, or it does not restart by itself")
                .mend(format!(
                    "journalctl -u {UNIT} -n 50; then: systemctl reset-failed {UNIT}; systemctl start {UNIT}"
                )),
        );
    }
    match get("UnitFileState") {
        "disabled" | "masked" => findings.push(
            Finding::problem(NAME, format!("{UNIT} is not enabled"))
                .why("it will not be started at the next boot")
                .mend(format!("systemctl enable {UNIT}")),
        ),
        state => findings.push(Finding::ok(NAME, format!("{UNIT} is {state} and {}", get("ActiveState")))),
    }
    if get("FileDescriptorStoreMax").parse::<u64>().is_ok_and(|most| most < 2) {
        findings.push(
            Finding::problem(NAME, "FileDescriptorStoreMax= is not set")
                .why("systemd cannot keep the mount: after a crash, a restart or an upgrade readers get `Transport endpoint is not connected`")
                .mend(format!("systemctl edit {UNIT}: [Service], FileDescriptorStoreMax=16; then: systemctl restart {UNIT}")),
        );
    }
    if !matches!(get("Type"), "notify" | "notify-reload" | "") {
        findings.push(
            Finding::note(NAME, format!("it has Type={}", get("Type")))
                .why("systemd starts what needs secrets before they are there")
                .mend(format!("systemctl edit {UNIT}: [Service], Type=notify")),
        );
    }
    if get("NeedDaemonReload") == "yes" {
        findings.push(
            Finding::note(NAME, format!("{UNIT} has changed since systemd read it")).mend("systemctl daemon-reload"),
        );
    }
    let user = if get("User").is_empty() { "root" } else { get("User") };
    if is_somebody_else(user) {
        findings.push(
            Finding::note(NAME, format!("the daemon runs as {user}, and this does not"))
                .why("permissions, limits and credentials are those of who runs this")
                .mend(format!("sudo -u {user} hushfs doctor")),
        );
    }
    findings
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
        let found = judge(shown).into_iter().filter(|finding| finding.verdict == Verdict::Problem);
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
}
