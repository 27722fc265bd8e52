//! Writing a line to a descriptor that does not block.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// A line that could not be written whole.
#[derive(Debug)]
pub struct Cut {
    pub error: io::Error,
    /// Part of it is there.
    pub torn: bool,
}

/// Writes all of `line` with `write`, in one call if the kernel takes it in one, and waits for room
/// until `until`.
pub fn put(
    fd: impl AsFd,
    line: &[u8],
    until: Instant,
    write: impl Fn(BorrowedFd<'_>, &[u8]) -> rustix::io::Result<usize>,
) -> Result<(), Cut> {
    let mut rest = line;
    while !rest.is_empty() {
        let torn = rest.len() < line.len();
        match write(fd.as_fd(), rest) {
            Ok(0) => return Err(Cut { error: io::ErrorKind::WriteZero.into(), torn }),
            Ok(length) => rest = rest.get(length..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_for_room(fd.as_fd(), until).map_err(|error| Cut { error, torn })?,
            Err(error) => return Err(Cut { error: error.into(), torn }),
        }
    }
    Ok(())
}

/// Returns once there may be room.
pub fn wait_for_room(fd: BorrowedFd<'_>, until: Instant) -> io::Result<()> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody takes what is written there"));
    }
    let left = Timespec::try_from(left).ok();
    match poll(&mut [PollFd::new(&fd, PollFlags::OUT)], left.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub fn has_room(fd: BorrowedFd<'_>) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(&fd, PollFlags::OUT)], Some(&now)).is_ok_and(|ready| ready > 0)
}
