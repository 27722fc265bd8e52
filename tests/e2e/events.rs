//! Who watches a file, or its directory, is told by the kernel when a version changes.

use std::ffi::{CString, OsString};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::audit_log::AuditFile;
use crate::support::child::Guarded;
use crate::support::daemon::{HUSHFS, Place, children, eventually};
use crate::support::plain::PlainStore;

/// Root's mount has events without it.
const LONG: &str = "events = true\n[cache]\nttl = \"1h\"\nlist_ttl = \"1h\"\n";

fn place() -> (Place, PlainStore) {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("db.json", br#"{"KEY":"one","OTHER":"x"}"#);
    store.put("web.json", br#"{"KEY":"of the web"}"#);
    (place, store)
}

fn refresh(path: &Path) {
    let output = Command::new(HUSHFS).arg("refresh").arg(path).output().expect("hushfs runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The kernel's inotify, without a program in between.
pub struct Watch(OwnedFd);

impl Watch {
    pub fn of(paths: &[&Path]) -> Self {
        // SAFETY: no memory is passed; the descriptor is new and ours.
        let watch = unsafe { OwnedFd::from_raw_fd(libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK)) };
        let mask = libc::IN_MODIFY | libc::IN_ATTRIB | libc::IN_CREATE | libc::IN_DELETE | libc::IN_CLOSE_WRITE;
        for path in paths {
            let path = CString::new(path.as_os_str().as_bytes()).unwrap();
            // SAFETY: a C string that lives longer than the call.
            assert!(unsafe { libc::inotify_add_watch(watch.as_raw_fd(), path.as_ptr(), mask) } > 0);
        }
        Self(watch)
    }

    /// What has happened since the last time: masks, and names in watched directories.
    fn events(&self) -> Vec<(u32, OsString)> {
        let mut buffer = [0_u8; 4096];
        let Ok(length) = rustix::io::read(&self.0, &mut buffer) else { return Vec::new() };
        let mut rest = &buffer[..length];
        let mut events = Vec::new();
        while rest.len() >= 16 {
            let word = |at: usize| u32::from_ne_bytes(rest[at..at + 4].try_into().unwrap());
            let (mask, length) = (word(4), word(12) as usize);
            let name = rest[16..16 + length].split(|byte| *byte == 0).next().unwrap().to_vec();
            events.push((mask, OsString::from_vec(name)));
            rest = &rest[16 + length..];
        }
        events
    }

    /// Waits for both events of a change, by each of these names.
    pub fn wait_for(&self, names: &[&str]) -> Vec<(u32, OsString)> {
        let mut all = Vec::new();
        eventually("the events", || {
            all.extend(self.events());
            let came = |mask| names.iter().all(|name| all.iter().any(|(of, it)| of & mask != 0 && it == name));
            (came(libc::IN_MODIFY) && came(libc::IN_ATTRIB)).then_some(())
        });
        all
    }
}

#[test]
fn a_watched_file_and_a_watched_directory_have_an_event_when_the_version_changes_and_only_then() {
    let (place, store) = place();
    let _daemon = place.mount(&(LONG.to_owned() + &store.scope("prod")));
    let prod = place.mnt().join("prod");
    let (key, web) = (prod.join("db/KEY"), prod.join("web/KEY"));
    assert_eq!((fs::read(&key).unwrap(), fs::read(&web).unwrap()), (b"one".to_vec(), b"of the web".to_vec()));
    let file = Watch::of(&[&key]);
    let directory = Watch::of(&[&prod.join("db")]);
    let neighbour = Watch::of(&[&web, &prod.join("web"), &prod, &place.mnt()]);
    refresh(&prod);
    store.put("db.json", br#"{"KEY":"the second","OTHER":"x"}"#);
    refresh(&prod);
    let events = file.wait_for(&[""]);
    assert_eq!(events.len(), 2, "one of each: {events:?}");
    // OTHER has been looked at by nobody.
    let events = directory.wait_for(&["KEY", "OTHER"]);
    assert_eq!(events.len(), 4, "{events:?}");
    // Whoever is told finds what is new.
    assert_eq!((fs::metadata(&key).unwrap().len(), fs::read(&key).unwrap()), (10, b"the second".to_vec()));
    // And once more, at the same inode, though memory was emptied in between.
    assert!(Command::new(HUSHFS).arg("flush").arg(&prod).output().unwrap().status.success());
    store.put("db.json", br#"{"KEY":"three","OTHER":"x"}"#);
    assert_eq!(fs::read(&key).unwrap(), b"three");
    assert_eq!(file.wait_for(&[""]).len(), 2);
    assert_eq!(neighbour.events(), []);
}

#[test]
fn an_event_asks_no_provider_leaves_no_record_and_changes_no_time() {
    let (place, store) = place();
    let audit = AuditFile::new(&place, "audit");
    let daemon = place.mount(&(LONG.to_owned() + &store.scope("prod") + &audit.section("")));
    let key = place.mnt().join("prod/db/KEY");
    fs::read(&key).unwrap();
    let watch = Watch::of(&[&key, key.parent().unwrap()]);
    let changed = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    store.put_at("db.json", br#"{"KEY":"two"}"#, changed);
    let calls = || ["list", "look", "fetch"].map(|kind| place.calls("prod", kind));
    let before = calls();
    refresh(&key);
    watch.wait_for(&["", "KEY"]);
    let after = calls();
    assert_eq!(after, [before[0], before[1], before[2] + 1], "the refresh alone");
    assert_eq!(fs::metadata(&key).unwrap().modified().unwrap(), changed);
    assert_eq!(daemon.stop().code(), Some(0));
    let lines = audit.lines();
    assert_eq!(lines.len(), 1, "the read alone: {lines:?}");
}

#[cfg(feature = "aws")]
#[test]
fn what_is_waited_for_is_asked_once_though_watchers_are_told_meanwhile() {
    const WAITING: u64 = 20;
    let (place, store) = place();
    let cloud = crate::support::cloud::Cloud::start(&place);
    let scopes = store.scope("prod") + "timeout = \"60s\"\n" + &cloud.scope("slow", "timeout = \"1h\"");
    let _daemon = cloud.mount(&place, &(LONG.to_owned() + &scopes));
    let key = place.mnt().join("prod/db/KEY");
    fs::read(&key).unwrap();
    cloud.proxy.set("*", crate::support::fault_proxy::Fault::Hang);
    let tasks = || place.status()["tasks"].as_u64().expect("a number");
    let before = tasks();
    let read = |number| {
        let path = place.mnt().join(format!("slow/cold-{number}/value"));
        Guarded::spawn(Command::new("cat").arg(path).stderr(Stdio::null())).expect("cat runs")
    };
    let _waiting: Vec<_> = (0..WAITING).map(read).collect();
    eventually("all wait", || (tasks() >= before + WAITING).then_some(()));
    for round in 0..30 {
        let watch = Watch::of(&[&key]);
        store.put("db.json", format!(r#"{{"KEY":"{round} of several"}}"#).as_bytes());
        refresh(&key);
        watch.wait_for(&[""]);
    }
    // Each waits in four. Asked again now and then, it were hundreds.
    assert!(tasks() < before + 8 * WAITING, "{} tasks", tasks());
}

/// The last options of the mount's line in the table: those of the file system, whatever the mount's are.
fn of_the_file_system(mountpoint: &Path) -> String {
    let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let line = table.lines().find(|line| line.split(' ').nth(4) == mountpoint.to_str()).expect("it is mounted");
    line.rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn whoever_only_watches_is_told_once_somebody_else_reads_after_the_ttl() {
    let (place, store) = place();
    let _daemon = place.mount(&("events = true\n[cache]\nttl = \"100ms\"\n".to_owned() + &store.scope("prod")));
    let key = place.mnt().join("prod/db/KEY");
    fs::read(&key).unwrap();
    let ino = fs::metadata(&key).unwrap().ino();
    let watch = Watch::of(&[&key]);
    store.put("db.json", br#"{"KEY":"two"}"#);
    eventually("it is read", || (fs::read(&key).unwrap() == b"two").then_some(()));
    assert_eq!(watch.wait_for(&[""]).len(), 2);
    assert_eq!(fs::metadata(&key).unwrap().ino(), ino);
}

/// Prints what a watched file holds each time that it is told of it.
const WATCHDOG: &str = r#"
import sys
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

class Handler(FileSystemEventHandler):
    def on_modified(self, event):
        if not event.is_directory:
            print(event.src_path, open(event.src_path).read(), flush=True)

observer = Observer()
observer.schedule(Handler(), sys.argv[1])
observer.start()
print("watching", flush=True)
observer.join()
"#;

#[test]
fn pythons_watchdog_is_told() {
    let python = crate::support::missing::tool("HUSHFS_TEST_WATCHDOG_PYTHON", "venv/bin/python");
    let (place, store) = place();
    let _daemon = place.mount(&(LONG.to_owned() + &store.scope("prod")));
    let db = place.mnt().join("prod/db");
    fs::read(db.join("KEY")).unwrap();
    let mut command = Command::new(python);
    command.args(["-c", WATCHDOG]).arg(&db).stdout(Stdio::piped());
    let mut watching = Guarded::spawn(&mut command).expect("python");
    let mut said = BufReader::new(watching.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(said.next().as_deref(), Some("watching"));
    store.put("db.json", br#"{"KEY":"two"}"#);
    refresh(&db);
    let told = format!("{} two", db.join("KEY").display());
    assert!(said.any(|line| line == told));
}

#[test]
fn inotifywait_is_told() {
    crate::support::missing::program("inotifywait", "inotify-tools");
    let (place, store) = place();
    let _daemon = place.mount(&(LONG.to_owned() + &store.scope("prod")));
    let key = place.mnt().join("prod/db/KEY");
    fs::read(&key).unwrap();
    let mut command = Command::new("inotifywait");
    command.args(["-e", "modify", "--format", "%e"]).arg(&key).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut waiting = Guarded::spawn(&mut command).expect("inotifywait");
    let mut told = BufReader::new(waiting.0.stderr.take().unwrap()).lines();
    assert!(told.any(|line| line.unwrap().contains("Watches established")));
    store.put("db.json", br#"{"KEY":"two"}"#);
    refresh(&key);
    assert!(waiting.0.wait().unwrap().success());
    let said = std::io::read_to_string(waiting.0.stdout.take().unwrap()).unwrap();
    assert_eq!(said.trim(), "MODIFY");
}

/// Needs another user.
mod as_root {
    use super::*;
    use crate::as_root::permissions::mount_as;
    use crate::support::users::{NOBODY, as_user, hushfs_as};

    /// A process that goes on when this is dropped.
    struct Stopped(Pid);

    impl Stopped {
        fn new(process: Pid) -> Self {
            kill_process(process, Signal::STOP).unwrap();
            Self(process)
        }
    }

    impl Drop for Stopped {
        fn drop(&mut self) {
            let _ = kill_process(self.0, Signal::CONT);
        }
    }

    #[test]
    fn without_the_setting_a_users_mount_is_read_only_to_the_kernel() {
        let place = Place::new();
        let daemon = mount_as(&place, NOBODY, "");
        assert!(of_the_file_system(&place.mnt()).starts_with("ro"));
        assert_eq!(daemon.stop().code(), Some(0));
    }

    #[test]
    fn roots_file_system_is_read_only_to_the_kernel_again_once_watchers_are_told() {
        let (place, store) = place();
        let daemon = place.mount(&(LONG.to_owned() + &store.scope("prod")));
        let key = place.mnt().join("prod/db/KEY");
        fs::read(&key).unwrap();
        let watch = Watch::of(&[&key]);
        store.put("db.json", br#"{"KEY":"two"}"#);
        refresh(&key);
        watch.wait_for(&[""]);
        eventually("it is read-only", || of_the_file_system(&place.mnt()).starts_with("ro").then_some(()));
        // Those that touch files are the broker's.
        let broker = daemon.broker().as_raw_nonzero().get() as u32;
        eventually("no process is left", || children(broker).is_empty().then_some(()));
        assert_eq!(daemon.stop().code(), Some(0));
    }

    #[test]
    fn a_broker_that_answers_late_leaves_nothing_writable_and_watchers_are_told_then() {
        let (place, store) = place();
        let daemon = place.mount(&(LONG.to_owned() + &store.scope("prod")));
        let [key, other] = ["db", "web"].map(|name| place.mnt().join("prod").join(name).join("KEY"));
        fs::read(&key).unwrap();
        fs::read(&other).unwrap();
        let watches = [&key, &other].map(|path| Watch::of(&[path]));
        let broker = daemon.broker();
        let stopped = Stopped::new(broker);
        store.put("db.json", br#"{"KEY":"two"}"#);
        refresh(&key);
        eventually("nobody waits for it any more", || place.log().contains("is told of changes later").then_some(()));
        store.put("web.json", br#"{"KEY":"of the web, too"}"#);
        refresh(&other);
        drop(stopped);
        // It does now what it was asked for then.
        let mended = || place.log().contains("read-only to the kernel again").then_some(());
        eventually("it is asked to end that", mended);
        for watch in watches {
            watch.wait_for(&[""]);
        }
        assert!(!place.log().contains("is not told of changes"), "{}", place.log());
        eventually("it is read-only", || of_the_file_system(&place.mnt()).starts_with("ro").then_some(()));
        assert_eq!(daemon.stop().code(), Some(0));
    }

    #[test]
    fn whoever_unmounts_while_watchers_are_told_is_not_refused_and_the_daemon_ends() {
        for _ in 0..10 {
            let (place, store) = place();
            let mut daemon = place.mount(&(LONG.to_owned() + &store.scope("prod")));
            let key = place.mnt().join("prod/db/KEY");
            fs::read(&key).unwrap();
            store.put("db.json", br#"{"KEY":"two"}"#);
            refresh(&key);
            rustix::mount::unmount(place.mnt(), rustix::mount::UnmountFlags::empty()).expect("nobody keeps it busy");
            assert_eq!(daemon.wait().code(), Some(0));
        }
    }

    #[test]
    fn a_user_who_mounts_through_fusermount_has_events_too_and_writes_nothing() {
        let place = Place::new();
        let daemon = mount_as(&place, NOBODY, LONG);
        assert!(of_the_file_system(&place.mnt()).starts_with("rw"));
        let key = place.mnt().join("prod/db/KEY");
        let watch = as_user(NOBODY, || {
            assert_eq!(fs::read(&key).unwrap(), b"value");
            Watch::of(&[&key])
        });
        fs::write(place.path().join("store/db.json"), br#"{"KEY":"two"}"#).unwrap();
        assert!(hushfs_as(&place, NOBODY, &["refresh"]).output().unwrap().status.success());
        assert_eq!(watch.wait_for(&[""]).len(), 2);
        as_user(NOBODY, || {
            let errno = |result: std::io::Result<()>| result.unwrap_err().raw_os_error();
            let open = fs::File::open(&key).unwrap();
            assert_eq!(errno(open.set_modified(std::time::SystemTime::now())), Some(libc::EROFS));
            for refused in [errno(fs::File::create(key.with_file_name("new")).map(drop)), errno(fs::write(&key, "x"))] {
                assert!([Some(libc::EROFS), Some(libc::EACCES)].contains(&refused), "{refused:?}");
            }
        });
        assert_eq!(daemon.stop().code(), Some(0));
    }
}
