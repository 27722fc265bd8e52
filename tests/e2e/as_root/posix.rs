//! Every system call is answered as an ordinary file system answers it that is mounted read-only: each is made here and
//! on a twin, the same tree on a tmpfs.

mod calls;
mod descriptors;
mod twin;

use crate::support::daemon::Place;
use crate::support::plain::PlainStore;
use twin::Twin;

/// Names that are looked up below the secret's directory, or above it.
const PATHS: [&str; 26] = [
    "key",
    "empty",
    ".raw",
    ".env",
    "@current",
    "@current/",
    "@current/key",
    "@current/key/",
    "@current/../key",
    ".",
    "..",
    "../",
    "../../",
    "key/",
    "key/.",
    "key/..",
    "key/below",
    "nosuch",
    "nosuch/",
    "nosuch/below",
    "@nosuch",
    "./key",
    ".//key",
    "../db/key",
    "NAME_OF_255",
    "NAME_OF_256",
];

/// The tree here, and its twin.
fn pair(place: &Place) -> (crate::support::daemon::Daemon<'_>, Twin) {
    let store = PlainStore::new(place.path(), "store");
    store.put("db.json", br#"{"key":"0123456789","empty":""}"#);
    let daemon = place.mount(&store.scope("prod"));
    let twin = Twin::of(&place.mnt(), &place.path().join("twin"), "prod/db", &["key", "empty", ".raw", ".env"]);
    (daemon, twin)
}

/// The name itself, or one as long as it says.
fn spelled(path: &str) -> String {
    path.replace("NAME_OF_255", &"x".repeat(255)).replace("NAME_OF_256", &"x".repeat(256))
}

#[test]
fn every_call_by_path_is_answered_as_on_a_read_only_tmpfs() {
    let place = Place::new();
    let (_daemon, twin) = pair(&place);
    let mut differ = Vec::new();
    let mut refused = 0;
    for path in PATHS {
        for call in calls::CALLS {
            let ours = calls::make(call, &place.mnt().join("prod/db"), &spelled(path));
            let theirs = calls::make(call, &twin.root().join("prod/db"), &spelled(path));
            if ours != theirs {
                differ.push(format!("{} of {path:?}: {ours} here, {theirs} there", call.name));
            }
            refused += u32::from(ours == libc::EROFS);
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");
    assert!(refused > 150, "that nothing can be written was found {refused} times");
    let names: Vec<_> =
        std::fs::read_dir(place.mnt().join("prod/db")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names, ["empty", "key"]);
    assert_eq!(std::fs::read(place.mnt().join("prod/db/key")).unwrap(), b"0123456789");
}

#[test]
fn every_call_on_a_descriptor_is_answered_as_on_a_read_only_tmpfs() {
    let place = Place::new();
    let (_daemon, twin) = pair(&place);
    let mut differ = Vec::new();
    for path in ["key", "empty", ".raw", ".env", "@current/key", ".", "@current/", ".."] {
        for call in descriptors::CALLS {
            // Of a directory each file system says what it likes.
            if call.is_about_holes() && path.ends_with(['.', '/']) {
                continue;
            }
            let ours = descriptors::make(call, &place.mnt().join("prod/db").join(path), place.path());
            let theirs = descriptors::make(call, &twin.root().join("prod/db").join(path), place.path());
            if ours != theirs {
                differ.push(format!("{} of {path:?}: {ours:?} here, {theirs:?} there", call.name));
            }
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");
}
