//! `hushfs doctor` as another user, on hosts that lack something, and under a real systemd.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::doctor::{Found, offline};
use crate::support::daemon::{Place, drop_capabilities, limit};
use crate::support::machine::Machine;
use crate::support::users::{NOBODY, hushfs_as, private_mounts, replace};

const CAP_IPC_LOCK: i32 = 14;
const SWAPS: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/swapfile file 1024 0 -2\n";
const NO_SWAPS: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";

/// A place of nobody's, whose configuration everyone may read.
fn of_nobody(configuration: &str) -> Place {
    let place = Place::new();
    private_mounts(&place, NOBODY);
    place.configure(configuration);
    place
}

fn as_nobody(place: &Place) -> Command {
    hushfs_as(place, NOBODY, &["doctor", "--offline", "--json"])
}

#[test]
fn without_a_dev_fuse_it_says_how_to_get_one() {
    let place = Place::new();
    place.configure("");
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs none /dev && exec \"$@\"";
    command.args(["--mount", "--propagation", "private", "sh", "-ec", script, "sh"]);
    let doctor = offline(&place);
    command.arg(doctor.get_program()).args(doctor.get_args());
    let found = Found::by(command);
    let (what, mend) = found.problem("device");
    assert_eq!(what, "there is no /dev/fuse");
    assert!(mend.starts_with("modprobe fuse; in a container, start it with: --device /dev/fuse"), "{mend}");
}

#[test]
fn a_dev_fuse_that_is_roots_alone_is_told_to_others() {
    let place = of_nobody("");
    assert_eq!(Found::by(as_nobody(&place)).says("device", "ok").len(), 1);
    std::fs::set_permissions("/dev/fuse", PermissionsExt::from_mode(0o600)).unwrap();
    let found = Found::by(as_nobody(&place));
    let (what, mend) = found.problem("device");
    assert_eq!(what, "/dev/fuse may not be opened by this user");
    assert!(mend.starts_with("chmod 0666 /dev/fuse"));
}

#[test]
fn a_mount_that_only_another_user_may_ask_is_not_said_to_answer() {
    let place = of_nobody("");
    let mut daemon = place.mount("");
    let is_told_so = || {
        let found = Found::by(as_nobody(&place));
        found.says("mountpoint", "note").iter().any(|said| said.starts_with("a hushfs of another user is mounted at"))
    };
    assert!(is_told_so());
    assert_eq!(Found::by(offline(&place)).says("mountpoint", "ok").len(), 1);
    daemon.signal(libc::SIGKILL);
    daemon.wait();
    assert!(is_told_so());
    assert!(Found::by(offline(&place)).problem("mountpoint").0.ends_with("is stale"));
}

#[test]
fn without_fusermount3_or_its_setuid_bit_a_user_cannot_mount() {
    let place = of_nobody("");
    assert_eq!(Found::by(as_nobody(&place)).says("fusermount3", "ok").len(), 1);
    let with_path = |path: &str| {
        let mut command = as_nobody(&place);
        command.env("PATH", path);
        Found::by(command)
    };
    let found = with_path("/nonexistent");
    let (what, mend) = found.problem("fusermount3");
    assert_eq!(what, "fusermount3 is not in the PATH");
    assert!(mend.contains("fuse3"), "{mend}");
    let own = place.path().join("bin");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("fusermount3"), "").unwrap();
    std::fs::set_permissions(own.join("fusermount3"), PermissionsExt::from_mode(0o755)).unwrap();
    assert!(with_path(own.to_str().unwrap()).problem("fusermount3").0.ends_with("does not run as root"));
    let mut as_root = offline(&place);
    as_root.env("PATH", "/nonexistent");
    assert_eq!(Found::by(as_root).says("fusermount3", "ok"), ["root mounts without it"]);
}

#[test]
fn allow_other_needs_its_line_in_fuse_conf() {
    let place = of_nobody("allow_other = true\n");
    replace(&place, "/etc/fuse.conf", "# user_allow_other\n");
    let found = Found::by(as_nobody(&place));
    let (what, mend) = found.problem("allow_other");
    assert_eq!(what, "user_allow_other is off in /etc/fuse.conf");
    assert_eq!(mend, "echo user_allow_other | sudo tee -a /etc/fuse.conf");
    replace(&place, "/etc/fuse.conf", "user_allow_other\n");
    assert!(Found::by(as_nobody(&place)).says("allow_other", "problem").is_empty());
    place.configure("");
    assert!(!Found::by(as_nobody(&place)).0.iter().any(|finding| finding["check"] == "allow_other"));
}

#[test]
fn a_mountpoint_of_somebody_else_is_told() {
    let place = of_nobody("");
    std::os::unix::fs::chown(place.mnt(), Some(0), Some(0)).unwrap();
    std::fs::set_permissions(place.mnt(), PermissionsExt::from_mode(0o755)).unwrap();
    let found = Found::by(as_nobody(&place));
    let (what, mend) = found.problem("mountpoint");
    assert_eq!(what, format!("{} is not this user's", place.mnt().display()));
    assert_eq!(mend, format!("sudo chown {NOBODY} {}", place.mnt().display()));
}

