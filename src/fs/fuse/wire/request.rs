//! What the kernel asks.

use std::ffi::OsStr;

use super::reading::Reading;
use crate::access::Caller;

/// One message from the kernel.
#[derive(Debug)]
pub struct Request<'a> {
    /// The answer carries it.
    pub unique: u64,
    /// The inode that it is about.
    pub node: u64,
    pub caller: Caller,
    pub operation: Result<Operation<'a>, Malformed>,
}

/// The operations of a file system that is not written to.
#[derive(Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    Init {
        major: u32,
        minor: u32,
        readahead: u32,
        flags: u64,
    },
    Lookup {
        name: &'a OsStr,
    },
    /// Has no answer.
    Forget {
        lookups: u64,
    },
    /// Inodes and their numbers of lookups. Has no answer.
    BatchForget(Vec<(u64, u64)>),
    GetAttr {
        handle: Option<u64>,
    },
    SetAttr {
        /// Nothing but times.
        only_times: bool,
    },
    ReadLink,
    Open {
        for_writing: bool,
    },
    Read {
        handle: u64,
        offset: u64,
        size: u32,
        /// For the page cache, and not for who called read(2).
        for_pages: bool,
    },
    Release {
        handle: u64,
    },
    OpenDir,
    ReadDir {
        handle: u64,
        offset: u64,
        size: u32,
    },
    ReadDirPlus {
        handle: u64,
        offset: u64,
        size: u32,
    },
    ReleaseDir {
        handle: u64,
    },
    GetXattr {
        name: &'a OsStr,
        size: u32,
    },
    ListXattr {
        size: u32,
    },
    StatFs,
    /// The caller of another request has a signal to take. Is answered only to have it sent again.
    Interrupt {
        unique: u64,
    },
    Destroy,
    /// Whatever else changes something.
    Change,
    /// Anything else, by its number.
    Other(u32),
}

/// A message that does not hold what its kind holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const SETATTR: u32 = 4;
const READLINK: u32 = 5;
const SYMLINK: u32 = 6;
const MKNOD: u32 = 8;
const MKDIR: u32 = 9;
const UNLINK: u32 = 10;
const RMDIR: u32 = 11;
const RENAME: u32 = 12;
const LINK: u32 = 13;
const OPEN: u32 = 14;
const READ: u32 = 15;
const WRITE: u32 = 16;
const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const SETXATTR: u32 = 21;
const GETXATTR: u32 = 22;
const LISTXATTR: u32 = 23;
const REMOVEXATTR: u32 = 24;
const INIT: u32 = 26;
const OPENDIR: u32 = 27;
const READDIR: u32 = 28;
const RELEASEDIR: u32 = 29;
const CREATE: u32 = 35;
const INTERRUPT: u32 = 36;
const DESTROY: u32 = 38;
const BATCH_FORGET: u32 = 42;
const FALLOCATE: u32 = 43;
const READDIRPLUS: u32 = 44;
const RENAME2: u32 = 45;
const COPY_FILE_RANGE: u32 = 47;
const TMPFILE: u32 = 51;

/// Of `struct fuse_getattr_in`: the handle counts.
const GETATTR_FH: u32 = 1;
/// Of `struct fuse_read_in`: it says whose locks count. Known of whoever calls read(2) on a file that is open for direct
/// I/O, and of nobody where the kernel reads for its page cache.
const READ_LOCKOWNER: u32 = 1 << 1;
/// Of `struct fuse_setattr_in`: access and modification time, both also as "now"; the handle and the lock's owner
/// are no change.
const SETATTR_TIMES: u32 = 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8;
const SETATTR_NO_CHANGE: u32 = 1 << 6 | 1 << 9;
/// Of `struct fuse_init_in`: there are more flags further on.
const INIT_EXT: u32 = 1 << 30;

