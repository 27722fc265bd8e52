//! What touches files: a way to them, and the process that goes it. The daemon's broker has it, for the kernel lets only
//! those do it who may mount.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Child;

use super::Place;
use super::access::Access;
use super::toucher;
use crate::sandbox::Beside;

/// At work until it is ended or dropped.
#[derive(Debug)]
pub struct Hands {
    /// None once it is given back.
    access: Option<Access>,
    process: Child,
}

impl Hands {
    /// With the socket through which the process is told.
    ///
    /// # Errors
    /// Where our file system is not there any more, where the kernel does not let us, and where no process can be started.
    pub fn on(place: &Place, layers: Beside) -> io::Result<(Self, OwnedFd)> {
        let access = Access::to(place)?;
        let connection = place.connection.as_ref().map(OwnedFd::try_clone).transpose()?;
        let (process, socket) = toucher::start(access.root()?, connection, layers)?;
        Ok((Self { access: Some(access), process }, socket))
    }

    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// # Errors
    /// Where the file system stays writable to the kernel.
    pub fn end(mut self) -> io::Result<()> {
        toucher::end(&mut self.process);
        self.access.take().map_or(Ok(()), Access::end)
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        if self.access.is_some() {
            toucher::end(&mut self.process);
        }
    }
}
