//! The calling thread, held so that its number cannot come to mean another.
//!
//! A descriptor of `/proc/TID/task/TID` belongs to that thread for good: when it has ended, nothing can be
//! read through it, whoever has its number by then. It is what a pidfd is, for threads too and on every
//! kernel, and everything is read through it. What is left is the time before it was opened: a thread that
//! is younger than the request, or has another user or group, is not the caller.
//!
//! An exec keeps the number and the descriptor. It gives the process a new stack, at a random address, and
//! most often a new name: both are compared before and after.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, fstatfs, openat};

use super::procfs;
use crate::access::Caller;

/// With 65,536 groups, which the kernel takes at the most, a status has some 700 KB.
const LONGEST: usize = 1 << 20;

#[derive(Debug)]
pub struct Thread {
    directory: OwnedFd,
    started: Started,
    status: Status,
}

/// What stays the same for as long as a thread lives and runs the same program.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Started {
    /// In clock ticks since boot.
    pub(super) at: u64,
    pub(super) name: Vec<u8>,
    /// Where the code and the stack begin; not told to those who may not trace the process.
    pub(super) image: (u64, u64),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Status {
    pub tgid: u32,
    /// Those that count for files, and so those of the request.
    pub uid: u32,
    pub gid: u32,
    /// None where not every one can be told.
    pub groups: Option<Vec<u32>>,
    is_dead: bool,
}

impl Thread {
    /// The thread that made a request which was there at `seen`, since boot. None in any doubt.
    pub fn of(caller: &Caller, seen: Duration) -> Option<Self> {
        let thread = Self::of_live(caller.pid)?;
        let is_caller = thread.status.uid == caller.uid && thread.status.gid == caller.gid;
        (is_caller && thread.started.at <= ticks(seen)).then_some(thread)
    }

    pub fn of_live(tid: u32) -> Option<Self> {
        // 0 is a caller in a pid namespace that is not below ours.
        if tid == 0 || !procfs::is_ours() {
            return None;
        }
        let path = format!("/proc/{tid}/task/{tid}");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Self::of_opened(openat(CWD, path, flags, Mode::empty()).ok()?)
    }

    /// By its folder in `/proc`, which somebody else has opened. None where it is anything else.
    pub fn of_directory(directory: OwnedFd) -> Option<Self> {
        let is_of_proc = fstatfs(&directory).ok()?.f_type == PROC_SUPER_MAGIC;
        if is_of_proc { Self::of_opened(directory) } else { None }
    }

    fn of_opened(directory: OwnedFd) -> Option<Self> {
        let started = Started::read(&directory)?;
        let status = Status::parse(&read(&directory, "status")?)?;
        let thread = Self { directory, started, status };
        (!thread.status.is_dead).then_some(thread)
    }

    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Is it alive, and does it run what it ran?
    pub fn is_the_same(&self) -> bool {
        Started::read(&self.directory).is_some_and(|now| now == self.started)
    }

    pub fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// One of the thread's files in `/proc`, whole.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        read(&self.directory, name)
    }
}

fn read(directory: &OwnedFd, name: &str) -> Option<Vec<u8>> {
    let file = openat(directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut bytes = vec![0; 4096];
    let mut length = 0;
    loop {
        let room = bytes.get_mut(length..)?;
        let (asked, got) = (room.len(), rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut *room)).ok()?);
        length += got;
        // These files are made whole at the first read, so only the end of one makes a read short.
        if got < asked {
            bytes.truncate(length);
            return Some(bytes);
        }
        if length >= LONGEST {
            return None;
        }
        bytes.resize(2 * length, 0);
    }
}

/// Whole ticks, as the kernel counts those of a start.
fn ticks(time: Duration) -> u64 {
    let per_second = u128::from(rustix::param::clock_ticks_per_second());
    u64::try_from(time.as_nanos().saturating_mul(per_second) / 1_000_000_000).unwrap_or(u64::MAX)
}

impl Started {
    fn read(directory: &OwnedFd) -> Option<Self> {
        Self::parse(&read(directory, "stat")?)
    }

    /// `TID (NAME) STATE …`: a name may hold anything, so the last parenthesis ends it.
    pub(super) fn parse(stat: &[u8]) -> Option<Self> {
        let open = stat.iter().position(|byte| *byte == b'(')?;
        let close = stat.iter().rposition(|byte| *byte == b')')?;
        let name = stat.get(open + 1..close)?.to_vec();
        let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // The manual, proc_pid_stat(5), counts from 1 and from the number; these begin with its third.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { at: field(22)?, name, image: (field(26)?, field(28)?) })
    }
}

impl Status {
    pub(super) fn parse(status: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(status);
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let numbers = |name: &str| -> Option<Vec<u32>> {
            line(name)?.split_ascii_whitespace().map(|number| number.parse().ok()).collect()
        };
        // Real, effective, saved, and that of the file system.
        let of_files = |name: &str| numbers(name)?.get(3).copied();
        Some(Self {
            tgid: numbers("Tgid:")?.first().copied()?,
            uid: of_files("Uid:")?,
            gid: of_files("Gid:")?,
            groups: procfs::real_groups(numbers("Groups:")?, procfs::unmapped()),
            is_dead: line("State:")?.trim_start().starts_with(['Z', 'X', 'x']),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER_NAME: &str = "S 1 2 3 0 -1 4 5 6 7 8 9 10 11 12 20 0 1 0 4711 13 14 15 4096 8192 140000 16";

    #[test]
    fn a_name_made_to_look_like_the_rest_changes_nothing() {
        for name in ["cat", "a) S 1 2", ")", "", "\u{fffd}\n(("] {
            let stat = format!("42 ({name}) {AFTER_NAME}");
            let started = Started::parse(stat.as_bytes()).unwrap();
            assert_eq!((started.at, started.name, started.image), (4711, name.as_bytes().to_vec(), (4096, 140_000)));
        }
        assert_eq!(Started::parse(b"42 (cat) S 1 2"), None);
        assert_eq!(Started::parse(b""), None);
    }

    #[test]
    fn a_status_is_read_or_it_is_none() {
        let status = |groups: &str| {
            format!("Name:\tx\nState:\tS (sleeping)\nTgid:\t7\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n{groups}")
        };
        let read = Status::parse(status("Groups:\t9 10 \n").as_bytes()).unwrap();
        assert_eq!((read.tgid, read.uid, read.gid), (7, 4, 8));
        assert_eq!(Status::parse(status("").as_bytes()), None);
        assert_eq!(Status::parse(status("Groups:\t9 x\n").as_bytes()), None);
        assert!(Status::parse(status("Groups:\n").as_bytes()).is_some());
    }
}
