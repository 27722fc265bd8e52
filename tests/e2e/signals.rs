//! Stopped, gone on, hung up on, killed in the middle.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::daemon::{Place, eventually};
use crate::support::store::Store;

#[test]
fn sighup_does_not_end_it() {
    let place = Place::new();
    let store = Store::new(place.path());
    store.put("a.age", b"x");
    let daemon = place.mount(&store.scope("prod"));
    for _ in 0..3 {
        daemon.signal(libc::SIGHUP);
        assert_eq!(fs::read(place.mnt().join("prod/a/value")).unwrap(), b"x");
    }
    eventually("it says so", || place.log().contains("reloaded: 1 scope is what it was").then_some(()));
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn while_it_is_stopped_readers_wait_and_then_they_get_their_value() {
    let place = Place::new();
    let store = Store::new(place.path());
    store.put("a.age", b"x");
    let daemon = place.mount(&store.scope("prod"));
    daemon.halt();
    let path = place.mnt().join("prod/a/value");
    let reader = std::thread::spawn(move || fs::read(path));
    // Other commands say what is the matter and do not hang with it.
    let mount = place.run(&["mount"]);
    let unmount = place.run(&["unmount"]);
    let waited = !reader.is_finished();
    daemon.signal(libc::SIGCONT);
    assert!(waited, "nobody else answered");
    assert_eq!(reader.join().unwrap().unwrap(), b"x");
    for output in [mount, unmount] {
        assert_eq!(output.status.code(), Some(69));
        assert!(String::from_utf8_lossy(&output.stderr).contains("does not answer"));
    }
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn killed_while_it_is_read_from_it_hangs_nobody_and_the_next_one_serves() {
    let place = Place::new();
    let store = Store::new(place.path());
    store.put("a.age", &vec![b'x'; 1 << 20]);
    let configuration = store.scope("prod") + "ttl = \"1ms\"\n";
    for _ in 0..5 {
        let mut daemon = place.mount(&configuration);
        let (path, stop, reads) = (place.mnt().join("prod/a/value"), AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while !stop.load(Ordering::SeqCst) {
                        if let Ok(bytes) = fs::read(&path) {
                            assert_eq!(bytes.len(), 1 << 20);
                            reads.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
            eventually("it is read from", || (reads.load(Ordering::SeqCst) > 5).then_some(()));
            daemon.signal(libc::SIGKILL);
            assert_eq!(daemon.wait().signal(), Some(libc::SIGKILL));
            // The scope's end waits for the readers: none may hang.
            std::thread::sleep(Duration::from_millis(20));
            stop.store(true, Ordering::SeqCst);
        });
    }
    let daemon = place.mount(&configuration);
    assert_eq!(fs::read(place.mnt().join("prod/a/value")).unwrap().len(), 1 << 20);
    assert_eq!(daemon.stop().code(), Some(0));
}
