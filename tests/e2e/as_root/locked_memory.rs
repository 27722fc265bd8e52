//! What an ordinary user may lock.

use std::fs;

use crate::support::daemon::{Place, limit};
use crate::support::memory::family;
use crate::support::users::{NOBODY, as_user, hushfs_as, private_mounts};

/// What a login gets by default.
const ORDINARY: u64 = 8 << 20;
/// Of as many secrets, each of so many bytes: three times as much as may be locked.
const SECRETS: usize = 400;
const LENGTH: usize = 60_000;

#[test]
fn an_ordinary_user_keeps_only_as_many_values_as_can_be_locked_and_serves_them_all() {
    let place = Place::new();
    private_mounts(&place, NOBODY);
    let store = place.path().join("store");
    fs::create_dir(&store).unwrap();
    for n in 0..SECRETS {
        // Such as many sizes of slots are used.
        fs::write(store.join(format!("secret-{n}")), vec![b'x'; LENGTH >> (n % 12)]).unwrap();
    }
    fs::write(store.join("large"), vec![b'x'; 1 << 20]).unwrap();
    for entry in fs::read_dir(&store).unwrap() {
        std::os::unix::fs::chown(entry.unwrap().path(), Some(NOBODY), None).unwrap();
    }
    place.configure(&format!(
        "[cache]\nttl = \"1h\"\n[scopes.app]\nprovider = \"local\"\npath = {store:?}\nallow_plaintext = true\n"
    ));
    let mut command = hushfs_as(&place, NOBODY, &["mount"]);
    limit(&mut command, libc::RLIMIT_MEMLOCK, ORDINARY);
    let daemon = place.start(command);
    let app = place.mnt().join("app");
    as_user(NOBODY, || {
        for _ in 0..2 {
            for n in 0..SECRETS {
                let length = fs::read(app.join(format!("secret-{n}/value"))).unwrap().len();
                assert_eq!(length, LENGTH >> (n % 12));
            }
            assert_eq!(fs::read(app.join("large/value")).unwrap().len(), 1 << 20);
        }
    });
    let status = as_user(NOBODY, || {
        let output = hushfs_as(&place, NOBODY, &["status", "--json"]).output().unwrap();
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    });
    let cache = &status["cache"];
    assert_eq!(cache["memory_unlocked"], 0, "{cache}");
    assert!(cache["memory_mapped"].as_u64() > Some(1 << 20), "{cache}");
    assert_eq!(cache["max_bytes"], (ORDINARY - (1 << 20)) / 2);
    let locked = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    let locked = locked.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap().trim().to_owned();
    assert_ne!(locked, "0 kB");
    // All of it would not fit, and what does not fit cannot be mapped.
    assert_eq!(cache["memory_all_locked"], false);
    for process in family(daemon.child.id()) {
        let in_images = fs::read_to_string(format!("/proc/{process}/coredump_filter")).unwrap();
        assert_eq!(in_images.trim(), "00000000", "an image of a user's daemon has no memory either");
    }
    assert!(!place.log().contains("refuses to lock"), "{}", place.log());
    assert!(place.log().contains("the kernel lets so many bytes be locked"), "{}", place.log());
    assert_eq!(daemon.stop().code(), Some(0));
}
