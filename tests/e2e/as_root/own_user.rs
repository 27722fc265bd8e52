//! The user that root's daemon becomes: what it still can, what stays root's, and where it stays root.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Output;

use nix::unistd::User;

use super::grants::grant;
use super::ptrace::{is_refused, ways_into};
use crate::support::audit_log::AuditFile;
use crate::support::daemon::{Daemon, Place, drop_capabilities, eventually};
use crate::support::machine::Machine;
use crate::support::memory::family;
use crate::support::plain::PlainStore;
use crate::support::users::{NOBODY, as_user, private_mounts, replace};

/// By their numbers: `CAP_SETGID`, `CAP_SETUID`.
const SETGID_AND_SETUID: &[i32] = &[6, 7];
/// `CAP_DAC_READ_SEARCH`, which containers lack.
const READ_ALL: &[i32] = &[2];

/// tests/setup/sandbox has made it.
fn own_user() -> User {
    User::from_name("hushfs").unwrap().expect("run the tests with tests/setup/sandbox")
}

/// A line of the daemon's status.
fn field(daemon: &Daemon<'_>, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
}

fn uid(daemon: &Daemon<'_>) -> u32 {
    let all = field(daemon, "Uid:");
    let numbers: Vec<u32> = all.split_whitespace().map(|number| number.parse().unwrap()).collect();
    assert!(numbers.windows(2).all(|two| two[0] == two[1]), "{all}");
    numbers[0]
}

