//! The first message: which protocol both sides speak, and what of it.

use fuser::InitFlags;

/// Ours, and the newest of it that we know; the kernel goes down to what it is told.
const MAJOR: u32 = 7;
const NEWEST_MINOR: u32 = 40;
/// Linux 4.4. Older ones expect shorter answers.
const OLDEST_MINOR: u32 = 23;

/// Nobody writes; it is the least that there is.
const MAX_WRITE: u32 = 4096;
/// A request of any length that the kernel may send: a header, and what a write of [`MAX_WRITE`] holds, at the
/// least 8 KiB by its rules.
pub const LARGEST_REQUEST: usize = 16 << 10;
/// Bytes of one READ in pages: the default `max_secret_bytes` at once.
const MAX_PAGES: u16 = 256;
/// Requests that the kernel sends ahead of need, such as readahead.
const MAX_BACKGROUND: u16 = 16;

/// What comes of the first message.
#[derive(Debug, PartialEq, Eq)]
pub enum Agreement {
    /// `struct fuse_init_out`, and what both sides can.
    Reached {
        answer: Vec<u8>,
        flags: u64,
    },
    /// The kernel speaks a newer protocol: it is told ours and asks again.
    AskAgain {
        answer: Vec<u8>,
    },
    TooOld,
}

/// `wanted` are [`InitFlags`], of which the kernel may know some only. `patience` in seconds counts if
/// `FUSE_REQUEST_TIMEOUT` is among them.
pub fn agree(major: u32, minor: u32, readahead: u32, offered: u64, wanted: InitFlags, patience: u16) -> Agreement {
    if major > MAJOR {
        return Agreement::AskAgain { answer: answer(NEWEST_MINOR, 0, 0, 0) };
    }
    if major < MAJOR || minor < OLDEST_MINOR {
        return Agreement::TooOld;
    }
    let wanted = wanted | InitFlags::FUSE_INIT_EXT | InitFlags::FUSE_MAX_PAGES | InitFlags::FUSE_ASYNC_READ;
    let flags = offered & wanted.bits();
    Agreement::Reached { answer: answer(minor.min(NEWEST_MINOR), readahead, flags, patience), flags }
}

fn answer(minor: u32, readahead: u32, flags: u64, patience: u16) -> Vec<u8> {
    let (low, high) = (flags & u64::from(u32::MAX), flags >> 32);
    let half = |bits: u64| u32::try_from(bits).unwrap_or(0);
    let mut bytes = Vec::with_capacity(64);
    for number in [MAJOR, minor, readahead, half(low)] {
        bytes.extend_from_slice(&number.to_ne_bytes());
    }
    // Congested from three quarters on.
    for number in [MAX_BACKGROUND, MAX_BACKGROUND / 4 * 3] {
        bytes.extend_from_slice(&number.to_ne_bytes());
    }
    let granularity: u32 = 1;
    for number in [MAX_WRITE, granularity] {
        bytes.extend_from_slice(&number.to_ne_bytes());
    }
    let alignment: u16 = 0;
    for number in [MAX_PAGES, alignment] {
        bytes.extend_from_slice(&number.to_ne_bytes());
    }
    let stacking: u32 = 0;
    for number in [half(high), stacking] {
        bytes.extend_from_slice(&number.to_ne_bytes());
    }
    bytes.extend_from_slice(&patience.to_ne_bytes());
    bytes.resize(64, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_both_sides_can_is_agreed_on() {
        let offered = InitFlags::FUSE_PARALLEL_DIROPS | InitFlags::FUSE_ALLOW_IDMAP | InitFlags::FUSE_INIT_EXT;
        let wanted = InitFlags::FUSE_PARALLEL_DIROPS | InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP;
        let Agreement::Reached { answer, flags } = agree(7, 41, 131_072, offered.bits(), wanted, 0) else { panic!() };
        assert_eq!(flags, (InitFlags::FUSE_PARALLEL_DIROPS | InitFlags::FUSE_INIT_EXT).bits());
        assert_eq!(answer.len(), 64);
        assert_eq!(answer[..8], [MAJOR, NEWEST_MINOR].map(u32::to_ne_bytes).concat());
    }

    #[test]
    fn flags_beyond_the_first_thirty_two_stand_further_on() {
        let all = u64::MAX;
        let wanted = InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP;
        let Agreement::Reached { answer, .. } = agree(7, 38, 0, all, wanted, 0x0102) else { panic!() };
        assert_eq!(answer[32..36], (1_u32 << 4).to_ne_bytes());
        assert_eq!(answer[40..42], 0x0102_u16.to_ne_bytes(), "seconds");
    }

    #[test]
    fn another_protocol_is_told_ours_or_refused() {
        assert!(matches!(agree(8, 0, 0, 0, InitFlags::empty(), 0), Agreement::AskAgain { .. }));
        assert_eq!(agree(7, 22, 0, 0, InitFlags::empty(), 0), Agreement::TooOld);
        assert_eq!(agree(6, 40, 0, 0, InitFlags::empty(), 0), Agreement::TooOld);
    }
}
