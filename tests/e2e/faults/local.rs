//! The provider without a network: its folder and files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::daemon::{Place, drop_capabilities, errno_of_reading, eventually, xattr};
use crate::support::store::Store;

/// What lets root read what nobody may.
const CAP_DAC_OVERRIDE: i32 = 1;
const CAP_DAC_READ_SEARCH: i32 = 2;

/// What becomes of a file that is served, and what who reads it then gets: an errno, or None for the last good value.
type Fault = (&'static str, fn(&Path), Option<i32>);

const FAULTS: [Fault; 4] = [
    ("missing", |file| fs::remove_file(file).unwrap(), Some(libc::ENOENT)),
    ("unreadable", |file| fs::set_permissions(file, PermissionsExt::from_mode(0o000)).unwrap(), Some(libc::EACCES)),
    ("fifo", |file| replace(file, |new| mknod(new, rustix::fs::FileType::Fifo)), Some(libc::ENOENT)),
    (
        "half",
        |file| {
            let whole = fs::read(file).unwrap();
            replace(file, |new| fs::write(new, &whole[..whole.len() / 2]).unwrap());
        },
        Some(libc::EIO),
    ),
];

fn mknod(path: &Path, kind: rustix::fs::FileType) {
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, 0o600.into(), 0).unwrap();
}

fn replace(file: &Path, make: impl FnOnce(&Path)) {
    let new = file.with_file_name(".new");
    make(&new);
    fs::rename(new, file).unwrap();
}

#[test]
fn every_fault_of_a_local_store_shows_as_promised_and_passes() {
    let place = Place::new();
    let store = Store::new(place.path());
    let put = |name: &str| store.put(&format!("{name}.age"), b"value");
    FAULTS.iter().for_each(|(name, ..)| put(name));
    put("calm");
    let short = "ttl = \"200ms\"\nlist_ttl = \"200ms\"\nnegative_ttl = \"300ms\"\ntimeout = \"5s\"\n";
    place.configure(&(store.scope("dev") + short));
    let mut command = place.hushfs(&["mount"]);
    drop_capabilities(&mut command, &[CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH]);
    let daemon = place.start(command);
    let file = |name: &str| place.mnt().join("dev").join(name).join("value");
    let is_read = |name: &str| fs::read(file(name)).is_ok_and(|bytes| bytes == b"value").then_some(());

    for (name, break_it, errno) in FAULTS {
        assert!(is_read(name).is_some(), "{name}");
        break_it(&store.path.join(format!("{name}.age")));
        eventually(name, || (errno_of_reading(&file(name)) == errno).then_some(()));
        assert!(is_read("calm").is_some(), "beside {name}");
        put(name);
        eventually(name, || is_read(name));
    }
    // The folder as a whole: that is an outage, and no word about what was in it.
    let away = place.path().join("away");
    fs::rename(&store.path, &away).unwrap();
    eventually("it is noticed", || {
        assert!(is_read("calm").is_some(), "the last good value");
        (xattr(&file("calm"), "user.hushfs.stale")? == "1").then_some(())
    });
    assert_eq!(errno_of_reading(&file("never-read")), Some(libc::EHOSTUNREACH));
    fs::rename(away, &store.path).unwrap();
    eventually("it is fresh", || {
        is_read("calm")?;
        (xattr(&file("calm"), "user.hushfs.stale")? == "0").then_some(())
    });
    assert_eq!(daemon.stop().code(), Some(0));
}