/// State and words of the layer.
fn layer(place: &Place) -> (String, String) {
    let status = place.status();
    let layer = status["sandbox"].as_array().unwrap().iter().find(|layer| layer["name"] == "user").unwrap();
    (layer["state"].as_str().unwrap().to_owned(), layer["detail"].as_str().unwrap().to_owned())
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// The scope `prod`, of a folder that is root's alone.
fn store(place: &Place) -> String {
    let store = PlainStore::new(place.path(), "store");
    fs::set_permissions(store.put("db", b"value"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(&store.path, fs::Permissions::from_mode(0o700)).unwrap();
    store.scope("prod")
}

/// As in a system without it, in a namespace of this test's own.
fn without_own_user(place: &Place) {
    private_mounts(place, NOBODY);
    let text = fs::read_to_string("/etc/passwd").unwrap();
    let others: Vec<&str> = text.lines().filter(|line| !line.starts_with("hushfs:")).collect();
    replace(place, "/etc/passwd", &(others.join("\n") + "\n"));
}

/// `mount` says why not, and what turns the layer off.
fn does_not_start(place: &Place, user: &str, why: &str) {
    place.configure(&format!("[sandbox]\nuser = {user:?}\n"));
    let output = place.run(&["mount"]);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(71), "{told}");
    assert!(told.contains(why) && told.contains("user = false in [sandbox]"), "{told}");
}

#[test]
fn roots_daemon_is_another_user_and_what_it_reads_shows_and_writes_is_roots() {
    let place = Place::new();
    let audit = AuditFile::new(&place, "logs/audit.log");
    fs::create_dir(place.path().join("logs")).unwrap();
    let metrics = place.path().join("metrics.sock");
    let configuration = format!(
        "allow_other = true\n{}[metrics]\nlisten = {metrics:?}\n{}{}",
        audit.section("required = true"),
        store(&place),
        grant("allow", "user:daemon", "read", "prod/db"),
    );
    let daemon = place.mount(&configuration);
    assert_eq!(uid(&daemon), own_user().uid.as_raw());
    assert_eq!(layer(&place), ("on".to_owned(), format!("hushfs, uid {}", own_user().uid)));
    let value = place.mnt().join("prod/db/value");
    assert_eq!(fs::read(&value).unwrap(), b"value", "of a file that is root's alone");
    assert_eq!((value.metadata().unwrap().uid(), value.metadata().unwrap().gid()), (0, 0));
    let owner = |path: &Path| (path.metadata().unwrap().uid(), path.metadata().unwrap().mode() & 0o777);
    assert_eq!((owner(&audit.path), owner(&metrics)), ((0, 0o600), (0, 0o660)));
    // Made anew by whoever may.
    fs::rename(&audit.path, place.path().join("logs/audit.log.1")).unwrap();
    assert!(place.run(&["reload"]).status.success(), "{}", place.log());
    eventually("it is written anew", || {
        fs::read(&value).unwrap();
        audit.path.exists().then_some(())
    });
    assert_eq!(owner(&audit.path), (0, 0o600));
    assert_eq!(daemon.stop().code(), Some(0));
    assert!(!metrics.exists(), "its sockets are gone with it");
    assert!(!crate::support::daemon::is_mounted(&place.mnt()));
}

#[test]
fn the_daemons_own_user_may_read_nothing_and_ask_nothing() {
    let place = Place::new();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let socket = place.path().join("control.sock");
    let configuration = format!("allow_other = true\n[control]\nsocket = {socket:?}\n{}", store(&place));
    let _daemon = place.mount(&configuration);
    // As if an administrator had opened it.
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    let (value, own) = (place.mnt().join("prod/db/value"), own_user().uid.as_raw());
    let (read, asked) = as_user(own, || {
        use std::io::Read;
        let mut control = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        let mut answer = String::new();
        // Who may not ask is told so before it has.
        control.read_to_string(&mut answer).unwrap();
        (fs::read(&value), answer)
    });
    assert_eq!(read.unwrap_err().raw_os_error(), Some(libc::EACCES));
    assert!(asked.contains("only root"), "{asked}");
}

/// That it may end it is the kernel's rule for processes of one user: it is why nothing else should run as that user.
#[test]
fn another_process_of_the_daemons_own_user_may_end_the_daemon_and_look_into_nothing() {
    let place = Place::new();
    let mut daemon = place.mount(&store(&place));
    assert_eq!(fs::read(place.mnt().join("prod/db/value")).unwrap(), b"value");
    let (own, processes) = (own_user().uid.as_raw(), family(daemon.child.id()));
    assert!(processes.len() > 1, "the broker is one of them");
    let ended = as_user(own, || {
        for &process in &processes {
            for (way, errno) in ways_into(process) {
                assert!(is_refused(errno), "process {process}, {way}: {errno}");
            }
        }
        // SAFETY: no memory is passed; whoever may not is told so, and nothing is sent.
        let ended = |process: &u32| unsafe { libc::kill(process.cast_signed(), libc::SIGTERM) } == 0;
        processes.iter().copied().filter(ended).collect::<Vec<_>>()
    });
    assert_eq!(ended, [daemon.child.id()], "the broker is root's");
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(!crate::support::daemon::is_mounted(&place.mnt()), "it ends as it always does");
}

#[test]
fn where_there_is_no_such_user_it_stays_root_and_says_what_to_do() {
    let place = Place::new();
    without_own_user(&place);
    let daemon = place.mount(&store(&place));
    assert_eq!(uid(&daemon), 0);
    let (state, detail) = layer(&place);
    assert!(state == "missing" && detail.contains("systemd-sysusers hushfs.conf"), "{detail}");
    assert_eq!(place.log().matches("sandbox: user is NOT ON").count(), 1, "{}", place.log());
    let doctor = told(&place.run(&["doctor"]));
    assert!(doctor.contains("stays root") && doctor.contains("systemd-sysusers"), "{doctor}");
    assert_eq!(daemon.stop().code(), Some(0));
    does_not_start(&place, "hushfs", "there is no user hushfs");
}

#[test]
fn a_user_that_is_named_is_the_one_or_it_does_not_start() {
    let place = Place::new();
    let daemon = place.mount(&format!("[sandbox]\nuser = \"daemon\"\n{}", store(&place)));
    let named = User::from_name("daemon").unwrap().expect("every system has it");
    assert_eq!(uid(&daemon), named.uid.as_raw());
    assert_eq!(fs::read(place.mnt().join("prod/db/value")).unwrap(), b"value");
    assert_eq!(daemon.stop().code(), Some(0));
    for (user, why) in [("root", "is root"), ("nobody", "cannot name"), ("hushfs-no-such", "there is no user")] {
        does_not_start(&place, user, why);
    }
}

#[test]
fn without_the_capabilities_for_it_the_daemon_stays_root_unless_a_user_is_named() {
    let place = Place::new();
    place.configure(&store(&place));
    for (capabilities, named) in [(SETGID_AND_SETUID, "setgid setuid"), (READ_ALL, "CAP_DAC_READ_SEARCH")] {
        let mut command = place.hushfs(&["mount"]);
        drop_capabilities(&mut command, capabilities);
        let daemon = place.start(command);
        assert_eq!(uid(&daemon), 0);
        let (state, detail) = layer(&place);
        assert!(state == "missing" && detail.contains(named), "{detail}");
        assert_eq!(fs::read(place.mnt().join("prod/db/value")).unwrap(), b"value");
        assert_eq!(daemon.stop().code(), Some(0));
    }
    place.configure("[sandbox]\nuser = \"hushfs\"\n");
    let mut command = place.hushfs(&["mount"]);
    drop_capabilities(&mut command, SETGID_AND_SETUID);
    let output = command.output().unwrap();
    assert!(output.status.code() == Some(71) && told(&output).contains("lacks"), "{}", told(&output));
}

#[test]
fn where_root_may_be_needed_it_stays_root_unless_a_user_is_named() {
    let (place, other) = (Place::new(), Place::new());
    let _other = other.mount("");
    // A file system that lets in whom it likes, as NFS does.
    let foreign = format!("read = [{:?}]", other.mnt());
    let scope = store(&place);
    for setting in ["programs = [\"/bin/true\"]", "write = [\"/var/tmp\"]", &foreign] {
        let configuration = |user: &str| format!("[sandbox]\n{setting}\n{user}\n{scope}");
        let daemon = place.mount(&configuration(""));
        assert_eq!((uid(&daemon), layer(&place).0.as_str()), (0, "missing"), "{setting}");
        let says_so = || told(&place.run(&["doctor"])).contains("the daemon stays root");
        assert!(says_so(), "{setting}");
        assert_eq!(daemon.stop().code(), Some(0));
        let daemon = place.mount(&configuration("user = \"hushfs\""));
        assert!(!says_so(), "{setting}");
        assert_eq!((uid(&daemon), layer(&place).0.as_str()), (own_user().uid.as_raw(), "on"), "{setting}");
        assert_eq!(daemon.stop().code(), Some(0));
    }
}

#[test]
fn where_only_root_can_be_told_that_it_is_ready_it_stays_root() {
    let place = Place::new();
    place.configure(&store(&place));
    let socket = place.path().join("notify");
    let notify = UnixDatagram::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o755)).unwrap();
    let daemon = place.spawn(place.hushfs(&["mount"]));
    let mut message = [0; 256];
    notify.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    loop {
        let length = notify.recv(&mut message).unwrap();
        if message[..length].starts_with(b"READY=1") {
            break;
        }
    }
    assert_eq!((uid(&daemon), layer(&place).0.as_str()), (0, "missing"));
}

