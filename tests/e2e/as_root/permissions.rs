//! Only the user who runs the daemon, and root where it is allowed: shown in the bits and held to.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::grants::grant;
use crate::support::daemon::{Daemon, Place, is_mounted, xattr};
use crate::support::http::{ask, over_socket};
use crate::support::plain::PlainStore;
use crate::support::users::{NOBODY, STRANGER, as_user, hushfs_as, private_mounts, replace};

const ALLOW: &str = "user_allow_other\n";

/// The scope `prod` with the secret `db`.
fn store(place: &Place) -> String {
    let store = PlainStore::new(place.path(), "store");
    store.put("db.json", br#"{"KEY":"value"}"#);
    std::fs::set_permissions(&store.path, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(store.path.join("db.json"), std::fs::Permissions::from_mode(0o644)).unwrap();
    store.scope("prod")
}

/// Mounts as a user who is not root, in a namespace of our own.
pub fn mount_as<'a>(place: &'a Place, uid: u32, settings: &str) -> Daemon<'a> {
    let scope = store(place);
    private_mounts(place, uid);
    replace(place, "/etc/fuse.conf", ALLOW);
    place.configure(&format!("{settings}\n{scope}"));
    place.start(hushfs_as(place, uid, &["mount"]))
}

/// The errno of each thing that a caller may try on the tree, 0 where it works.
fn attempts(mnt: &Path) -> Vec<(&'static str, i32)> {
    fn errno<T>(result: std::io::Result<T>) -> i32 {
        result.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1))
    }
    let db = mnt.join("prod/db");
    vec![
        ("list the root", errno(std::fs::read_dir(mnt))),
        ("list a scope", errno(std::fs::read_dir(mnt.join("prod")))),
        ("list a secret", errno(std::fs::read_dir(&db))),
        ("look at a key", errno(std::fs::metadata(db.join("KEY")))),
        ("read a key", errno(std::fs::read(db.join("KEY")))),
        ("read the raw value", errno(std::fs::read(db.join(".raw")))),
        ("resolve a link", errno(std::fs::read_link(db.join("@current")))),
        (
            "look for what is not there",
            match errno(std::fs::metadata(mnt.join("prod/nosuch"))) {
                libc::ENOENT => 0,
                other => other,
            },
        ),
    ]
}

#[track_caller]
fn all(mnt: &Path, expected: i32) {
    for (what, errno) in attempts(mnt) {
        assert_eq!(errno, expected, "{what}");
    }
}

#[test]
fn the_bits_are_the_owners_alone() {
    let place = Place::new();
    let scope = store(&place);
    let _daemon = place.mount(&scope);
    for (path, mode) in [
        ("", 0o40500),
        ("prod", 0o40500),
        ("prod/db", 0o40500),
        ("prod/db/KEY", 0o100400),
        ("prod/db/.raw", 0o100400),
        ("prod/db/@current", 0o120777),
        ("prod/db/@current/", 0o40500),
    ] {
        let meta = std::fs::symlink_metadata(place.mnt().join(path)).unwrap();
        assert_eq!((meta.mode(), meta.uid(), meta.gid()), (mode, 0, 0), "{path}");
    }
}

