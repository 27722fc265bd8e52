//! FUSE's messages, as Linux defines them in `linux/fuse.h` (protocol 7): bytes to types and back, and nothing
//! else. Numbers are in the machine's own order.

mod answer;
mod handshake;
mod notice;
mod reading;
mod request;

pub use answer::{Entries, attributes, entry, opened, statistics, xattr_length};
pub use handshake::{Agreement, LARGEST_REQUEST, agree};
pub use notice::Notice;
pub use request::{Operation, Request};

/// Before every answer: its whole length in bytes, an errno (negative) or 0, and whose it is.
pub fn header(length: usize, errno: i32, unique: u64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    // The longest answer is a READ's, which the kernel asked for with a u32.
    let whole = u32::try_from(HEADER.saturating_add(length)).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&whole.to_ne_bytes());
    bytes[4..8].copy_from_slice(&errno.to_ne_bytes());
    bytes[8..].copy_from_slice(&unique.to_ne_bytes());
    bytes
}

/// `struct fuse_out_header`, in bytes.
pub const HEADER: usize = 16;
