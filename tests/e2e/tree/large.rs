//! Many secrets, deep folders, long paths.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

use super::{errno, listed, sh};
use crate::support::daemon::Place;
use crate::support::plain::PlainStore;

const MANY: usize = 10_000;

fn many(place: &Place) -> PlainStore {
    let store = PlainStore::new(place.path(), "store");
    for number in 0..MANY {
        std::fs::write(store.path.join(format!("secret-{number:05}")), format!("value {number}")).unwrap();
    }
    store
}

#[test]
fn ten_thousand_secrets_are_listed_completely_and_once_each() {
    let place = Place::new();
    let store = many(&place);
    let _daemon = place.mount(&store.scope("prod"));
    let prod = place.mnt().join("prod");
    let expected: Vec<String> = (0..MANY).map(|number| format!("secret-{number:05}")).collect();
    assert_eq!(listed(&prod), expected);
    assert_eq!(sh("ls \"$1\"", &prod), expected.iter().map(|name| format!("{name}\n")).collect::<String>());
    assert_eq!(sh("ls -l \"$1\" | wc -l", &prod), format!("{}\n", MANY + 1));
    let scandir = "import os,sys; n = [e.name for e in os.scandir(sys.argv[1])]; print(len(n), len(set(n)))";
    assert_eq!(sh(&format!("python3 -c '{scandir}' \"$1\""), &prod), format!("{MANY} {MANY}\n"));
    assert_eq!(small_reads(&prod).len(), MANY + 2);
    assert_eq!(std::fs::read(prod.join("secret-09999/value")).unwrap(), b"value 9999");
    assert_eq!(place.calls("prod", "fetch"), 1);
}

/// All names, read with buffers that hold two or three.
fn small_reads(directory: &std::path::Path) -> HashSet<Vec<u8>> {
    let directory = std::fs::File::open(directory).unwrap();
    let mut names = HashSet::new();
    let mut buffer = [0_u8; 100];
    loop {
        // SAFETY: a buffer of the length that is told.
        let length =
            unsafe { libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) };
        let length = usize::try_from(length).unwrap_or_else(|_| panic!("{}", std::io::Error::last_os_error()));
        if length == 0 {
            return names;
        }
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
            // linux_dirent64: inode and offset of 8 bytes each, a length of 2, a type of 1, the name.
            let record = usize::from(u16::from_ne_bytes([rest[16], rest[17]]));
            let name = CStr::from_bytes_until_nul(&rest[19..record]).unwrap();
            assert!(names.insert(name.to_bytes().to_vec()), "{name:?} twice");
            rest = &rest[record..];
        }
    }
}

#[test]
fn a_place_in_a_listing_can_be_returned_to() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    for number in 0..500 {
        store.put(&format!("secret-{number:03}"), b"x");
    }
    let _daemon = place.mount(&store.scope("prod"));
    let path = CString::new(place.mnt().join("prod").as_os_str().as_bytes()).unwrap();
    // SAFETY: a C string; the stream is checked and closed below.
    let stream = unsafe { libc::opendir(path.as_ptr()) };
    assert!(!stream.is_null());
    let next = || {
        // SAFETY: the stream is open; the entry is copied before the next call.
        let entry = unsafe { libc::readdir(stream) };
        // SAFETY: an entry's name ends with a NUL.
        (!entry.is_null()).then(|| unsafe { CStr::from_ptr((*entry).d_name.as_ptr()) }.to_owned())
    };
    let mut places = Vec::new();
    loop {
        // SAFETY: the stream is open.
        let at = unsafe { libc::telldir(stream) };
        let Some(name) = next() else { break };
        places.push((at, name));
    }
    assert_eq!(places.len(), 502);
    for (at, name) in places.iter().rev().step_by(37).chain(&places[..5]) {
        // SAFETY: the stream is open and the place came from it.
        unsafe { libc::seekdir(stream, *at) };
        assert_eq!(next().as_ref(), Some(name));
    }
    // SAFETY: the stream is open.
    unsafe { libc::rewinddir(stream) };
    assert_eq!(next().as_ref(), Some(&places[0].1));
    // SAFETY: the stream is open, and not used again.
    assert_eq!(unsafe { libc::closedir(stream) }, 0);
}

#[test]
fn a_hundred_levels_are_listed_and_read() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    let deep: Vec<String> = (0..100).map(|level| format!("level-{level}")).collect();
    let deep = deep.join("/");
    store.put(&format!("{deep}/secret"), b"deep down");
    let _daemon = place.mount(&store.scope("prod"));
    let prod = place.mnt().join("prod");
    assert_eq!(std::fs::read(prod.join(&deep).join("secret/value")).unwrap(), b"deep down");
    assert_eq!(sh("find \"$1\" -type f | wc -l", &prod), "1\n");
    assert_eq!(sh("find \"$1\" -type d | wc -l", &prod), "102\n");
    assert_eq!(listed(&prod.join(&deep)), ["secret"]);
}

#[test]
fn a_path_may_be_as_long_as_the_system_takes() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    // Whatever the folders' own names take of PATH_MAX, the secret's path fits below both.
    let room = 4096 - place.path().as_os_str().len() - "/store//.new".len() - "/mnt/prod//value".len();
    let mut name = "d".repeat(255);
    while name.len() + 256 < room {
        name = format!("{name}/{}", "d".repeat(255));
    }
    store.put(&name, b"far away");
    let _daemon = place.mount(&store.scope("prod"));
    let prod = place.mnt().join("prod");
    assert!(name.len() > 3500);
    assert_eq!(std::fs::read(prod.join(&name).join("value")).unwrap(), b"far away");
    assert_eq!(sh("find \"$1\" -type f | wc -l", &prod), "1\n");
    assert_eq!(errno(std::fs::metadata(prod.join("d".repeat(256)))), libc::ENAMETOOLONG);
}
