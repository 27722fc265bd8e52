//! The daemon's end.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{io, thread};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tokio::sync::oneshot;

use super::line::Line;
use super::protocol::{Answer, Found, Request};
use crate::sandbox;

/// What `ps` shows it as.
pub const NAME: &str = "hushfs-broker";
/// How long it is waited for a look at something: what a caller runs, which is in memory, and the audit log.
const PATIENCE: Duration = Duration::from_secs(2);
/// And for what changes something. Two of them, and what else is waited for at the end, fit into the time that the unit has
/// to stop (`TimeoutStopSec=`).
const PATIENCE_FOR_ACTS: Duration = Duration::from_secs(3);
/// At the start there is nobody yet who waits for the end.
const PATIENCE_FOR_MOUNTING: Duration = Duration::from_secs(15);

/// The process, from the daemon's side. It ends when the daemon does.
#[derive(Debug)]
pub struct Broker {
    /// What changes something, and may take its time.
    acts: Line,
    /// What only looks; asked for by the threads that serve the kernel.
    looks: Line,
    /// The audit log, which may be on a disk that does not answer.
    logs: Line,
    sockets: Vec<PathBuf>,
    /// How long it is waited for what changes something.
    patience: Duration,
    /// Files may be touched, or may come to be, by a request whose answer nobody has waited for.
    is_touching: AtomicBool,
}

/// What it is started for, and does nothing beyond.
#[derive(Debug)]
pub struct Terms<'a> {
    /// Canonical.
    pub mountpoint: &'a Path,
    pub allow_other: bool,
    pub events: bool,
    /// The audit log, if it is a file.
    pub log: Option<&'a Path>,
    /// What it gives up; by Landlock the log is kept from being shortened.
    pub layers: sandbox::Beside,
    /// Those that the daemon has bound, and that are to be gone with it.
    pub sockets: Vec<PathBuf>,
}

static INSTALLED: OnceLock<Broker> = OnceLock::new();

/// The broker of this process. None in every command but the daemon: there nothing has been given up.
pub fn installed() -> Option<&'static Broker> {
    INSTALLED.get()
}

/// A process that touches files, and the socket through which it is told.
#[derive(Debug)]
pub struct Touching {
    pub process: u32,
    pub socket: OwnedFd,
}

