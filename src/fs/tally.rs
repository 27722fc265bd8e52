//! How many requests of each kind were answered, and with which errno.

use std::sync::atomic::{AtomicU64, Ordering};

use super::errno;

/// What a request asks for, as FUSE calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    Lookup,
    GetAttr,
    ReadLink,
    Open,
    Read,
    Release,
    OpenDir,
    ReadDir,
    ReleaseDir,
    GetXattr,
    ListXattr,
    StatFs,
    /// Writing, above all.
    Other,
}

impl Request {
    pub const ALL: [Self; 13] = [
        Self::Lookup,
        Self::GetAttr,
        Self::ReadLink,
        Self::Open,
        Self::Read,
        Self::Release,
        Self::OpenDir,
        Self::ReadDir,
        Self::ReleaseDir,
        Self::GetXattr,
        Self::ListXattr,
        Self::StatFs,
        Self::Other,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::GetAttr => "getattr",
            Self::ReadLink => "readlink",
            Self::Open => "open",
            Self::Read => "read",
            Self::Release => "release",
            Self::OpenDir => "opendir",
            Self::ReadDir => "readdir",
            Self::ReleaseDir => "releasedir",
            Self::GetXattr => "getxattr",
            Self::ListXattr => "listxattr",
            Self::StatFs => "statfs",
            Self::Other => "other",
        }
    }
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Tally {
    /// For each kind of request those that ended well, and those with each errno of [`errno::ALL`].
    answers: [[AtomicU64; errno::ALL.len() + 1]; Request::ALL.len()],
}

impl Tally {
    pub fn well(&self, request: Request) {
        self.answers[request as usize][0].fetch_add(1, Ordering::Relaxed);
    }

    /// `errno` is positive. One that is not ours to give counts as EIO.
    pub fn failed(&self, request: Request, errno: i32) {
        let index = errno::ALL.iter().position(|known| *known == errno).unwrap_or_default();
        if let Some(count) = self.answers[request as usize].get(index + 1) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was answered at all: the request, the errno's name or None, how often.
    pub fn all(&self) -> Vec<(Request, Option<&'static str>, u64)> {
        let names = || [None].into_iter().chain(errno::ALL.iter().map(|errno| Some(errno::name(*errno))));
        let of = |(request, counts): (Request, &[AtomicU64; errno::ALL.len() + 1])| {
            let counts = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect::<Vec<_>>();
            names().zip(counts).map(move |(name, count)| (request, name, count))
        };
        Request::ALL.into_iter().zip(&self.answers).flat_map(of).filter(|(.., count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_and_each_errno_is_counted_where_it_is_read() {
        for (number, request) in Request::ALL.into_iter().enumerate() {
            assert_eq!(request as usize, number);
        }
        for errno in errno::ALL {
            let tally = Tally::default();
            tally.failed(Request::Open, errno);
            tally.well(Request::Read);
            let expected = [(Request::Open, Some(errno::name(errno)), 1), (Request::Read, None, 1)];
            assert_eq!(tally.all(), expected);
        }
    }
}
