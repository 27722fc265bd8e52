//! The kernel's end of a mount: one descriptor of `/dev/fuse` for each thread that serves it.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use rustix::ioctl::{self, Updater, opcode};

use super::wire::{self, Notice};
use crate::broker;

/// `FUSE_DEV_IOC_CLONE`: has a new descriptor of `/dev/fuse` serve the mount of another.
const CLONE: ioctl::Opcode = opcode::read::<u32>(229, 0);

/// One that serves nothing yet.
///
/// # Errors
/// Where it is not there, or for others.
pub fn open() -> io::Result<OwnedFd> {
    Ok(std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse")?.into())
}

/// One descriptor. A request must be answered through the one that it was read from.
#[derive(Debug)]
pub struct Device {
    descriptor: OwnedFd,
    is_left: AtomicBool,
}

impl Device {
    pub fn new(descriptor: OwnedFd) -> Self {
        Self { descriptor, is_left: AtomicBool::new(false) }
    }

    /// From here on it is the next daemon's to answer what is not answered yet.
    pub fn leave(&self) {
        self.is_left.store(true, Ordering::Relaxed);
    }

    pub fn is_left(&self) -> bool {
        self.is_left.load(Ordering::Relaxed)
    }

    /// Another descriptor of the same mount, with a queue of its own for what it reads.
    pub fn again(&self) -> io::Result<Self> {
        let new = match broker::installed() {
            Some(broker) => broker.open_device()?,
            None => open()?,
        };
        let mut of = u32::try_from(self.descriptor.as_raw_fd()).map_err(io::Error::other)?;
        // SAFETY: this call reads a descriptor's number from the u32 that it is given, and writes nothing.
        unsafe { ioctl::ioctl(&new, Updater::<CLONE, u32>::new(&mut of)) }?;
        Ok(Self::new(new))
    }

    /// The same descriptor once more, to be kept.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.descriptor.try_clone()
    }

    /// Waits for the next message. None once there is no mount any more.
    pub fn read<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        loop {
            match rustix::io::read(&self.descriptor, &mut *buffer) {
                Ok(length) => return Ok(Some(buffer.get(..length).unwrap_or_default())),
                // NOENT: whoever asked was gone before the message was read.
                Err(Errno::NOENT | Errno::INTR | Errno::AGAIN) => {}
                Err(Errno::NODEV | Errno::CONNABORTED) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Answers a request. The bytes are not copied on our side.
    ///
    /// # Errors
    /// NOENT where nobody waits for this answer any more.
    pub fn answer(&self, unique: u64, bytes: &[u8]) -> io::Result<()> {
        self.write(wire::header(bytes.len(), 0, unique), bytes)
    }

    /// Answers that it cannot be done; `errno` is positive.
    ///
    /// # Errors
    /// As [`Device::answer`].
    pub fn refuse(&self, unique: u64, errno: i32) -> io::Result<()> {
        self.write(wire::header(0, errno.saturating_neg(), unique), &[])
    }

    /// Must not be called by a thread that serves the kernel: it may wait for an answer from there.
    ///
    /// # Errors
    /// NOENT where the kernel does not know what is spoken of, or has forgotten it.
    pub fn notify(&self, notice: Notice<'_>) -> io::Result<()> {
        let bytes = notice.bytes();
        self.write(wire::header(bytes.len(), notice.code(), 0), &bytes)
    }

    fn write(&self, header: [u8; wire::HEADER], bytes: &[u8]) -> io::Result<()> {
        // All or nothing, by the kernel's rules.
        rustix::io::writev(self.descriptor.as_fd(), &[IoSlice::new(&header), IoSlice::new(bytes)])?;
        Ok(())
    }
}
