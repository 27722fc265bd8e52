//! Mounting, stopping, dying, and starting again.

use std::os::unix::process::ExitStatusExt;

use crate::support::daemon::{Place, is_mounted};
use crate::support::store::Store;

#[test]
fn a_secret_of_the_local_store_is_read_with_cat() {
    let place = Place::new();
    let store = Store::new(place.path());
    store.put("db-credentials.json.age", br#"{"DB_PASSWORD":"hunter2"}"#);
    let _daemon = place.mount(&store.scope("prod"));
    let cat = std::process::Command::new("cat").arg(place.mnt().join("prod/db-credentials/DB_PASSWORD")).output();
    assert_eq!(cat.unwrap().stdout, b"hunter2");
}

#[test]
fn sigterm_and_sigint_unmount_and_end_with_success() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let place = Place::new();
        let store = Store::new(place.path());
        let mut daemon = place.mount(&store.scope("prod"));
        assert!(is_mounted(&place.mnt()));
        daemon.signal(signal);
        assert_eq!(daemon.wait().code(), Some(0));
        assert!(!is_mounted(&place.mnt()));
    }
}

#[test]
fn a_file_that_is_open_does_not_keep_the_daemon_from_stopping() {
    let place = Place::new();
    let store = Store::new(place.path());
    store.put("a.age", b"x");
    let daemon = place.mount(&store.scope("prod"));
    let open = std::fs::File::open(place.mnt().join("prod/a/value")).unwrap();
    assert_eq!(daemon.stop().code(), Some(0));
    assert!(!is_mounted(&place.mnt()));
    drop(open);
}

#[test]
fn unmounting_from_outside_ends_the_daemon_with_success() {
    let place = Place::new();
    let store = Store::new(place.path());
    let mut daemon = place.mount(&store.scope("prod"));
    let output = place.run(&["unmount"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(!is_mounted(&place.mnt()));
}

#[test]
fn a_second_mount_at_the_same_place_is_refused_and_harms_nothing() {
    let place = Place::new();
    let store = Store::new(place.path());
    store.put("a.age", b"x");
    let _daemon = place.mount(&store.scope("prod"));
    let output = place.run(&["mount"]);
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&output.stderr).contains("mounted at"));
    assert_eq!(std::fs::read(place.mnt().join("prod/a/value")).unwrap(), b"x");
}

#[test]
fn after_a_sigkill_the_next_mount_clears_the_place_and_serves() {
    let place = Place::new();
    let store = Store::new(place.path());
    store.put("a.age", b"x");
    let mut daemon = place.mount(&store.scope("prod"));
    let open = std::fs::File::open(place.mnt().join("prod/a/value")).unwrap();
    daemon.signal(libc::SIGKILL);
    assert_eq!(daemon.wait().signal(), Some(libc::SIGKILL));
    assert_eq!(std::fs::read_dir(place.mnt()).unwrap_err().raw_os_error(), Some(libc::ENOTCONN));
    let _daemon = place.mount(&store.scope("prod"));
    assert_eq!(std::fs::read(place.mnt().join("prod/a/value")).unwrap(), b"x");
    drop(open);
}

#[test]
fn unmount_clears_away_what_a_dead_daemon_left() {
    let place = Place::new();
    let store = Store::new(place.path());
    let mut daemon = place.mount(&store.scope("prod"));
    daemon.signal(libc::SIGKILL);
    daemon.wait();
    assert!(is_mounted(&place.mnt()));
    let output = place.run(&["unmount"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!is_mounted(&place.mnt()));
    let again = place.run(&["unmount"]);
    assert_eq!(again.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&again.stderr).contains("no hushfs is mounted"));
}

#[test]
fn status_tells_of_a_dead_daemon_and_of_none() {
    let place = Place::new();
    let store = Store::new(place.path());
    place.configure(&store.scope("prod"));
    let output = place.run(&["status"]);
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no hushfs is mounted"));
    let mut daemon = place.mount(&store.scope("prod"));
    daemon.signal(libc::SIGKILL);
    daemon.wait();
    let output = place.run(&["status"]);
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&output.stderr).contains("has died"));
}

#[test]
fn a_missing_mountpoint_and_a_file_for_one_are_clear_errors() {
    let place = Place::new();
    let store = Store::new(place.path());
    place.configure(&store.scope("prod"));
    std::fs::remove_dir(place.mnt()).unwrap();
    let output = place.run(&["mount"]);
    assert_eq!(output.status.code(), Some(71));
    assert!(String::from_utf8_lossy(&output.stderr).contains("mkdir -p"));
    std::fs::write(place.mnt(), "").unwrap();
    let output = place.run(&["mount"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("not a directory"));
}
