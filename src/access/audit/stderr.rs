//! Lines on standard error, between the daemon's own.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Instant;

use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use super::put::{has_room, put};
use super::sink::{Entry, Sink};

pub struct StderrSink {
    to: Option<Descriptor>,
    /// The last line is there in part.
    torn: bool,
}

struct Descriptor {
    fd: OwnedFd,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Opened anew without blocking: whoever else holds standard error must not find it changed.
    NotBlocking,
    /// Sent to without blocking.
    Socket,
    /// Shares its offset with the daemon's own lines, which would overwrite ours otherwise.
    Shared,
}

impl StderrSink {
    /// Takes hold of what standard error is now.
    pub fn new() -> Self {
        Self::to(io::stderr().as_fd()).unwrap_or(Self { to: None, torn: false })
    }

    fn to(stderr: BorrowedFd<'_>) -> io::Result<Self> {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(stderr)?.st_mode);
        let anew = || {
            let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
            let itself = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&stderr));
            OpenOptions::new().write(true).custom_flags(flags).open(itself)
        };
        let descriptor = match kind {
            FileType::Socket => Descriptor { fd: stderr.try_clone_to_owned()?, kind: Kind::Socket },
            FileType::Fifo | FileType::CharacterDevice => match anew() {
                Ok(file) => Descriptor { fd: file.into(), kind: Kind::NotBlocking },
                Err(_) => Descriptor { fd: stderr.try_clone_to_owned()?, kind: Kind::Shared },
            },
            _ => Descriptor { fd: stderr.try_clone_to_owned()?, kind: Kind::Shared },
        };
        Ok(Self { to: Some(descriptor), torn: false })
    }
}

impl Sink for StderrSink {
    fn name(&self) -> &'static str {
        "stderr"
    }

    fn write(&mut self, entry: &Entry<'_>, until: Instant) -> io::Result<()> {
        let Some(Descriptor { fd, kind }) = &self.to else {
            return Err(io::Error::other("the daemon was started without a standard error"));
        };
        let line = if self.torn { &[b"\n", entry.line].concat() } else { entry.line };
        let written = put(fd, line, until, |fd, bytes| match kind {
            Kind::NotBlocking => rustix::io::write(fd, bytes),
            Kind::Socket => send(fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            Kind::Shared if has_room(fd) => rustix::io::write(fd, bytes),
            Kind::Shared => Err(Errno::AGAIN),
        });
        self.torn = match &written {
            Ok(()) => false,
            Err(cut) => self.torn || cut.torn,
        };
        written.map_err(|cut| cut.error)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;
    use crate::access::audit::record::Event;
    use crate::access::audit::test_sinks::{deadline, record};

    fn write(sink: &mut StderrSink, line: &str, until: Instant) -> io::Result<()> {
        let event = Event::Decision(Box::new(record("")));
        sink.write(&Entry { event: &event, line: format!("{line}\n").as_bytes() }, until)
    }

    fn fill(sink: &mut StderrSink) -> usize {
        let mut taken = 0;
        loop {
            match write(sink, &"x".repeat(2_000), Instant::now() + Duration::from_millis(20)) {
                Ok(()) => taken += 1,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return taken,
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn a_pipe_that_nobody_reads_holds_nobody_and_stays_as_it_was() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut sink = StderrSink::to(writer.as_fd()).unwrap();
        assert!(fill(&mut sink) > 0);
        let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
        assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK), "the daemon's own lines go there too");
        reader.read_exact(&mut vec![0; 20_000]).unwrap();
        write(&mut sink, "after", deadline()).unwrap();
        drop((sink, writer));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert!(text.ends_with("\nafter\n"));
    }

    #[test]
    fn a_socket_such_as_the_journals_holds_nobody() {
        let (mut reader, writer) = UnixStream::pair().unwrap();
        let mut sink = StderrSink::to(writer.as_fd()).unwrap();
        assert!(fill(&mut sink) > 0);
        let mut text = vec![0; 1 << 20];
        let length = reader.read(&mut text).unwrap();
        assert!(length > 0);
        reader.set_nonblocking(true).unwrap();
        while reader.read(&mut text).is_ok_and(|length| length > 0) {}
        write(&mut sink, "after", deadline()).unwrap();
    }

    #[test]
    fn in_a_file_lines_and_the_daemons_own_do_not_overwrite_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stderr");
        let mut shared = File::create(&path).unwrap();
        let mut sink = StderrSink::to(shared.as_fd()).unwrap();
        write(&mut sink, "one", deadline()).unwrap();
        shared.write_all(b"a line of the daemon\n").unwrap();
        write(&mut sink, "two", deadline()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\na line of the daemon\ntwo\n");
    }
}
