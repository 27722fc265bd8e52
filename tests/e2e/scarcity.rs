//! Too few descriptors, no locked memory, no room on the disk: what still works, works.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::support::daemon::{
    Daemon, HUSHFS, Place, descriptors, drop_capabilities, errno_of_reading, eventually, limit, xattr,
};
use crate::support::store::Store;

const CAP_IPC_LOCK: i32 = 14;

/// How many descriptors a running process may have; the most that it could allow itself stays.
fn allow_descriptors(daemon: &Daemon, most: u64) {
    let pid = daemon.child.id() as i32;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: structs on the stack, of the right type.
    let done = unsafe {
        libc::prlimit(pid, libc::RLIMIT_NOFILE, std::ptr::null(), &mut limit);
        limit.rlim_cur = most.min(limit.rlim_max);
        libc::prlimit(pid, libc::RLIMIT_NOFILE, &limit, std::ptr::null_mut())
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn with_enough_locked_memory_all_of_it_is_locked() {
    let place = Place::new();
    let store = Store::new(place.path());
    store.put("a.age", b"x");
    let _daemon = place.mount(&store.scope("prod"));
    assert_eq!(fs::read(place.mnt().join("prod/a/value")).unwrap(), b"x");
    let status = place.status();
    assert!(status["cache"]["memory_mapped"].as_u64() > Some(0));
    assert_eq!(status["cache"]["memory_unlocked"], 0);
}

/// A shell command that mounts; `$@` is the mount's own command line.
fn through_a_shell(place: &Place, script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-ec", script, "sh", HUSHFS, "mount", "--config"]);
    command.arg(place.path().join("hushfs.toml"));
    command
}

#[test]
fn a_full_disk_or_a_closed_pipe_under_the_log_ends_nothing() {
    for script in ["exec \"$@\" 2>/dev/full", "exec \"$@\" 2>&-", "(exec \"$@\" 2>&1; echo $? >\"$STATUS\") | true"] {
        let place = Place::new();
        let store = Store::new(place.path());
        store.put("a.age", b"x");
        fs::write(store.path.join("bad.age"), "no age file").unwrap();
        place.configure(&store.scope("prod"));
        let mut command = Command::new("sh");
        command.args(["-ec", script, "sh", HUSHFS, "mount", "--log", "debug", "--config"]);
        command.arg(place.path().join("hushfs.toml")).env("STATUS", place.path().join("status"));
        let mut daemon = place.start(command);
        for _ in 0..20 {
            assert_eq!(errno_of_reading(&place.mnt().join("prod/bad/value")), Some(libc::EIO));
            assert_eq!(errno_of_reading(&place.mnt().join("prod/nosuch/value")), Some(libc::ENOENT));
        }
        assert_eq!(fs::read(place.mnt().join("prod/a/value")).unwrap(), b"x");
        // A mount that takes long to answer is taken for hung, and stays.
        eventually("it is unmounted", || place.run(&["unmount"]).status.success().then_some(()));
        assert_eq!(daemon.wait().code(), Some(0), "{script}");
        if let Ok(status) = fs::read_to_string(place.path().join("status")) {
            assert_eq!(status.trim(), "0", "{script}");
        }
    }
}

/// Needs what only root may do or see.
mod as_root {
    use super::*;

    #[test]
    fn without_free_descriptors_memory_is_served_and_the_rest_comes_back_with_them() {
        let place = Place::new();
        let store = Store::new(place.path());
        store.put("cached.age", b"one");
        store.put("old.age", b"two");
        store.put("cold.age", b"three");
        let short = store.scope("short") + "ttl = \"500ms\"\nlist_ttl = \"500ms\"\nnegative_ttl = \"200ms\"\n";
        // To set the limits of another user's process takes CAP_SYS_RESOURCE, which root of a container may not have.
        let daemon = place.mount(&format!("[sandbox]\nuser = false\n{}{short}", store.scope("prod")));
        let mnt = place.mnt();
        assert_eq!(fs::read(mnt.join("prod/cached/value")).unwrap(), b"one");
        assert_eq!(fs::read(mnt.join("short/old/value")).unwrap(), b"two");

        let open = descriptors(&daemon) as u64;
        allow_descriptors(&daemon, open);
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(fs::read_dir(&mnt).unwrap().count(), 2);
        assert_eq!(fs::read(mnt.join("prod/cached/value")).unwrap(), b"one");
        assert_eq!(errno_of_reading(&mnt.join("prod/cold/value")), Some(libc::EHOSTUNREACH));
        // That nothing can be opened is no refusal: the last good value is served, and marked.
        assert_eq!(fs::read(mnt.join("short/old/value")).unwrap(), b"two");
        assert_eq!(xattr(&mnt.join("short/old/value"), "user.hushfs.stale").as_deref(), Some("1"));
        // One descriptor is enough for the folder and not for the file and the identity.
        for free in 1..3 {
            allow_descriptors(&daemon, open + free);
            for _ in 0..5 {
                assert_eq!(fs::read(mnt.join("short/old/value")).unwrap(), b"two");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        let asked = std::os::unix::net::UnixStream::connect(xattr(&mnt, "user.hushfs.control").unwrap()).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        drop(asked);
        assert!(place.log().matches("control socket").count() <= 2, "{}", place.log());

        allow_descriptors(&daemon, u64::MAX);
        eventually("it recovers", || fs::read(mnt.join("prod/cold/value")).ok().filter(|bytes| bytes == b"three"));
        eventually("it is fresh", || {
            let _ = fs::read(mnt.join("short/old/value"));
            (xattr(&mnt.join("short/old/value"), "user.hushfs.stale")? == "0").then_some(())
        });
        eventually("nothing is open", || (place.status()["open"] == 0).then_some(()));
        assert!(!place.log().contains("defect"), "{}", place.log());
        assert_eq!(daemon.stop().code(), Some(0));
    }

    #[test]
    fn a_daemon_that_may_lock_no_memory_works_and_says_so_once() {
        let place = Place::new();
        let store = Store::new(place.path());
        store.put("a.age", b"x");
        store.put("b.age", &vec![b'x'; 100_000]);
        place.configure(&store.scope("prod"));
        let mut command = place.hushfs(&["mount"]);
        // Root may lock all it likes, so that right must go too.
        drop_capabilities(&mut command, &[CAP_IPC_LOCK]);
        limit(&mut command, libc::RLIMIT_MEMLOCK, 0);
        let daemon = place.start(command);
        assert_eq!(fs::read(place.mnt().join("prod/a/value")).unwrap(), b"x");
        assert_eq!(fs::read(place.mnt().join("prod/b/value")).unwrap().len(), 100_000);
        let status = place.status();
        assert!(status["cache"]["memory_unlocked"].as_u64() > Some(0), "{status}");
        assert!(String::from_utf8_lossy(&place.run(&["status"]).stdout).contains("could not be locked"));
        let says = "refuses to lock memory";
        eventually("it says so", || place.log().contains(says).then_some(()));
        assert_eq!(fs::read(place.mnt().join("prod/b/value")).unwrap().len(), 100_000);
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(place.log().matches(says).count(), 1);
        assert_eq!(daemon.stop().code(), Some(0));
    }

    #[test]
    fn without_room_for_its_runtime_files_it_serves_and_says_what_is_missing() {
        let place = Place::new();
        let store = Store::new(place.path());
        store.put("a.age", b"x");
        place.configure(&store.scope("prod"));
        // A file system with room for its root and nothing else, for this daemon alone.
        let script = "mkdir -p /run/hushfs; mount -t tmpfs -o nr_inodes=1,mode=0700 none /run/hushfs; exec \"$@\"";
        let daemon = place.start(through_a_shell(&place, script));
        // Its mount is in a namespace of its own; this is the way in.
        let inside = format!("/proc/{}/root{}/prod/a/value", daemon.child.id(), place.mnt().display());
        assert_eq!(fs::read(inside).unwrap(), b"x");
        assert!(place.log().contains("no control socket") && place.log().contains("No space left"), "{}", place.log());
        assert_eq!(daemon.stop().code(), Some(0));
    }
}
