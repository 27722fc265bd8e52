//! The process that touches files, and how it is told which. It is this program once more, called by another name; its
//! standard input is the root of the file system, and its standard output the socket through which it is told.
//!
//! Should the daemon die that it waits for, what it asked is taken from the dead before it ends, as no process ends while
//! it waits for an answer to what has been read: systemd would wait for this one, and everybody for systemd.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, openat2, utimensat};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};

use crate::fs::fuse;
use crate::sandbox::{self, Beside};

/// What `ps` shows it as.
const NAME: &str = "hushfs-events";
/// Longer paths cannot be opened.
const LONGEST: usize = 4096;
/// All that it asks for is in memory.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often, and how far apart, it is looked whether the process has ended.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(1);

/// Starts the process; the socket is how it is told. `connection`: to the kernel, where what was read and not answered
/// can be sent again; see [`fuse::send_again`]. `layers`: what it gives up.
///
/// # Errors
/// Where no process can be started.
pub fn start(root: OwnedFd, connection: Option<OwnedFd>, layers: Beside) -> io::Result<(Child, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&ours, Timeout::Recv, Some(PATIENCE))?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0(NAME).args(layers.arguments()).env_clear().stdin(Stdio::from(root)).stdout(Stdio::from(theirs));
    command.stderr(connection.map_or_else(Stdio::null, Stdio::from));
    // Its end is for us to say.
    let process = command.process_group(0).spawn()?;
    Ok((process, ours))
}

/// Ends the process. It may hang where our mount does; then it is not waited for here.
pub fn end(process: &mut Child) {
    let _ = process.kill();
    for _ in 0..ATTEMPTS {
        if !matches!(process.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(PAUSE);
    }
}

/// The process, from the daemon's side.
#[derive(Debug)]
pub struct Toucher {
    socket: OwnedFd,
}

impl Toucher {
    /// The one that is told through this socket.
    pub fn told_through(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Touches a file, by its path below the root. The inner error is about that file.
    ///
    /// # Errors
    /// Where the process is gone, or does not answer.
    pub fn touch(&mut self, path: &str) -> io::Result<Result<(), io::Error>> {
        if path.is_empty() || path.len() >= LONGEST {
            return Ok(Err(rustix::io::Errno::NAMETOOLONG.into()));
        }
        send(&self.socket, path.as_bytes(), SendFlags::NOSIGNAL)?;
        let mut answer = [0; 4];
        let (length, _) = rustix::io::retry_on_intr(|| recv(&self.socket, &mut answer, RecvFlags::empty()))?;
        if length != answer.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(match i32::from_ne_bytes(answer) {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        })
    }
}

/// Has this program been called to touch files?
pub fn is_meant() -> bool {
    std::env::args_os().next().is_some_and(|name| name == NAME)
}

/// Touches files until nobody says which.
pub fn main() -> ExitCode {
    let (root, socket) = (io::stdin(), io::stdout());
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
        // They end whoever stops the daemon, and with it this.
        // SAFETY: no handler is installed, so no code of ours runs in one.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // It holds the kernel's end of the mount, and needs none of the broker's power but to find the way to a file.
    let Some(layers) = Beside::from_arguments(std::env::args_os().skip(1)) else { return ExitCode::FAILURE };
    if sandbox::harden().is_err() || sandbox::confine_toucher(layers).is_err() {
        return ExitCode::FAILURE;
    }
    // This thread is the one whose requests the daemon knows.
    if thread::Builder::new().spawn(end_with_the_daemon).is_err() {
        return ExitCode::FAILURE;
    }
    let mut path = [0; LONGEST];
    loop {
        let told = rustix::io::retry_on_intr(|| recv(&socket, &mut path, RecvFlags::empty()));
        let Ok((length @ 1.., _)) = told else { return ExitCode::SUCCESS };
        let path = path.get(..length).and_then(|path| std::str::from_utf8(path).ok()).unwrap_or_default();
        let errno = touch(&root, path).err().map_or(0, rustix::io::Errno::raw_os_error);
        if send(&socket, &errno.to_ne_bytes(), SendFlags::NOSIGNAL).is_err() {
            return ExitCode::SUCCESS;
        }
    }
}

/// Waits for the daemon's death, and then ends the process, whatever it waits for.
fn end_with_the_daemon() {
    let socket = io::stdout();
    // Nothing is asked for: that the other end is closed is told anyway.
    while let Err(rustix::io::Errno::INTR) = poll(&mut [PollFd::new(&socket, PollFlags::empty())], None) {}
    if let Ok(connection) = io::stderr().as_fd().try_clone_to_owned() {
        // Without a connection it is written to nowhere.
        let _ = fuse::send_again(connection);
    }
    std::process::exit(0);
}

/// Two events: programs that wait for a file to be written listen to IN_MODIFY, and others, such as systemd's
/// `PathChanged=`, to IN_ATTRIB.
fn touch(root: impl AsFd, path: &str) -> rustix::io::Result<()> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    let file = openat2(root, Path::new(path), flags, Mode::empty(), within)?;
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let unchanged = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    for last_access in [unchanged, now] {
        utimensat(&file, "", &Timestamps { last_access, last_modification: now }, AtFlags::EMPTY_PATH)?;
    }
    Ok(())
}