impl<'a> Request<'a> {
    /// None where there is not even a header.
    pub fn read(message: &'a [u8]) -> Option<Self> {
        let mut reading = Reading(message);
        let (length, opcode) = (reading.u32()?, reading.u32()?);
        let (unique, node) = (reading.u64()?, reading.u64()?);
        let caller = Caller { uid: reading.u32()?, gid: reading.u32()?, pid: reading.u32()? };
        let _extensions = reading.u32()?;
        let is_whole = usize::try_from(length).is_ok_and(|length| length == message.len());
        let operation = if is_whole { operation(opcode, reading).ok_or(Malformed) } else { Err(Malformed) };
        Some(Self { unique, node, caller, operation })
    }
}

fn operation<'a>(opcode: u32, mut rest: Reading<'a>) -> Option<Operation<'a>> {
    Some(match opcode {
        INIT => init(rest)?,
        LOOKUP => Operation::Lookup { name: rest.name()? },
        FORGET => Operation::Forget { lookups: rest.u64()? },
        BATCH_FORGET => {
            let (count, _padding) = (rest.u32()?, rest.u32()?);
            let one = |_| Some((rest.u64()?, rest.u64()?));
            Operation::BatchForget((0..count).map_while(one).collect())
        }
        GETATTR => {
            let (flags, _padding, handle) = (rest.u32()?, rest.u32()?, rest.u64()?);
            Operation::GetAttr { handle: (flags & GETATTR_FH != 0).then_some(handle) }
        }
        SETATTR => Operation::SetAttr { only_times: rest.u32()? & !(SETATTR_TIMES | SETATTR_NO_CHANGE) == 0 },
        READLINK => Operation::ReadLink,
        OPEN => {
            // The access mode is in the lowest bits on every architecture.
            let mode = rest.u32()? & 0b11;
            Operation::Open { for_writing: mode != 0 }
        }
        SYMLINK | MKNOD | MKDIR | UNLINK | RMDIR | RENAME | LINK | WRITE | SETXATTR | REMOVEXATTR | CREATE
        | FALLOCATE | RENAME2 | COPY_FILE_RANGE | TMPFILE => Operation::Change,
        OPENDIR => Operation::OpenDir,
        READ => {
            let (handle, offset, size) = place(&mut rest)?;
            Operation::Read { handle, offset, size, for_pages: rest.u32()? & READ_LOCKOWNER == 0 }
        }
        READDIR => {
            let (handle, offset, size) = place(&mut rest)?;
            Operation::ReadDir { handle, offset, size }
        }
        READDIRPLUS => {
            let (handle, offset, size) = place(&mut rest)?;
            Operation::ReadDirPlus { handle, offset, size }
        }
        RELEASE => Operation::Release { handle: rest.u64()? },
        RELEASEDIR => Operation::ReleaseDir { handle: rest.u64()? },
        GETXATTR => {
            let (size, _padding) = (rest.u32()?, rest.u32()?);
            Operation::GetXattr { name: rest.name()?, size }
        }
        LISTXATTR => Operation::ListXattr { size: rest.u32()? },
        STATFS => Operation::StatFs,
        INTERRUPT => Operation::Interrupt { unique: rest.u64()? },
        DESTROY => Operation::Destroy,
        other => Operation::Other(other),
    })
}

fn init<'a>(mut rest: Reading<'a>) -> Option<Operation<'a>> {
    let (major, minor) = (rest.u32()?, rest.u32()?);
    // Another major version says no more before it has heard ours.
    let (readahead, first) = (rest.u32().unwrap_or(0), rest.u32().unwrap_or(0));
    let second = if first & INIT_EXT == 0 { 0 } else { rest.u32()? };
    Some(Operation::Init { major, minor, readahead, flags: u64::from(second) << 32 | u64::from(first) })
}