#[test]
fn without_allow_other_nobody_else_gets_in_at_all() {
    let place = Place::new();
    let scope = store(&place);
    private_mounts(&place, 0);
    std::fs::set_permissions(place.mnt(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let _daemon = place.mount(&scope);
    all(&place.mnt(), 0);
    as_user(STRANGER, || {
        all(&place.mnt(), libc::EACCES);
        let looked = std::fs::metadata(place.mnt());
        assert_eq!(looked.unwrap_err().raw_os_error(), Some(libc::EACCES));
    });
}

#[test]
fn with_allow_other_another_user_sees_that_there_is_a_mount_and_no_more() {
    let place = Place::new();
    let scope = store(&place);
    private_mounts(&place, 0);
    let _daemon = place.mount(&format!("allow_other = true\n{scope}"));
    // Once before the kernel knows anything of the tree, once after.
    for _ in 0..2 {
        as_user(STRANGER, || {
            all(&place.mnt(), libc::EACCES);
            assert_eq!(std::fs::metadata(place.mnt()).unwrap().mode(), 0o40500);
        });
        all(&place.mnt(), 0);
    }
}

#[test]
fn a_descriptor_that_was_handed_over_can_be_read() {
    let place = Place::new();
    let scope = store(&place);
    private_mounts(&place, 0);
    let _daemon = place.mount(&format!("allow_other = true\n{scope}"));
    let mut open = File::open(place.mnt().join("prod/db/KEY")).unwrap();
    let read = as_user(STRANGER, || {
        let mut text = String::new();
        open.read_to_string(&mut text).map(|_| text)
    });
    assert_eq!(read.unwrap(), "value");
}

#[test]
fn a_user_mounts_reads_asks_for_the_status_and_unmounts() {
    let place = Place::new();
    let mut daemon = mount_as(&place, NOBODY, "");
    as_user(NOBODY, || all(&place.mnt(), 0));
    // The kernel keeps even root out of a mount without allow_other.
    all(&place.mnt(), libc::EACCES);
    as_user(STRANGER, || all(&place.mnt(), libc::EACCES));
    let meta = as_user(NOBODY, || std::fs::metadata(place.mnt().join("prod/db/KEY")).unwrap());
    assert_eq!((meta.mode(), meta.uid(), meta.gid()), (0o100400, NOBODY, NOBODY));
    let status = hushfs_as(&place, NOBODY, &["status"]).output().unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    assert!(String::from_utf8_lossy(&status.stdout).contains("prod (local)"));
    let again = hushfs_as(&place, NOBODY, &["mount"]).output().unwrap();
    assert_eq!(again.status.code(), Some(69), "{}", String::from_utf8_lossy(&again.stderr));
    let unmount = hushfs_as(&place, NOBODY, &["unmount"]).output().unwrap();
    assert!(unmount.status.success(), "{}", String::from_utf8_lossy(&unmount.stderr));
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(!is_mounted(&place.mnt()));
}

#[test]
fn the_metrics_of_a_users_daemon_are_all_there_and_for_this_user_alone() {
    let place = Place::new();
    let socket = place.path().join("run/metrics.sock");
    let _daemon = mount_as(&place, NOBODY, &format!("[metrics]\nlisten = {socket:?}\n"));
    as_user(NOBODY, || all(&place.mnt(), 0));
    let meta = std::fs::metadata(&socket).unwrap();
    assert_eq!((meta.mode() & 0o777, meta.uid(), meta.gid()), (0o660, NOBODY, NOBODY));
    let (head, text) = as_user(NOBODY, || ask(over_socket(&socket), "GET", "/metrics", ""));
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let read = "hushfs_read_seconds_count{scope=\"prod\",identity=\"\",cache=\"miss\"} 1";
    for metric in [read, "process_open_fds ", "process_threads ", "process_resident_memory_bytes ", "process_max_fds "]
    {
        assert!(text.lines().any(|line| line.starts_with(metric)), "{metric}: {text}");
    }
    let refused = as_user(STRANGER, || std::os::unix::net::UnixStream::connect(&socket).map(drop));
    assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EACCES));
}

#[test]
fn a_users_daemon_unmounts_at_sigterm_and_its_successor_clears_up_after_a_sigkill() {
    let place = Place::new();
    let daemon = mount_as(&place, NOBODY, "");
    assert_eq!(daemon.stop().code(), Some(0));
    assert!(!is_mounted(&place.mnt()));
    let mut daemon = place.start(hushfs_as(&place, NOBODY, &["mount"]));
    daemon.signal(libc::SIGKILL);
    daemon.wait();
    let _daemon = place.start(hushfs_as(&place, NOBODY, &["mount"]));
    as_user(NOBODY, || all(&place.mnt(), 0));
    let table = std::fs::read_to_string("/proc/thread-self/mounts").unwrap();
    assert_eq!(table.matches(place.mnt().to_str().unwrap()).count(), 1, "{table}");
}

#[test]
fn root_is_let_in_by_root_allow() {
    let place = Place::new();
    let _daemon = mount_as(&place, NOBODY, "allow_other = true\nroot = \"allow\"");
    as_user(STRANGER, || all(&place.mnt(), libc::EACCES));
    all(&place.mnt(), 0);
    as_user(NOBODY, || all(&place.mnt(), 0));
}

#[test]
fn root_is_kept_out_by_root_deny_although_the_bits_do_not_bind_it() {
    let place = Place::new();
    let _daemon = mount_as(&place, NOBODY, "allow_other = true\nroot = \"deny\"");
    all(&place.mnt(), libc::EACCES);
    as_user(NOBODY, || all(&place.mnt(), 0));
    // What the kernel has seen by now it may show to root: names and sizes, never a value or a listing.
    let visible = ["look at a key", "resolve a link", "look for what is not there"];
    for (what, errno) in attempts(&place.mnt()) {
        assert!(errno == libc::EACCES || (errno == 0 && visible.contains(&what)), "{what}: {errno}");
    }
    assert_eq!(
        std::fs::read_link(place.mnt().join("prod/db/@current")).unwrap_err().raw_os_error(),
        Some(libc::EACCES)
    );
}

