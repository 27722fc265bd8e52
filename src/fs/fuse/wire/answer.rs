//! What the kernel is told.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::SystemTime;

use fuser::FopenFlags;

use crate::fs::attributes::Attributes;
use crate::tree::Kind;

/// `struct fuse_attr`, in bytes.
const ATTR: usize = 88;
/// `struct fuse_entry_out`, in bytes.
const ENTRY: usize = 40 + ATTR;
/// `struct fuse_dirent` without the name, in bytes.
const DIRENT: usize = 24;
/// What directory entries begin at multiples of.
const ALIGNMENT: usize = 8;

/// Puts numbers one after the other.
#[derive(Default)]
struct Writing(Vec<u8>);

impl Writing {
    fn u32(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_ne_bytes());
        self
    }

    fn u64(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_ne_bytes());
        self
    }

    fn attributes(self, attributes: &Attributes) -> Self {
        let (seconds, nanos) = since_1970(attributes.modified);
        self.u64(attributes.ino)
            .u64(attributes.size)
            .u64(attributes.size.div_ceil(512))
            .u64(seconds)
            .u64(seconds)
            .u64(seconds)
            .u32(nanos)
            .u32(nanos)
            .u32(nanos)
            .u32(file_type(attributes.kind) | u32::from(attributes.mode))
            // For directories this says that the number of sub-directories is not told; find(1) relies on it.
            .u32(1)
            .u32(attributes.uid)
            .u32(attributes.gid)
            .u32(0)
            .u32(4096)
            .u32(0)
    }

    fn entry(self, attributes: &Attributes) -> Self {
        let (seconds, nanos) = (attributes.valid_for.as_secs(), attributes.valid_for.subsec_nanos());
        self.u64(attributes.ino).u64(0).u64(seconds).u64(seconds).u32(nanos).u32(nanos).attributes(attributes)
    }
}

/// Whole seconds, negative before 1970, and the nanoseconds after them. The kernel takes the seconds as a signed
/// number.
fn since_1970(time: SystemTime) -> (u64, u32) {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => (after.as_secs(), after.subsec_nanos()),
        Err(error) => {
            let before = error.duration();
            match before.subsec_nanos() {
                0 => (before.as_secs().wrapping_neg(), 0),
                nanos => (before.as_secs().wrapping_neg().wrapping_sub(1), 1_000_000_000 - nanos),
            }
        }
    }
}

fn file_type(kind: Kind) -> u32 {
    match kind {
        Kind::Directory => libc::S_IFDIR,
        Kind::File => libc::S_IFREG,
        Kind::Link => libc::S_IFLNK,
    }
}

/// `struct fuse_entry_out`: the answer to a lookup.
pub fn entry(attributes: &Attributes) -> Vec<u8> {
    Writing::default().entry(attributes).0
}

/// `struct fuse_attr_out`.
pub fn attributes(attributes: &Attributes) -> Vec<u8> {
    let valid = attributes.valid_for;
    Writing::default().u64(valid.as_secs()).u32(valid.subsec_nanos()).u32(0).attributes(attributes).0
}

/// `struct fuse_open_out`.
pub fn opened(handle: u64, flags: FopenFlags) -> Vec<u8> {
    Writing::default().u64(handle).u32(flags.bits()).u32(0).0
}

/// `struct fuse_getxattr_out`: how long it is, for who asks with no room for it.
pub fn xattr_length(length: u32) -> Vec<u8> {
    Writing::default().u32(length).u32(0).0
}

/// `struct fuse_statfs_out`: no blocks and no files that could be counted, names of up to 255 bytes.
pub fn statistics() -> Vec<u8> {
    let mut bytes = (0..5).fold(Writing::default(), |writing, _| writing.u64(0)).u32(512).u32(255).0;
    bytes.resize(80, 0);
    bytes
}

/// Entries of a directory, as many as the kernel has room for.
pub struct Entries {
    bytes: Vec<u8>,
    room: usize,
}

impl Entries {
    pub fn new(room: u32) -> Self {
        Self { bytes: Vec::new(), room: room as usize }
    }