/// The beginning of `struct fuse_read_in`.
fn place(rest: &mut Reading<'_>) -> Option<(u64, u64, u32)> {
    Some((rest.u64()?, rest.u64()?, rest.u32()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(opcode: u32, rest: &[u8]) -> Vec<u8> {
        let length = u32::try_from(40 + rest.len()).unwrap();
        let numbers = [&length.to_ne_bytes()[..], &opcode.to_ne_bytes(), &7_u64.to_ne_bytes(), &9_u64.to_ne_bytes()];
        let ids = [1000_u32, 100, 4321, 0].map(u32::to_ne_bytes).concat();
        [numbers.concat(), ids, rest.to_vec()].concat()
    }

    fn operation_of(bytes: &[u8]) -> Result<Operation<'_>, Malformed> {
        Request::read(bytes).expect("a header").operation
    }

    #[test]
    fn a_request_says_who_asks_and_about_what() {
        let bytes = message(LOOKUP, b"db\0");
        let request = Request::read(&bytes).unwrap();
        let Caller { uid, gid, pid } = request.caller;
        assert_eq!((request.unique, request.node, uid, gid, pid), (7, 9, 1000, 100, 4321));
        assert_eq!(request.operation, Ok(Operation::Lookup { name: OsStr::new("db") }));
    }

    #[test]
    fn numbers_are_read_where_they_stand() {
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
        for (flags, for_pages) in [(0, true), (READ_LOCKOWNER, false)] {
            let sizes = [512, flags].map(u32::to_ne_bytes).concat();
            let read = [words(&[3, 4096]), sizes, words(&[0, 0])].concat();
            let expected = Operation::Read { handle: 3, offset: 4096, size: 512, for_pages };
            assert_eq!(operation_of(&message(READ, &read)), Ok(expected));
        }
        let with_handle = words(&[1, 3]);
        assert_eq!(operation_of(&message(GETATTR, &with_handle)), Ok(Operation::GetAttr { handle: Some(3) }));
        let without = words(&[0, 3]);
        assert_eq!(operation_of(&message(GETATTR, &without)), Ok(Operation::GetAttr { handle: None }));
        let forgotten = words(&[2, 5, 1, 6, 2]);
        let both = Operation::BatchForget(vec![(5, 1), (6, 2)]);
        assert_eq!(operation_of(&message(BATCH_FORGET, &forgotten)), Ok(both));
        let named = [words(&[64]), b"user.x\0".to_vec()].concat();
        let expected = Operation::GetXattr { name: OsStr::new("user.x"), size: 64 };
        assert_eq!(operation_of(&message(GETXATTR, &named)), Ok(expected));
    }

    #[test]
    fn what_would_change_something_is_told_from_what_would_not() {
        let of = |opcode, word: u32| message(opcode, &[word.to_ne_bytes(), [0; 4]].concat());
        let operations = [
            (SETATTR, 1 << 5, Operation::SetAttr { only_times: true }),
            (SETATTR, 1 << 4 | 1 << 5 | 1 << 6, Operation::SetAttr { only_times: true }),
            (SETATTR, 1 << 5 | 1 << 3, Operation::SetAttr { only_times: false }),
            (SETATTR, 1, Operation::SetAttr { only_times: false }),
            (OPEN, 0o100_000, Operation::Open { for_writing: false }),
            (OPEN, 0o100_001, Operation::Open { for_writing: true }),
            (OPEN, 2, Operation::Open { for_writing: true }),
            (CREATE, 0, Operation::Change),
            (TMPFILE, 0, Operation::Change),
        ];
        for (opcode, word, expected) in operations {
            assert_eq!(operation_of(&of(opcode, word)), Ok(expected), "{opcode} {word:o}");
        }
    }

    #[test]
    fn what_is_too_short_is_malformed_and_nothing_is_guessed() {
        for opcode in
            [LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, RELEASE, GETXATTR, LISTXATTR, INTERRUPT, BATCH_FORGET, INIT]
        {
            assert_eq!(operation_of(&message(opcode, &[1])), Err(Malformed), "{opcode}");
        }
        let mut longer = message(STATFS, &[]);
        longer.push(0);
        assert_eq!(operation_of(&longer), Err(Malformed), "it says another length than it has");
        assert!(Request::read(&[0; 39]).is_none());
    }

    mod properties {
        use super::*;

        proptest! {
            #[test]
            fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
                let _ = Request::read(&bytes);
            }

            #[test]
            fn any_bytes_after_a_header_are_read_without_harm(
                opcode in 0_u32..60,
                rest in proptest::collection::vec(any::<u8>(), 0..200),
            ) {
                let bytes = message(opcode, &rest);
                prop_assert_eq!(Request::read(&bytes).map(|request| request.unique), Some(7));
            }
        }
    }
}