#[test]
fn root_who_runs_the_daemon_is_a_caller_like_any_other_with_root_deny() {
    let place = Place::new();
    let scope = store(&place);
    private_mounts(&place, 0);
    std::fs::set_permissions(place.mnt(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let settings = format!("allow_other = true\nroot = \"deny\"\n{scope}");
    let daemon = place.mount(&settings);
    all(&place.mnt(), libc::EACCES);
    let key = place.mnt().join("prod/db/KEY");
    assert!(place.run(&["why", key.to_str().unwrap()]).status.code() == Some(1), "it is told so");
    assert!(!place.status()["scopes"].as_array().unwrap().is_empty(), "and may ask the daemon");
    assert!(daemon.stop().success());
    // What is granted root has, and the bits say so to a root without any power.
    let granted = grant("allow", "uid:0", "read", "prod/**");
    let daemon = place.mount(&format!("{settings}{granted}"));
    all(&place.mnt(), 0);
    let mode = |path: &str| std::fs::metadata(place.mnt().join(path)).unwrap().mode() & 0o700;
    assert_eq!((mode("prod/db"), mode("prod/db/KEY")), (0o500, 0o400));
    assert!(daemon.stop().success());
    let granted = grant("allow", &format!("uid:{STRANGER}"), "read", "prod/**");
    let _daemon = place.mount(&format!("{settings}{granted}"));
    as_user(STRANGER, || {
        all(&place.mnt(), 0);
        assert_eq!((mode("prod/db"), mode("prod/db/KEY")), (0, 0));
    });
    assert_eq!(std::fs::read(&key).unwrap_err().raw_os_error(), Some(libc::EACCES));
}

#[test]
fn a_group_of_the_owner_has_no_bit() {
    let place = Place::new();
    let scope = store(&place);
    private_mounts(&place, 0);
    let _daemon = place.mount(&format!("allow_other = true\n{scope}"));
    let mut cat = std::process::Command::new("cat");
    std::os::unix::process::CommandExt::uid(std::os::unix::process::CommandExt::gid(&mut cat, 0), STRANGER);
    let output = cat.arg(place.mnt().join("prod/db/KEY")).output().unwrap();
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("Permission denied"));
}

#[test]
fn allow_other_without_user_allow_other_is_a_clear_error() {
    let place = Place::new();
    let scope = store(&place);
    private_mounts(&place, NOBODY);
    replace(&place, "/etc/fuse.conf", "# user_allow_other\n");
    place.configure(&format!("allow_other = true\n{scope}"));
    let output = hushfs_as(&place, NOBODY, &["mount"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(71), "{said}");
    assert!(said.contains("add the line `user_allow_other` to /etc/fuse.conf"), "{said}");
    assert!(!is_mounted(&place.mnt()));
}

#[test]
fn a_mountpoint_of_someone_else_and_a_closed_dev_fuse_are_clear_errors() {
    let place = Place::new();
    let scope = store(&place);
    private_mounts(&place, NOBODY);
    place.configure(&scope);
    std::os::unix::fs::chown(place.mnt(), Some(0), Some(0)).unwrap();
    std::fs::set_permissions(place.mnt(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = hushfs_as(&place, NOBODY, &["mount"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(71), "{said}");
    assert!(said.contains("cannot mount at") && said.contains("write access"), "{said}");
    std::os::unix::fs::chown(place.mnt(), Some(NOBODY), Some(NOBODY)).unwrap();
    std::fs::set_permissions("/dev/fuse", std::fs::Permissions::from_mode(0o600)).unwrap();
    let output = hushfs_as(&place, NOBODY, &["mount"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(71), "{said}");
    assert!(said.contains("/dev/fuse") && said.contains("Permission denied"), "{said}");
}

#[test]
fn a_stranger_neither_unmounts_nor_asks_for_the_status() {
    let place = Place::new();
    let _daemon = mount_as(&place, NOBODY, "allow_other = true");
    for (command, status, why) in [
        (&["unmount"][..], 71, "cannot unmount"),
        (&["unmount", "--lazy"], 71, "cannot unmount"),
        (&["status"], 77, "only root and the user who runs it may ask"),
    ] {
        let output = hushfs_as(&place, STRANGER, command).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(status) && said.contains(why), "{command:?}: {said}");
    }
    assert!(is_mounted(&place.mnt()));
    as_user(NOBODY, || all(&place.mnt(), 0));
}

/// Before it has asked, or after that: whatever the daemon is quicker than.
#[test]
fn a_stranger_whom_the_socket_lets_in_is_sent_away_and_told_why() {
    let place = Place::new();
    let granted = grant("allow", &format!("uid:{STRANGER}"), "read", "prod/**");
    let _daemon = mount_as(&place, NOBODY, &format!("allow_other = true\n{granted}"));
    let socket = PathBuf::from(xattr(&place.mnt(), "user.hushfs.control").unwrap());
    for path in socket.ancestors().take_while(|path| path.starts_with(place.path()) && *path != place.path()) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    for _ in 0..20 {
        let output = hushfs_as(&place, STRANGER, &["status"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(77) && said.contains("the user who runs the daemon"), "{said}");
    }
}

#[test]
fn the_daemon_dumps_no_core_and_shows_its_memory_and_environment_to_nobody() {
    let place = Place::new();
    let daemon = mount_as(&place, NOBODY, "");
    let proc = |file: &str| format!("/proc/{}/{file}", daemon.child.id());
    let limits = std::fs::read_to_string(proc("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
    as_user(NOBODY, || {
        for file in ["environ", "mem", "maps", "auxv"] {
            let refused = File::open(proc(file)).and_then(|mut file| file.read(&mut [0; 16])).unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied, "{file}");
        }
        // SAFETY: no memory is passed.
        let attached = unsafe { libc::ptrace(libc::PTRACE_SEIZE, daemon.child.id() as i32, 0, 0) };
        assert_eq!((attached, std::io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EPERM)));
    });
}