#[test]
fn a_daemon_of_another_user_takes_over_what_roots_has_left_and_the_other_way_round() {
    let place = Place::new();
    let machine = Machine::new(&place);
    machine.installed_hushfs("");
    machine.secret("db", "value");
    let becomes = "(cat /etc/hushfs/before; echo '[sandbox]'; echo user = $1) >/etc/hushfs/hushfs.toml
        systemctl restart hushfs.service
        grep Uid: /proc/$(systemctl show --property=MainPID --value hushfs.service)/status | cut -f 2 >>/results/users
        cat /secrets/prod/db/KEY >>/results/reads\n";
    machine.write("becomes", becomes);
    let results = machine.run(
        "mkdir -m 0700 /var/log/hushfs
        id -u hushfs >/results/own
        grep ' /secrets ' /proc/self/mountinfo >/results/before
        exec 4</secrets/prod/db/KEY
        (echo '[audit]'; echo 'file = \"/var/log/hushfs/audit.log\"') >>/etc/hushfs/hushfs.toml
        mv /etc/hushfs/hushfs.toml /etc/hushfs/before
        for user in false true false '\"hushfs\"'; do sh -eu /becomes $user; done
        kill -KILL $(systemctl show --property=MainPID --value hushfs.service)
        cat <&4 >/results/open
        # It answers before it is said to be ready.
        until systemctl is-active --quiet hushfs.service; do sleep 0.1; done
        systemctl reload hushfs.service
        grep ' /secrets ' /proc/self/mountinfo >/results/after
        stat --format '%U %a' /var/log/hushfs/audit.log >/results/log
        grep -c prod/db/KEY /var/log/hushfs/audit.log >/results/records
        systemctl stop hushfs.service
        grep ' /secrets ' /proc/self/mountinfo && exit 1
        find /run/hushfs -name '*.sock' >/results/left",
    );
    let own = results.file("own");
    assert_eq!(results.file("users"), format!("0\n{own}0\n{own}"));
    assert_eq!((results.file("reads"), results.file("open")), ("value".repeat(4), "value".to_owned()));
    let mount = |name: &str| super::handover::mount_of(&results.file(name)).to_owned();
    assert_eq!(mount("before"), mount("after"));
    assert_eq!((results.file("log"), results.file("left")), ("root 600\n".to_owned(), String::new()));
    assert!(results.file("records").trim().parse::<u32>().unwrap() >= 4);
}