impl Broker {
    /// Starts the process for this one. To be called before anything is given up, and once.
    ///
    /// # Errors
    /// Where no process can be started.
    pub fn install(terms: Terms<'_>) -> io::Result<()> {
        let Terms { mountpoint, allow_other, events, log, layers, sockets } = terms;
        let pair = || socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let ((acts, acting), (looks, looking), (logs, logging)) = (pair()?, pair()?, pair()?);
        let mut command = Command::new("/proc/self/exe");
        command.arg0(NAME).args([allow_other, events].map(|flag| flag.to_string())).args(layers.arguments());
        // No path is empty.
        command.arg(mountpoint).arg(log.unwrap_or(Path::new(""))).args(&sockets);
        // It speaks to fusermount3 and to systemctl.
        command.env_clear();
        for name in ["PATH", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS", "NOTIFY_SOCKET"]
        {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.stdin(Stdio::from(acting)).stdout(Stdio::from(looking)).stderr(Stdio::from(logging));
        // A Ctrl-C is for the daemon, which has it unmount then. Nobody waits for this process: it ends with the daemon.
        command.process_group(0).spawn()?;
        let broker = Self { sockets, ..Self::asked_through([acts, looks, logs], PATIENCE_FOR_ACTS) };
        INSTALLED.set(broker).map_err(|_| io::Error::other("there is a broker already"))
    }

    fn asked_through(sockets: [OwnedFd; 3], patience: Duration) -> Self {
        let [acts, looks, logs] = sockets.map(Line::new);
        Self { acts, looks, logs, sockets: Vec::new(), patience, is_touching: AtomicBool::new(false) }
    }

    /// Mounts. The kernel's end, and the device where it is known.
    ///
    /// # Errors
    /// In words for people, with what to do.
    pub fn mount(&self) -> Result<(OwnedFd, Option<String>), String> {
        match self.act(&Request::Mount, None).map_err(|error| gone(&error))? {
            (Answer::Mounted(device), Some(descriptor)) => Ok((descriptor, device)),
            (answer, _) => Err(why(answer)),
        }
    }

    /// # Errors
    /// As [`Broker::mount`].
    pub fn unmount(&self, device: &str) -> Result<(), String> {
        match self.act(&Request::Unmount { device: device.to_owned() }, None).map_err(|error| gone(&error))? {
            (Answer::Done, _) => Ok(()),
            (answer, _) => Err(why(answer)),
        }
    }

    /// # Errors
    /// Where the kernel does not let it.
    pub fn set_read_only(&self, device: (u32, u32)) -> io::Result<()> {
        done(self.act(&Request::SetReadOnly { device }, None)?.0)
    }

    /// `connection`: to the kernel, for the process that touches.
    ///
    /// # Errors
    /// Where the kernel does not let it, no process can be started, or there is no answer: then it may still happen, and
    /// [`Broker::owes_an_end`].
    pub fn begin_touching(&self, device: (u32, u32), connection: Option<BorrowedFd<'_>>) -> io::Result<Touching> {
        self.is_touching.store(true, Ordering::Relaxed);
        match self.act(&Request::BeginTouching { device }, connection)? {
            (Answer::Touching(process), Some(socket)) => Ok(Touching { process, socket }),
            // It has begun, but the socket has not come through, for want of a descriptor.
            (answer @ Answer::Touching(_), None) => Err(failure(answer)),
            (answer, _) => {
                self.is_touching.store(false, Ordering::Relaxed);
                Err(failure(answer))
            }
        }
    }

    /// # Errors
    /// Where the file system cannot be made what it was. Where there is no answer, [`Broker::owes_an_end`].
    pub fn end_touching(&self) -> io::Result<()> {
        let (answer, _) = self.act(&Request::EndTouching, None)?;
        self.is_touching.store(false, Ordering::Relaxed);
        done(answer)
    }

    /// Has touching begun, or may it begin at any time, and nobody has been heard to have ended it?
    pub fn owes_an_end(&self) -> bool {
        self.is_touching.load(Ordering::Relaxed)
    }

    /// Takes a moment. No where that cannot be told.
    pub fn is_for_a_restart(&self) -> bool {
        matches!(self.act(&Request::IsForARestart, None), Ok((Answer::Restart(true), _)))
    }

    /// Asks the mount whether it is served, for as long as that takes: for ever, if a daemon has it that hangs.
    ///
    /// # Errors
    /// Where it is not.
    pub fn ask_mount(&self) -> io::Result<()> {
        let (answer, pipe) = self.act(&Request::AskMount, None)?;
        let Some(pipe) = pipe else { return done(answer) };
        let mut errno = [0; 4];
        File::from(pipe).read_exact(&mut errno)?;
        match i32::from_ne_bytes(errno) {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    /// A descriptor of `/dev/fuse` that serves nothing yet.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn open_device(&self) -> io::Result<OwnedFd> {
        let (answer, device) = self.act(&Request::OpenDevice, None)?;
        device.ok_or_else(|| failure(answer))
    }

    /// The audit log that it was started for, opened anew, and whether it ends in a part of a line.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn open_log(&self) -> io::Result<(File, bool)> {
        let (answer, file) = self.logs.ask(b"?", None, PATIENCE)?;
        match (serde_json::from_slice(&answer)?, file) {
            (Answer::Log { torn }, Some(file)) => Ok((file.into(), torn)),
            (answer, _) => Err(failure(answer)),
        }
    }

    /// Removes a socket, if it is one of those that it was started for.
    ///
    /// # Errors
    /// Where it is not, and where it cannot be removed.
    pub fn remove_socket(&self, path: &Path) -> io::Result<()> {
        let place = self.sockets.iter().position(|socket| socket == path).ok_or(io::ErrorKind::NotFound)?;
        done(self.act(&Request::RemoveSocket { place }, None)?.0)
    }

    /// What a thread runs, by its folder in `/proc`: the path, and whether the file there is the one. None in any doubt.
    pub fn executable(&self, thread: BorrowedFd<'_>) -> Option<(PathBuf, bool)> {
        let (answer, _) = self.looks.ask(b"?", Some(thread), PATIENCE).ok()?;
        let Found { path, is_there } = Found::from_bytes(&answer)?;
        Some((OsString::from_vec(path).into(), is_there))
    }

    /// Is told when the process is gone.
    ///
    /// # Errors
    /// Where no thread can be started that waits for it.
    pub fn gone(&'static self) -> io::Result<oneshot::Receiver<()>> {
        let (tell, told) = oneshot::channel();
        thread::Builder::new().name("hushfs-broken".into()).spawn(move || {
            // Nothing is asked for: that the other end is closed is told anyway.
            while let Err(Errno::INTR) = poll(&mut [PollFd::new(&self.acts, PollFlags::empty())], None) {}
            // Nobody listens where the daemon ends.
            let _ = tell.send(());
        })?;
        Ok(told)
    }

    fn act(&self, request: &Request, descriptor: Option<BorrowedFd<'_>>) -> io::Result<(Answer, Option<OwnedFd>)> {
        let patience = if *request == Request::Mount { PATIENCE_FOR_MOUNTING } else { self.patience };
        let (answer, descriptor) = self.acts.ask(&serde_json::to_vec(request)?, descriptor, patience)?;
        Ok((serde_json::from_slice(&answer)?, descriptor))
    }
}

fn done(answer: Answer) -> io::Result<()> {
    match answer {
        Answer::Done => Ok(()),
        Answer::Failed { errno: Some(errno), .. } => Err(io::Error::from_raw_os_error(errno)),
        answer => Err(io::Error::other(why(answer))),
    }
}

fn failure(answer: Answer) -> io::Error {
    done(answer).err().unwrap_or_else(|| io::ErrorKind::InvalidData.into())
}

fn why(answer: Answer) -> String {
    match answer {
        Answer::Failed { why, .. } => why,
        _ => "the process that mounts answered another question".to_owned(),
    }
}

fn gone(error: &io::Error) -> String {
    format!("the process {NAME}, which mounts and unmounts, does not answer: {error}")
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::net::{RecvFlags, SendFlags, recv};

    use super::super::protocol::{self, LONGEST};
    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    fn asked(of: &OwnedFd) -> (u64, Request) {
        let mut bytes = [0; LONGEST];
        let (number, said, _) = protocol::receive(of, &mut bytes, RecvFlags::empty()).unwrap();
        (number, serde_json::from_slice(said).unwrap())
    }

    fn answer(to: &OwnedFd, number: u64, answer: &Answer, descriptor: Option<&OwnedFd>) {
        let said = serde_json::to_vec(answer).unwrap();
        protocol::send(to, number, &said, descriptor.map(AsFd::as_fd), SendFlags::empty()).unwrap();
    }

    #[test]
    fn touching_that_begins_when_nobody_waits_any_more_is_ended() {
        let ((acts, acting), (looks, _looking), (logs, _logging)) = (pair(), pair(), pair());
        let mut broker = Broker::asked_through([acts, looks, logs], Duration::ZERO);
        assert!(!broker.owes_an_end());
        let late = broker.begin_touching((0, 1), None).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        // Nor is its end heard of before its beginning is: one question at a time.
        assert_eq!(broker.end_touching().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(broker.owes_an_end());
        let (number, request) = asked(&acting);
        assert_eq!(request, Request::BeginTouching { device: (0, 1) });
        let (toucher, told_through) = pair();
        answer(&acting, number, &Answer::Touching(7), Some(&told_through));
        drop(told_through);
        broker.patience = Duration::from_secs(60);
        thread::scope(|scope| {
            scope.spawn(|| {
                let (number, request) = asked(&acting);
                assert_eq!(request, Request::EndTouching);
                answer(&acting, number, &Answer::Done, None);
            });
            broker.end_touching().unwrap();
        });
        assert!(!broker.owes_an_end());
        // And the process that touches is told that nobody speaks to it.
        let mut byte = [0];
        assert_eq!(recv(&toucher, &mut byte, RecvFlags::DONTWAIT).unwrap().0, 0);
    }

    #[test]
    fn touching_that_is_refused_owes_no_end() {
        let ((acts, acting), (looks, _looking), (logs, _logging)) = (pair(), pair(), pair());
        let broker = Broker::asked_through([acts, looks, logs], Duration::from_secs(60));
        thread::scope(|scope| {
            scope.spawn(|| {
                let (number, _) = asked(&acting);
                let refused = io::Error::from_raw_os_error(libc::EXDEV);
                answer(&acting, number, &Answer::failed(&refused), None);
            });
            let refused = broker.begin_touching((0, 1), None).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EXDEV));
        });
        assert!(!broker.owes_an_end());
    }
}
