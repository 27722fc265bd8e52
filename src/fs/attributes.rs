//! What `stat` shows.

use std::time::{Duration, SystemTime};

use crate::tree::{Facts, Kind};

/// A file's attributes, before any transport's encoding of them.
#[derive(Debug, Clone, Copy)]
pub struct Attributes {
    pub ino: u64,
    pub kind: Kind,
    /// Permission bits.
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    /// In bytes.
    pub size: u64,
    pub modified: SystemTime,
    /// How long the kernel may remember this, and that the name is there.
    pub valid_for: Duration,
}

impl Attributes {
    /// `mode` are the permission bits.
    pub fn of(ino: u64, facts: &Facts, mode: u16, (uid, gid): (u32, u32)) -> Self {
        Self {
            ino,
            kind: facts.kind,
            mode,
            uid,
            gid,
            size: facts.size,
            modified: facts.modified,
            valid_for: facts.valid_for,
        }
    }
}