    /// With a number, the offset after it, a type and a name. False where there is no room.
    #[must_use]
    pub fn add(&mut self, ino: u64, next: u64, kind: Kind, name: &OsStr) -> bool {
        self.put(&[], ino, next, kind, name)
    }

    /// As [`Entries::add`], and all that a lookup tells.
    #[must_use]
    pub fn add_known(&mut self, attributes: &Attributes, next: u64, name: &OsStr) -> bool {
        self.put(&entry(attributes), attributes.ino, next, attributes.kind, name)
    }

    /// As [`Entries::add`], among entries that tell all: the kernel is told nothing more of this one.
    #[must_use]
    pub fn add_unknown(&mut self, ino: u64, next: u64, kind: Kind, name: &OsStr) -> bool {
        self.put(&[0; ENTRY], ino, next, kind, name)
    }

    fn put(&mut self, before: &[u8], ino: u64, next: u64, kind: Kind, name: &OsStr) -> bool {
        let name = name.as_bytes();
        let length = (before.len() + DIRENT + name.len()).next_multiple_of(ALIGNMENT);
        let Ok(name_length) = u32::try_from(name.len()) else { return false };
        if self.bytes.len() + length > self.room {
            return false;
        }
        let end = self.bytes.len() + length;
        self.bytes.extend_from_slice(before);
        let type_of_file = file_type(kind) >> 12;
        let head = Writing::default().u64(ino).u64(next).u32(name_length).u32(type_of_file).0;
        self.bytes.extend_from_slice(&head);
        self.bytes.extend_from_slice(name);
        self.bytes.resize(end, 0);
        true
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn attributes_of_a_file() -> Attributes {
        Attributes {
            ino: 0x0102,
            kind: Kind::File,
            mode: 0o440,
            uid: 7,
            gid: 8,
            size: 513,
            modified: SystemTime::UNIX_EPOCH + Duration::new(1000, 5),
            valid_for: Duration::from_millis(1500),
        }
    }

    fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn answers_have_the_kernels_lengths_and_places() {
        let found = attributes_of_a_file();
        let entry = entry(&found);
        assert_eq!(entry.len(), 128);
        assert_eq!((word(&entry, 0), word(&entry, 16), word(&entry, 24)), (0x0102, 1, 1));
        assert_eq!((word(&entry, 32), word(&entry, 36)), (500_000_000, 500_000_000));
        let bytes = attributes(&found);
        assert_eq!(bytes.len(), 104);
        let attr = &bytes[16..];
        assert_eq!((word(attr, 8), word(attr, 16), word(attr, 24)), (513, 2, 1000));
        assert_eq!((word(attr, 48), word(attr, 60)), (5, libc::S_IFREG | 0o440));
        assert_eq!((word(attr, 64), word(attr, 68), word(attr, 72)), (1, 7, 8));
        assert_eq!(opened(3, FopenFlags::FOPEN_DIRECT_IO).len(), 16);
        assert_eq!(statistics().len(), 80);
    }

    #[test]
    fn a_time_before_1970_has_negative_seconds_and_nanoseconds_after_them() {
        let before = |millis| since_1970(SystemTime::UNIX_EPOCH - Duration::from_millis(millis));
        assert_eq!(before(1500), ((-2_i64).cast_unsigned(), 500_000_000));
        assert_eq!(before(2000), ((-2_i64).cast_unsigned(), 0));
        assert_eq!(before(0), (0, 0));
    }

    #[test]
    fn entries_are_aligned_and_end_where_the_room_ends() {
        let mut entries = Entries::new(64);
        assert!(entries.add(5, 1, Kind::Directory, OsStr::new("abc")));
        assert_eq!(entries.bytes().len(), 32);
        assert_eq!((word(entries.bytes(), 16), word(entries.bytes(), 20)), (3, 4));
        assert!(entries.add(6, 2, Kind::File, OsStr::new("12345678")));
        assert_eq!(entries.bytes().len(), 64);
        assert!(!entries.add(7, 3, Kind::File, OsStr::new("")));
        assert_eq!(entries.bytes().len(), 64);
        let mut known = Entries::new(128 + 32);
        assert!(known.add_known(&attributes_of_a_file(), 1, OsStr::new("x")));
        assert_eq!(known.bytes().len(), 160);
    }
}
