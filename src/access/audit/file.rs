//! Lines at the end of a file.
//!
//! Each line is one write(2) to a descriptor opened with O_APPEND, so lines of several writers do not mix.
//! What the kernel has taken survives the daemon, but not a power cut: nothing is flushed to the disk.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::put::put;
use super::sink::{Entry, Sink};
use crate::broker;

/// How often the path is compared with the file that is open.
const LOOK: Duration = Duration::from_secs(1);

pub struct FileSink {
    path: PathBuf,
    open: Option<Open>,
    /// When the path was last compared; None makes it be compared before the next line.
    looked: Option<Instant>,
}

struct Open {
    file: File,
    device: u64,
    inode: u64,
    /// It ends in a part of a line. The next one starts on a line of its own.
    torn: bool,
}

impl FileSink {
    /// Nothing is opened before the first line.
    pub fn new(path: PathBuf) -> Self {
        Self { path, open: None, looked: None }
    }

    /// Opens the file, which makes it where it is not there.
    pub fn try_out(path: &Path) -> io::Result<()> {
        Open::at(path).map(drop)
    }

    /// The file that the path means, as far as was to be known within the last `LOOK`.
    fn current(&mut self) -> io::Result<&mut Open> {
        let fresh = self.looked.is_some_and(|then| then.elapsed() < LOOK);
        if !(fresh && self.open.is_some()) {
            let is_current = self.open.as_ref().is_some_and(|open| open.is_at(&self.path));
            if !is_current {
                self.follow()?;
            }
            self.looked = Some(Instant::now());
        }
        self.open.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Opens what is at the path now. Where that cannot be, an old file that still has a name goes on
    /// being used: its records can be found.
    fn follow(&mut self) -> io::Result<()> {
        match Open::at(&self.path) {
            Ok(open) => self.open = Some(open),
            Err(error) => {
                self.open = self.open.take().filter(|old| !old.is_nameless());
                if self.open.is_none() {
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl Sink for FileSink {
    fn name(&self) -> &'static str {
        "file"
    }

    fn write(&mut self, entry: &Entry<'_>, until: Instant) -> io::Result<()> {
        self.current()?.line(entry.line, until)?;
        // A file that was deleted since would take the line with it.
        if self.open.as_ref().is_some_and(Open::is_nameless) {
            self.reopen();
            self.current()?.line(entry.line, until)?;
        }
        Ok(())
    }

    fn reopen(&mut self) {
        self.looked = None;
    }
}

/// Opens the file, to be added to, and says whether it ends in a part of a line.
///
/// # Errors
/// Where it cannot be opened, or is a symbolic link.
pub fn open(path: &Path) -> io::Result<(File, bool)> {
    // Not blocking: a FIFO that nobody reads must not hold us.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    let torn = metadata.is_file() && metadata.len() > 0 && last_byte(path, metadata.len()).is_ok_and(|b| b != b'\n');
    Ok((file, torn))
}

impl Open {
    /// In its sandbox the daemon may write nowhere, and has its broker open the log.
    fn at(path: &Path) -> io::Result<Self> {
        let (file, torn) = match broker::installed() {
            Some(broker) => broker.open_log()?,
            None => open(path)?,
        };
        let metadata = file.metadata()?;
        Ok(Self { file, device: metadata.dev(), inode: metadata.ino(), torn })
    }

    fn is_at(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|there| there.dev() == self.device && there.ino() == self.inode)
    }

    fn is_nameless(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    fn line(&mut self, line: &[u8], until: Instant) -> io::Result<()> {
        let write = |fd: std::os::fd::BorrowedFd<'_>, bytes: &[u8]| rustix::io::write(fd, bytes);
        let written = if self.torn {
            put(&self.file, &[b"\n", line].concat(), until, write)
        } else {
            put(&self.file, line, until, write)
        };
        match written {
            Ok(()) => {
                self.torn = false;
                Ok(())
            }
            Err(cut) => {
                self.torn |= cut.torn;
                Err(cut.error)
            }
        }
    }
}

fn last_byte(path: &Path, length: u64) -> io::Result<u8> {
    let mut byte = [0];
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    file.read_exact_at(&mut byte, length.saturating_sub(1))?;
    Ok(byte[0])
}

#[cfg(test)]
#[path = "file_test.rs"]
mod tests;