#[test]
fn little_memory_to_lock_is_a_problem_where_there_is_swap() {
    let place = of_nobody("[cache]\nmax_bytes = \"1MiB\"\nmax_secret_bytes = \"64KiB\"\n");
    let limited = |most: u64| {
        let mut command = as_nobody(&place);
        limit(&mut command, libc::RLIMIT_MEMLOCK, most);
        Found::by(command)
    };
    replace(&place, "/proc/swaps", SWAPS);
    let found = limited(65536);
    let (what, mend) = found.problem("memory");
    assert_eq!(what, "only 65536 bytes can be locked, and max_bytes is 1048576");
    assert!(mend.starts_with("LimitMEMLOCK=infinity in the unit"), "{mend}");
    assert_eq!(found.says("swap", "note"), ["swap is on: /swapfile"]);
    assert!(found.why("swap").contains("not what libraries hold"), "{:?}", found.0);
    assert_eq!(limited(4 << 20).says("memory", "ok"), ["max_bytes = 1048576 can be locked"]);
    let kept = "2097152 bytes can be locked, so 524288 bytes of values are kept, and not max_bytes = 1048576";
    assert_eq!(limited(2 << 20).says("memory", "note"), [kept]);
    replace(&place, "/proc/swaps", NO_SWAPS);
    let found = limited(65536);
    assert!(found.says("memory", "problem").is_empty() && found.says("memory", "note").len() == 1, "{:?}", found.0);
    assert_eq!(found.says("swap", "ok").len(), 1);
    // Root locks what it likes, unless that has been taken from it.
    replace(&place, "/proc/swaps", SWAPS);
    let mut root = offline(&place);
    limit(&mut root, libc::RLIMIT_MEMLOCK, 65536);
    let found = Found::by(root);
    assert!(found.says("memory", "problem").is_empty());
    assert!(found.why("swap").starts_with("all of the daemon's memory is locked"), "{:?}", found.0);
    let mut less = offline(&place);
    limit(&mut less, libc::RLIMIT_MEMLOCK, 65536);
    drop_capabilities(&mut less, &[CAP_IPC_LOCK]);
    assert_eq!(Found::by(less).says("memory", "problem").len(), 1);
}

#[test]
fn a_proc_that_hides_processes_breaks_grants_that_go_by_them() {
    let grant = "allow_other = true\n[[grant]]\nprincipals = [\"unit:a.service\"]\nactions = [\"read\"]\nresources = [\"**\"]\n";
    let place = of_nobody(grant);
    let open = Found::by(as_nobody(&place));
    assert_eq!(open.says("proc", "ok"), ["/proc shows who asks"]);
    // These tests run as in a container.
    assert!(open.says("proc", "note")[0].contains("pid"), "{:?}", open.0);
    let remounted = Command::new("mount").args(["-t", "proc", "-o", "hidepid=2", "proc", "/proc"]).status().unwrap();
    assert!(remounted.success());
    let found = Found::by(as_nobody(&place));
    assert!(found.problem("proc").0.contains("hidepid"), "{:?}", found.0);
    // A daemon would not even start, whatever is granted.
    place.configure("");
    let found = Found::by(as_nobody(&place));
    assert!(!found.problem("proc").1.contains("as root"), "{:?}", found.0);
    place.configure("[sandbox]\nlandlock = false\n");
    assert!(Found::by(as_nobody(&place)).says("proc", "problem").is_empty());
}

#[test]
fn a_proc_that_hides_processes_from_root_too_is_told_to_root() {
    let place = Place::new();
    private_mounts(&place, 0);
    place.configure("");
    assert!(Found::by(offline(&place)).says("proc", "problem").is_empty());
    // A daemon that becomes another user takes the group along.
    for (options, user, hides) in [
        ("hidepid=ptraceable", true, true),
        ("hidepid=invisible,gid=7", true, false),
        ("hidepid=invisible,gid=7", false, true),
        ("hidepid=invisible", true, false),
    ] {
        place.configure(&format!("[sandbox]\nuser = {user}\n"));
        let mounted = Command::new("mount").args(["-t", "proc", "-o", options, "proc", "/proc"]).status().unwrap();
        assert!(mounted.success());
        assert_eq!(Found::by(offline(&place)).says("proc", "problem").len(), usize::from(hides), "{options} {user}");
    }
}

#[test]
fn a_unit_that_is_not_enabled_has_failed_or_cannot_keep_the_mount_is_told_and_mended() {
    let place = Place::new();
    let machine = Machine::new(&place);
    machine.hushfs("");
    machine.secret("db", "value");
    let unit = "[Service]\nType=notify\nExecStart=/usr/bin/hushfs mount --config /etc/hushfs/hushfs.toml\n";
    machine.unit("hushfs.service", &format!("{unit}[Install]\nWantedBy=multi-user.target\n"));
    let doctor = "/usr/bin/hushfs doctor --offline --json --config /etc/hushfs/hushfs.toml";
    let results = machine.run(&format!(
        "{doctor} >/results/disabled || true
        systemctl enable hushfs.service
        mkdir -p /etc/systemd/system/hushfs.service.d
        printf '[Service]\\nFileDescriptorStoreMax=16\\n' >/etc/systemd/system/hushfs.service.d/store.conf
        systemctl daemon-reload
        systemctl restart hushfs.service
        {doctor} >/results/mended || true
        systemctl kill --signal=KILL hushfs.service
        until systemctl is-failed hushfs.service; do sleep 0.1; done
        {doctor} >/results/failed || true"
    ));
    let problems = |name: &str| {
        let json: serde_json::Value = serde_json::from_str(&results.file(name)).unwrap();
        let all = json["findings"].as_array().unwrap().clone();
        let of_unit = all.iter().filter(|it| it["check"] == "unit" && it["verdict"] == "problem");
        of_unit.map(|it| it["what"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(problems("disabled"), ["hushfs.service is not enabled", "FileDescriptorStoreMax= is not set"]);
    assert_eq!(problems("mended"), [""; 0]);
    assert_eq!(problems("failed"), ["hushfs.service has failed: signal"]);
}
