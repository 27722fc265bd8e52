//! What `stat`, `getfattr` and `df` say.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{errno, listed, sh};
use crate::support::daemon::Place;
use crate::support::plain::PlainStore;

fn place() -> (Place, PlainStore) {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    (place, store)
}

fn ino(path: &Path) -> u64 {
    std::fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).ino()
}

#[test]
fn times_and_sizes_are_those_of_the_version() {
    let (place, store) = place();
    let changed = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
    store.put_at("db.json", br#"{"a":"12345","b":""}"#, changed);
    store.put_at("old", b"x", SystemTime::UNIX_EPOCH - Duration::from_millis(1500));
    let _daemon = place.mount(&store.scope("prod"));
    let prod = place.mnt().join("prod");
    for (path, size) in [("db/a", 5_u64), ("db/b", 0), ("db/.raw", 20), ("old/value", 1)] {
        let meta = std::fs::metadata(prod.join(path)).unwrap();
        assert_eq!((meta.len(), meta.blocks()), (size, size.div_ceil(512)), "{path}");
        assert!(meta.is_file());
        assert_eq!(meta.nlink(), 1);
    }
    assert_eq!(std::fs::metadata(prod.join("db/a")).unwrap().modified().unwrap(), changed);
    assert_eq!(std::fs::metadata(prod.join("db")).unwrap().modified().unwrap(), changed);
    let old = std::fs::metadata(prod.join("old/value")).unwrap().modified().unwrap();
    assert_eq!(old, SystemTime::UNIX_EPOCH - Duration::from_millis(1500));
    for directory in ["", "db", "db/@current/"] {
        let meta = std::fs::metadata(prod.join(directory)).unwrap();
        assert!(meta.is_dir() && meta.nlink() >= 1, "{directory}");
    }
    assert_eq!(sh("ls -l \"$1\" | tail -n +2 | cut -c1-10", &prod.join("db")), "-r--------\n-r--------\n");
    assert_eq!(sh("ls -ld \"$1\" | cut -c1-10", &prod), "dr-x------\n");
}

/// Paths of every kind.
fn kinds(mnt: &Path) -> Vec<PathBuf> {
    [
        "",
        "prod",
        "prod/db",
        "prod/db/a",
        "prod/db/b",
        "prod/db/.raw",
        "prod/db/.json",
        "prod/db/.env",
        "prod/db/@current",
    ]
    .map(|path| mnt.join(path))
    .to_vec()
}

#[test]
fn inode_numbers_are_unique_and_stay_through_rotation_dropped_caches_and_a_new_mount() {
    let (place, store) = place();
    store.put("db.json", br#"{"a":"1","b":"2"}"#);
    let configuration = format!("[cache]\nttl = \"0\"\nlist_ttl = \"0\"\n{}", store.scope("prod"));
    let daemon = place.mount(&configuration);
    let before: Vec<u64> = kinds(&place.mnt()).iter().map(|path| ino(path)).collect();
    assert_eq!(before.iter().collect::<HashSet<_>>().len(), before.len(), "{before:?}");
    let same = |when: &str| {
        let now: Vec<u64> = kinds(&place.mnt()).iter().map(|path| ino(path)).collect();
        assert_eq!(now, before, "{when}");
    };
    for entry in std::fs::read_dir(place.mnt().join("prod/db")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.ino(), ino(&entry.path()), "a listing and stat say the same");
    }
    store.put("db.json", br#"{"a":"another value","b":"and more"}"#);
    same("after a rotation");
    // Only where it is allowed; containers often are not.
    let _ = std::fs::write("/proc/sys/vm/drop_caches", "2");
    same("after the kernel's caches were dropped");
    let open = std::fs::File::open(place.mnt().join("prod/db/a")).unwrap();
    store.put("db.json", br#"{"a":"a third","b":"and more"}"#);
    assert_eq!(open.metadata().unwrap().ino(), before[3]);
    drop(open);
    assert_eq!(daemon.stop().code(), Some(0));
    let _daemon = place.mount(&configuration);
    same("after a new mount");
}

fn c(text: impl AsRef<std::ffi::OsStr>) -> CString {
    CString::new(text.as_ref().as_bytes()).unwrap()
}

fn list_xattr(path: &Path, room: usize) -> std::io::Result<Vec<u8>> {
    let mut buffer = vec![0_u8; room];
    // SAFETY: a C string, and a buffer of the length that is told.
    let length = unsafe { libc::listxattr(c(path).as_ptr(), buffer.as_mut_ptr().cast(), room) };
    let length = usize::try_from(length).map_err(|_| std::io::Error::last_os_error())?;
    if room == 0 {
        return Ok(vec![0; length]);
    }
    buffer.truncate(length);
    Ok(buffer)
}

fn get_xattr(path: &Path, name: &str, room: usize) -> std::io::Result<Vec<u8>> {
    let mut buffer = vec![0_u8; room];
    // SAFETY: two C strings, and a buffer of the length that is told.
    let length = unsafe { libc::getxattr(c(path).as_ptr(), c(name).as_ptr(), buffer.as_mut_ptr().cast(), room) };
    let length = usize::try_from(length).map_err(|_| std::io::Error::last_os_error())?;
    if room == 0 {
        return Ok(vec![0; length]);
    }
    buffer.truncate(length);
    Ok(buffer)
}

#[test]
fn extended_attributes_say_where_a_value_is_from() {
    let (place, store) = place();
    store.put("db.json", br#"{"a":"1"}"#);
    let _daemon = place.mount(&store.scope("prod"));
    let key = place.mnt().join("prod/db/a");
    let get = |path: &Path, name: &str| String::from_utf8(get_xattr(path, name, 4096).unwrap()).unwrap();
    assert_eq!(get(&key, "user.hushfs.provider"), "local");
    assert_eq!(get(&key, "user.hushfs.source"), store.path.join("db.json").display().to_string());
    let version = std::fs::read_link(place.mnt().join("prod/db/@current")).unwrap();
    assert_eq!(format!("@{}", get(&key, "user.hushfs.version")), version.display().to_string());
    assert_eq!(get(&key, "user.hushfs.stale"), "0");
    get(&key, "user.hushfs.age").parse::<u64>().unwrap();
    assert!(get(&key, "user.hushfs.fetched") <= get(&key, "user.hushfs.expires"));
    // The directory too, now that the value is known.
    assert_eq!(get(&place.mnt().join("prod/db"), "user.hushfs.version"), get(&key, "user.hushfs.version"));
    let shown = sh("getfattr --absolute-names -d \"$1\" | grep -c '^user.hushfs.'", &key);
    assert_eq!(shown, "7\n");
    assert_eq!(sh("getfattr --absolute-names -d \"$1\"", &place.mnt().join("prod")), "");
}

#[test]
fn extended_attributes_follow_the_protocol_of_sizes() {
    let (place, store) = place();
    store.put("db.json", br#"{"a":"1"}"#);
    let _daemon = place.mount(&store.scope("prod"));
    let key = place.mnt().join("prod/db/a");
    let needed = list_xattr(&key, 0).unwrap().len();
    assert_eq!(list_xattr(&key, needed).unwrap().len(), needed);
    assert_eq!(list_xattr(&key, 65536).unwrap().len(), needed);
    assert_eq!(errno(list_xattr(&key, needed - 1)), libc::ERANGE);
    let provider = "user.hushfs.provider";
    assert_eq!(get_xattr(&key, provider, 0).unwrap().len(), 5);
    assert_eq!(get_xattr(&key, provider, 5).unwrap(), b"local");
    assert_eq!(errno(get_xattr(&key, provider, 4)), libc::ERANGE);
    for unknown in ["user.hushfs.nosuch", "user.other", "user.hushfs.", "security.selinux"] {
        assert_eq!(errno(get_xattr(&key, unknown, 100)), libc::ENODATA, "{unknown}");
    }
    let every = list_xattr(&key, needed).unwrap();
    for name in every.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let name = std::str::from_utf8(name).unwrap();
        get_xattr(&key, name, 4096).unwrap_or_else(|error| panic!("{name} is listed: {error}"));
    }
}

#[test]
fn programs_that_ask_for_the_file_systems_size_do_not_fail() {
    let (place, store) = place();
    store.put("a", b"x");
    let _daemon = place.mount(&store.scope("prod"));
    for path in [place.mnt(), place.mnt().join("prod"), place.mnt().join("prod/a/value")] {
        assert!(sh("df \"$1\"", &path).contains("hushfs"));
        sh("df -i \"$1\"; df -h \"$1\"; stat -f \"$1\"", &path);
        assert_eq!(sh("stat -f -c %l \"$1\"", &path), "255\n");
        assert_eq!(sh("findmnt -n -o FSTYPE -T \"$1\"", &path), "fuse.hushfs\n");
    }
}

#[test]
fn access_answers_by_the_permission_bits() {
    let (place, store) = place();
    store.put("a", b"x");
    let _daemon = place.mount(&store.scope("prod"));
    let can = |path: &str, what: i32| {
        // SAFETY: a C string.
        let result = unsafe { libc::access(c(place.mnt().join(path)).as_ptr(), what) };
        if result == 0 { 0 } else { std::io::Error::last_os_error().raw_os_error().unwrap() }
    };
    for directory in ["", "prod", "prod/a", "prod/a/@current"] {
        assert_eq!(can(directory, libc::R_OK | libc::X_OK), 0, "{directory}");
        assert_eq!(can(directory, libc::W_OK), libc::EROFS, "{directory}");
    }
    for file in ["prod/a/value", "prod/a/.raw"] {
        assert_eq!(can(file, libc::R_OK), 0);
        assert_eq!(can(file, libc::W_OK), libc::EROFS);
        assert_eq!(can(file, libc::X_OK), libc::EACCES);
        assert_eq!(can(file, libc::F_OK), 0);
    }
    assert_eq!(can("prod/a/nosuch", libc::F_OK), libc::ENOENT);
    let tests = r#"cd "$1"; test -r value; ! test -w value; ! test -x value; test -f value; test -d .; ! test -e nosuch
        test -L @current; test -d @current; test -O value; echo right"#;
    assert_eq!(sh(tests, &place.mnt().join("prod/a")), "right\n");
    assert_eq!(listed(&place.mnt().join("prod/a")), ["value"]);
}
