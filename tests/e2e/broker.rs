//! The process that does for the daemon what that may not do itself.

use std::fs;

use crate::support::daemon::Place;
use crate::support::plain::PlainStore;

#[test]
fn a_daemon_whose_broker_is_killed_says_so_and_ends_with_an_error_and_the_next_one_mounts() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("a", b"x");
    let log = place.path().join("audit.log");
    let configuration = format!("[audit]\nfile = {log:?}\n{}", store.scope("prod"));
    let value = place.mnt().join("prod/a/value");
    let mut daemon = place.mount(&configuration);
    assert_eq!(fs::read(&value).expect("a value"), b"x");
    rustix::process::kill_process(daemon.broker(), rustix::process::Signal::KILL).expect("it is there");
    assert_eq!(daemon.wait().code(), Some(69), "{}", place.log());
    assert!(place.log().contains("the process hushfs-broker has ended"), "{}", place.log());
    assert!(fs::read_to_string(&log).expect("records").contains("prod/a/value"), "the last records are written");
    drop(daemon);
    let daemon = place.mount(&configuration);
    assert_eq!(fs::read(&value).expect("a value"), b"x");
    assert_eq!(daemon.stop().code(), Some(0));
}
