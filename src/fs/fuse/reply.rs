//! The answer to one request, to be given once.

use std::io;
use std::sync::Arc;

use fuser::FopenFlags;

use super::device::Device;
use super::wire::{self, Entries};
use crate::fs::attributes::Attributes;
use crate::fs::errno;
use crate::fs::tally::{Request, Tally};
use crate::tree::Refusal;

/// Dropped unused, it answers EIO: whoever asked is not left waiting. Every answer returns false where nobody waits for it
/// any more, and what the kernel was given by it, it does not have. Once the next daemon is to answer, nothing is refused:
/// what this one cannot do may be for its own end alone.
#[derive(Debug)]
pub struct Reply {
    device: Arc<Device>,
    unique: u64,
    is_given: bool,
    /// Where the answer is counted, and as one to what; None for what is no request of anybody.
    tally: Option<(Arc<Tally>, Request)>,
}

impl Reply {
    pub fn new(device: &Arc<Device>, unique: u64) -> Self {
        Self { device: Arc::clone(device), unique, is_given: false, tally: None }
    }

    /// Counts the answer.
    pub fn counted(mut self, tally: &Arc<Tally>, request: Request) -> Self {
        self.tally = Some((Arc::clone(tally), request));
        self
    }

    pub fn refused(self, refusal: &Refusal) {
        self.error(errno::of(refusal));
    }

    /// `errno` is positive.
    pub fn error(mut self, errno: i32) {
        self.is_given = true;
        self.refuse(errno);
    }

    fn refuse(&self, errno: i32) {
        if self.device.is_left() {
            return;
        }
        if let Some((tally, request)) = &self.tally {
            tally.failed(*request, errno);
        }
        note(self.device.refuse(self.unique, errno));
    }

    pub fn bytes(mut self, bytes: &[u8]) -> bool {
        self.is_given = true;
        if let Some((tally, request)) = &self.tally {
            tally.well(*request);
        }
        note(self.device.answer(self.unique, bytes))
    }

    /// What there is of the bytes from `offset` on, `size` at the most.
    pub fn part(self, bytes: &[u8], offset: u64, size: u32) {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(size as usize).min(bytes.len());
        self.bytes(bytes.get(start..end).unwrap_or_default());
    }

    pub fn done(self) {
        self.bytes(&[]);
    }

    pub fn entry(self, found: &Attributes) -> bool {
        self.bytes(&wire::entry(found))
    }

    pub fn attributes(self, found: &Attributes) {
        self.bytes(&wire::attributes(found));
    }

    pub fn opened(self, handle: u64, flags: FopenFlags) -> bool {
        self.bytes(&wire::opened(handle, flags))
    }

    pub fn entries(self, entries: &Entries) -> bool {
        self.bytes(entries.bytes())
    }

    /// An extended attribute, for who has room for so many bytes, or asks with 0 how many there are.
    pub fn xattr(self, value: &[u8], room: u32) {
        match (room, u32::try_from(value.len())) {
            (0, Ok(length)) => {
                self.bytes(&wire::xattr_length(length));
            }
            (room, Ok(length)) if length <= room => {
                self.bytes(value);
            }
            _ => self.refused(&Refusal::BufferTooSmall),
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.is_given {
            self.refuse(libc::EIO);
        }
    }
}

fn note(written: io::Result<()>) -> bool {
    match written {
        Ok(()) => true,
        // Whoever asked is gone, or the mount is.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => false,
        Err(error) => {
            tracing::error!("the kernel did not take an answer: {error}");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// What the kernel would have read once a reply is used so.
    fn written(is_left: bool, give: impl FnOnce(Reply)) -> Vec<u8> {
        let (ours, mut kernel) = UnixStream::pair().unwrap();
        let device = Arc::new(Device::new(ours.into()));
        if is_left {
            device.leave();
        }
        give(Reply::new(&device, 7));
        drop(device);
        let mut bytes = Vec::new();
        kernel.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_daemon_that_leaves_answers_what_it_can_and_leaves_to_the_next_what_it_cannot() {
        let answer = written(false, Reply::done);
        assert_eq!(answer.len(), wire::HEADER);
        assert_eq!(written(true, Reply::done), answer);
        for give in
            [drop::<Reply>, |reply: Reply| reply.refused(&Refusal::Defect), |reply: Reply| reply.error(libc::ENOENT)]
        {
            assert_eq!(written(false, give).len(), wire::HEADER);
            assert_eq!(written(true, give), [0; 0]);
        }
    }
}
