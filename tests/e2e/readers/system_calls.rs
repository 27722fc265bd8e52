//! System calls that programs seldom make, on values that nobody has looked at.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use crate::support::daemon::{Daemon, Place};
use crate::support::plain::PlainStore;

/// Calls `check` with the path of each value, never fetched before, and the value.
fn for_each_value(check: impl Fn(PathBuf, &[u8])) {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    let values = super::values();
    for (name, value) in &values {
        store.put(name, value);
    }
    let _daemon: Daemon = place.mount(&store.scope("prod"));
    for (name, value) in &values {
        check(place.mnt().join("prod").join(name).join("value"), value);
    }
    assert_eq!(place.calls("prod", "fetch"), values.len() as u64);
}

#[test]
fn reads_at_any_offset_give_what_is_there_and_nothing_past_the_end() {
    for_each_value(|path, value| {
        let file = File::open(&path).unwrap();
        let mut buffer = vec![0; 70_000];
        for offset in [0, 1, 3, 511, 4094, 4095, 4096, 4097, 65_535, 65_536, (1 << 20) - 1, 1 << 20, 1 << 40] {
            for length in [0, 1, 2, 4096, 5000, 70_000] {
                let got = file.read_at(&mut buffer[..length], offset).unwrap();
                let start = (offset as usize).min(value.len());
                let expected = &value[start..(start + length).min(value.len())];
                assert_eq!(&buffer[..got], expected, "{} at {offset}, {length} bytes", path.display());
            }
        }
        assert_eq!(file.read_at(&mut buffer, i64::MAX as u64 - 100_000).unwrap(), 0);
        assert!(file.read_at(&mut buffer, u64::MAX).is_err(), "a negative offset");
    });
}

#[test]
fn seeking_knows_the_end_and_sees_no_holes() {
    for_each_value(|path, value| {
        let mut file = File::open(&path).unwrap();
        assert_eq!(file.metadata().unwrap().len(), value.len() as u64);
        assert_eq!(file.seek(SeekFrom::End(0)).unwrap(), value.len() as u64);
        assert_eq!(file.read(&mut [0; 10]).unwrap(), 0);
        if let Some(&last) = value.last() {
            file.seek(SeekFrom::End(-1)).unwrap();
            let mut byte = [0];
            file.read_exact(&mut byte).unwrap();
            assert_eq!(byte, [last]);
            // SAFETY: lseek on a descriptor that is open.
            let hole = unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_HOLE) };
            assert_eq!(hole, value.len() as i64);
            // SAFETY: as above.
            assert_eq!(unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_DATA) }, 0);
        }
        assert!(file.seek(SeekFrom::Current(-(1 << 40))).is_err());
    });
}

#[test]
fn a_descriptor_with_o_direct_reads_the_same() {
    for_each_value(|path, value| {
        let mut file = File::options().read(true).custom_flags(libc::O_DIRECT).open(&path).unwrap();
        let mut got = Vec::new();
        file.read_to_end(&mut got).unwrap();
        assert_eq!(got, value, "{}", path.display());
    });
}

#[test]
fn mappings_shared_and_private_hold_the_value_and_zeros_to_the_end_of_the_page() {
    for_each_value(|path, value| {
        for sharing in [libc::MAP_SHARED, libc::MAP_PRIVATE] {
            let file = File::open(&path).unwrap();
            let length = value.len().next_multiple_of(4096);
            if length == 0 {
                return;
            }
            // SAFETY: a new mapping; it is used only below and unmapped after.
            let address =
                unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, sharing, file.as_raw_fd(), 0) };
            assert_ne!(address, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
            drop(file);
            // SAFETY: the mapping is `length` bytes long and nobody writes to it.
            let mapped = unsafe { std::slice::from_raw_parts(address.cast::<u8>(), length) };
            assert!(mapped.starts_with(value), "{}", path.display());
            assert!(mapped[value.len()..].iter().all(|&byte| byte == 0));
            // SAFETY: the mapping made above.
            assert_eq!(unsafe { libc::munmap(address, length) }, 0);
        }
    });
}

#[test]
fn a_mapping_cannot_be_shared_and_writable() {
    for_each_value(|path, _| {
        let file = File::open(&path).unwrap();
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, which is not used.
        let address =
            unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        assert_eq!(address, libc::MAP_FAILED);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EACCES));
    });
}

#[test]
fn copies_of_a_descriptor_share_an_offset_and_separate_opens_do_not() {
    for_each_value(|path, value| {
        let mut first = File::open(&path).unwrap();
        let mut copy = first.try_clone().unwrap();
        let mut other = File::open(&path).unwrap();
        let half = value.len() / 2;
        let mut buffer = vec![0; half];
        first.read_exact(&mut buffer).unwrap();
        let mut rest = Vec::new();
        copy.read_to_end(&mut rest).unwrap();
        assert_eq!([buffer, rest].concat(), value);
        let mut whole = Vec::new();
        other.read_to_end(&mut whole).unwrap();
        assert_eq!(whole, value);
    });
}

#[test]
fn the_size_is_right_before_and_after_the_first_open() {
    for_each_value(|path, value| {
        assert_eq!(std::fs::metadata(&path).unwrap().len(), value.len() as u64, "{}", path.display());
        assert_eq!(File::open(&path).unwrap().metadata().unwrap().len(), value.len() as u64);
    });
}
