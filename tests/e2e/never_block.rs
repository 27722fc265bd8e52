//! A provider that hangs delays its own secrets, for as long as `timeout`, and nothing else.
//!
//! What must go on is checked by order and not by time: it must end while those who hang still do.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::cloud::Cloud;
use crate::support::daemon::{Daemon, Place, descriptors, errno_of_reading, is_mounted};
use crate::support::fault_proxy::Fault;
use crate::support::store::Store;

/// Readers in threads of their own, each of a file of its own.
struct Readers {
    threads: Vec<JoinHandle<Option<i32>>>,
    done: Arc<AtomicUsize>,
}

impl Readers {
    fn start(paths: impl Iterator<Item = PathBuf>) -> Self {
        let done = Arc::new(AtomicUsize::new(0));
        let read = |path: PathBuf| {
            let done = Arc::clone(&done);
            std::thread::spawn(move || {
                let errno = errno_of_reading(&path);
                done.fetch_add(1, Ordering::SeqCst);
                errno
            })
        };
        let threads = paths.map(read).collect();
        Self { threads, done }
    }

    fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    /// What each got.
    fn join(self) -> Vec<Option<i32>> {
        self.threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }
}

/// Waits until `holds`; the test fails if it never does.
fn until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn while_hundreds_wait_for_a_provider_that_hangs_everything_else_goes_on() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    let store = Store::new(place.path());
    store.put("cached.age", b"one");
    store.put("cold.age", b"two");
    cloud.create("cached", br#"{"A":"first","B":"second"}"#);
    cloud.create("team/db", b"third");
    // Names are old at once and values are not, so that the way to a cached value is asked for anew.
    let slow = cloud.scope("slow", "timeout = \"60s\"\nlist_ttl = \"500ms\"\nttl = \"10m\"");
    let daemon = cloud.mount(&place, &(slow + &store.scope("fast") + "timeout = \"60s\"\n"));
    let mnt = place.mnt();
    assert_eq!(fs::read(mnt.join("slow/cached/A")).unwrap(), b"first");
    assert_eq!(fs::read(mnt.join("slow/cached/B")).unwrap(), b"second");
    assert_eq!(fs::read(mnt.join("slow/team/db/value")).unwrap(), b"third");
    assert_eq!(fs::read(mnt.join("fast/cached/value")).unwrap(), b"one");

    cloud.proxy.set("*", Fault::Hang);
    cloud.proxy.forget_calls();
    std::thread::sleep(Duration::from_millis(1500));
    let readers = Readers::start((0..300).map(|n| mnt.join(format!("slow/cold-{n}/value"))));
    until("the provider hangs", || cloud.proxy.all_calls() >= 60);

    assert_eq!(fs::read(mnt.join("slow/cached/A")).unwrap(), b"first");
    assert_eq!(readers.done(), 0, "A sibling");
    // The slow scope's own values that memory holds: siblings of what is being looked up.
    assert_eq!(fs::read(mnt.join("slow/cached/A")).unwrap(), b"first");
    assert_eq!(fs::read(mnt.join("slow/cached/B")).unwrap(), b"second");
    assert_eq!(fs::read(mnt.join("slow/cached/.json")).unwrap(), br#"{"A":"first","B":"second"}"#);
    assert_eq!(fs::read_dir(mnt.join("slow/cached")).unwrap().count(), 2);
    assert_eq!(fs::read(mnt.join("slow/team/db/value")).unwrap(), b"third");
    assert_eq!(readers.done(), 0, "what memory holds was read while the others hung");
    // Another scope, from memory and from its provider.
    assert_eq!(fs::read(mnt.join("fast/cached/value")).unwrap(), b"one");
    assert_eq!(fs::read(mnt.join("fast/cold/value")).unwrap(), b"two");
    assert_eq!(fs::read_dir(mnt.join("fast")).unwrap().count(), 2);
    // The root, and questions about the daemon.
    assert_eq!(fs::read_dir(&mnt).unwrap().count(), 2);
    until("nothing is open", || place.status()["open"] == 0);
    assert_eq!(readers.done(), 0, "all that was while the others hung");

    daemon.signal(libc::SIGTERM);
    let mut daemon = daemon;
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(!is_mounted(&mnt));
    let log = place.log();
    assert!(!log.contains("defect"), "{log}");
    // The daemon is gone, and nobody hangs any more.
    assert!(readers.join().iter().all(Option::is_some));
}

/// Stops a daemon, and lets it go on when dropped.
struct Stopped<'a, 'b>(&'a Daemon<'b>);

impl<'a, 'b> Stopped<'a, 'b> {
    fn new(daemon: &'a Daemon<'b>) -> Self {
        daemon.halt();
        Self(daemon)
    }
}

impl Drop for Stopped<'_, '_> {
    fn drop(&mut self) {
        self.0.signal(libc::SIGCONT);
    }
}

#[test]
fn a_folder_on_a_file_system_that_hangs_delays_no_other_folder() {
    // A file system that hangs is easily had: a hushfs whose daemon is stopped.
    let disk = Place::new();
    let files = Store::new(disk.path());
    files.put("x.age", b"on a disk that hangs");
    let server = disk.mount(&files.scope("disk"));
    let place = Place::new();
    let store = Store::new(place.path());
    store.put("a.age", b"one");
    let stuck = disk.mnt().join("disk");
    let stuck = format!(
        "[scopes.stuck]\nprovider = \"local\"\npath = {stuck:?}\nallow_plaintext = true\ntimeout = \"300ms\"\n"
    );
    let daemon = place.mount(&(stuck + &store.scope("fast") + "timeout = \"60s\"\n"));
    let mnt = place.mnt();
    let stuck = mnt.join("stuck/x/value/value");
    until("it is read", || fs::read(&stuck).is_ok_and(|bytes| bytes == b"on a disk that hangs"));

    let stopped = Stopped::new(&server);
    // More than the threads that the daemon has for waiting.
    for round in 0..10 {
        let readers = Readers::start((0..64).map(|n| mnt.join(format!("stuck/cold-{round}-{n}/value"))));
        assert_eq!(readers.join(), [Some(libc::ETIMEDOUT); 64], "round {round}");
    }
    assert_eq!(fs::read(mnt.join("fast/a/value")).unwrap(), b"one");
    assert_eq!(fs::read_dir(mnt.join("fast")).unwrap().count(), 1);
    drop(stopped);
    until("it recovers", || errno_of_reading(&stuck).is_none());
    assert_eq!(daemon.stop().code(), Some(0));
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_path_that_takes_several_calls_waits_for_all_of_them_no_longer_than_for_one() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    cloud.create("db", b"value");
    let _daemon = cloud.mount(&place, &cloud.scope("slow", "timeout = \"4s\""));
    // The question about the name takes most of the time, and the value would take as long again.
    cloud.proxy.set("*", Fault::Delay(Duration::from_millis(2800)));
    let file = place.mnt().join("slow/db/value");
    assert_eq!(errno_of_reading(&file), Some(libc::ETIMEDOUT));
    until("what was under way arrives", || fs::read(&file).is_ok_and(|bytes| bytes == b"value"));
}

#[test]
fn a_path_through_a_link_waits_no_longer_than_another() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    cloud.create("db", b"value");
    let _daemon = cloud.mount(&place, &cloud.scope("slow", "timeout = \"4s\"\nttl = \"0\"\nmax_stale = \"0\""));
    let file = place.mnt().join("slow/db/@current/value");
    assert_eq!(fs::read(&file).unwrap(), b"value");
    // Each part of the path takes a call: two for the link, and three for what it leads to.
    cloud.proxy.set("GetSecretValue", Fault::Delay(Duration::from_millis(1200)));
    assert_eq!(errno_of_reading(&file), Some(libc::ETIMEDOUT));
    cloud.proxy.set("GetSecretValue", Fault::Pass);
    assert_eq!(fs::read(&file).unwrap(), b"value");
}

