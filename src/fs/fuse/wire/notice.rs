//! What the kernel is told without having asked.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// A message that answers nothing.
#[derive(Debug, Clone, Copy)]
pub enum Notice<'a> {
    /// The attributes of a file are not what they were.
    Attributes { ino: u64 },
    /// All that the page cache has of a file is to be dropped, and its attributes are to be asked for anew.
    Pages { ino: u64 },
    /// A directory has no such entry any more, or another by that name.
    Entry { parent: u64, name: &'a OsStr },
    /// What was read and not answered is to be sent again: whoever read it is gone.
    SendAgain,
}

impl Notice<'_> {
    /// Its number, which stands where answers have their errno.
    pub fn code(self) -> i32 {
        match self {
            Self::Attributes { .. } | Self::Pages { .. } => 2,
            Self::Entry { .. } => 3,
            Self::SendAgain => 7,
        }
    }

    pub fn bytes(self) -> Vec<u8> {
        match self {
            // A negative offset: no data. Without a length: all from the offset on.
            Self::Attributes { ino } => inode(ino, -1, 0),
            Self::Pages { ino } => inode(ino, 0, 0),
            Self::Entry { parent, name } => {
                let length = u32::try_from(name.len()).unwrap_or(0);
                let flags: u32 = 0;
                let head = [parent.to_ne_bytes().as_slice(), &length.to_ne_bytes(), &flags.to_ne_bytes()].concat();
                [head.as_slice(), name.as_bytes(), &[0]].concat()
            }
            Self::SendAgain => Vec::new(),
        }
    }
}

/// `struct fuse_notify_inval_inode_out`.
fn inode(ino: u64, offset: i64, length: i64) -> Vec<u8> {
    [ino.to_ne_bytes(), offset.to_ne_bytes(), length.to_ne_bytes()].concat()
}
