//! What is in a message, from front to back.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// The rest of a message. Every step is None where the message is too short for it.
pub struct Reading<'a>(pub &'a [u8]);

impl<'a> Reading<'a> {
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    /// Up to the NUL that ends it.
    pub fn name(&mut self) -> Option<&'a OsStr> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let (name, rest) = self.0.split_at(end);
        self.0 = rest.get(1..)?;
        Some(OsStr::from_bytes(name))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }
}