/// Needs what only root may do or see.
mod as_root {
    use super::*;

    #[test]
    fn whoever_waits_for_a_provider_that_hangs_gets_etimedout_and_leaves_nothing_behind() {
        let place = Place::new();
        let cloud = Cloud::start(&place);
        cloud.create("db", b"value");
        let daemon = cloud.mount(&place, &cloud.scope("slow", "timeout = \"2s\""));
        let mnt = place.mnt();
        let before = descriptors(&daemon);
        cloud.proxy.set("*", Fault::Hang);
        // Of many secrets, of one, and listings.
        let paths = (0..150).map(|n| mnt.join(format!("slow/cold-{n}/value")));
        let readers = Readers::start(paths.chain((0..50).map(|_| mnt.join("slow/db/value"))));
        assert_eq!(fs::read_dir(mnt.join("slow")).unwrap_err().raw_os_error(), Some(libc::ETIMEDOUT));
        assert!(readers.join().iter().all(|errno| *errno == Some(libc::ETIMEDOUT)));
        // A listing may take twelve timeouts in the background.
        cloud.proxy.set("*", Fault::Pass);
        until("it recovers", || fs::read(mnt.join("slow/db/value")).is_ok_and(|bytes| bytes == b"value"));
        until("nothing is open", || place.status()["open"] == 0);
        until("no connection is left", || descriptors(&daemon) <= before + 2);
        assert_eq!(daemon.stop().code(), Some(0));
    }
}
