//! The commands' end of the control socket.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::protocol::{Request, Response};
use crate::fs::located::mounts;
use crate::words::{escaped, one_is_at};

/// The longest that a command waits for the daemon's answer, which may have to ask a provider first.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same for very many values that are to be fetched anew, and for requests that a reload waits for.
const LONG_PATIENCE: Duration = Duration::from_secs(3600);
/// The longest answer that is read, in bytes: what is behind a mount may be anything, and speak without an end. The longest of
/// ours is `readers` of all that is remembered, 10,000 secrets with 8 versions each, of half a kilobyte.
const LONGEST_ANSWER: u64 = 64 << 20;
/// The attribute of the mount's root that names the socket; see `fs::xattr`.
const ATTRIBUTE: &str = "user.hushfs.control";

const ONLY_OURS: &str = "only root and the user who runs it may ask";
/// What the kernel does to root, too.
const NOT_EVEN_ROOT: &str = "it is another user's, without allow_other the kernel shows its mount to nobody else, and only that \
                             shows where to ask; ask as that user, such as with: sudo -u";

/// Why the daemon could not be asked.
#[derive(Debug)]
pub enum ClientError {
    /// No hushfs is mounted there, but there may be others.
    NotMounted(PathBuf, Vec<PathBuf>),
    /// One is, and its daemon is dead.
    Dead(PathBuf),
    /// It refuses us.
    Refused(String),
    /// What was asked about is not there.
    NoSuch(String),
    /// There is no socket to ask it through.
    Unheard(PathBuf),
    /// It does not answer, or not as it should.
    Broken(PathBuf, io::Error),
}

/// Nothing of it is obeyed by a terminal: what a daemon says, and what is wrong with what it says, may be anything.
impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMounted(at, others) if others.is_empty() => {
                write!(f, "no hushfs is mounted at {}; start one with: hushfs mount", shown(at))
            }
            Self::NotMounted(at, others) => {
                let (at, elsewhere) = (shown(at), one_is_at(others));
                write!(f, "no hushfs is mounted at {at}, but {elsewhere}; ask that one with: --mountpoint")
            }
            Self::Dead(at) => {
                write!(f, "the daemon behind {0} has died; clear the mount with: hushfs unmount {0}", shown(at))
            }
            Self::Refused(why) => write!(f, "the daemon refuses: {}", escaped(why)),
            Self::NoSuch(why) => f.write_str(&escaped(why)),
            Self::Unheard(at) => write!(
                f,
                "the daemon behind {} has no control socket, and its log says why; mend that, and start it anew",
                shown(at)
            ),
            Self::Broken(at, error) => {
                write!(f, "the daemon behind {} does not answer: {}", shown(at), escaped(&error.to_string()))
            }
        }
    }
}

impl std::error::Error for ClientError {}

fn shown(path: &Path) -> String {
    escaped(&path.display().to_string())
}

/// Asks the daemon of the mount at `mountpoint`.
pub fn ask(mountpoint: &Path, request: &Request) -> Result<Response, ClientError> {
    let socket = socket_of(mountpoint)?;
    match exchange(&socket, request) {
        Ok(Response::Refused { why }) => Err(ClientError::Refused(why)),
        Ok(Response::NoSuch { why }) => Err(ClientError::NoSuch(why)),
        Ok(response) => Ok(response),
        // Its socket is for those who may ask.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(ClientError::Refused(ONLY_OURS.into())),
        Err(error) => Err(ClientError::Broken(mountpoint.to_owned(), error)),
    }
}

fn socket_of(mountpoint: &Path) -> Result<PathBuf, ClientError> {
    let mut path = [0_u8; 4096];
    match rustix::fs::getxattr(mountpoint, ATTRIBUTE, &mut path) {
        Ok(0) => Err(ClientError::Unheard(mountpoint.to_owned())),
        Ok(length) => Ok(PathBuf::from(std::ffi::OsStr::from_bytes(&path[..length.min(path.len())]))),
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::NOTSUP | rustix::io::Errno::NOENT) => {
            Err(ClientError::NotMounted(mountpoint.to_owned(), mounts().unwrap_or_default()))
        }
        Err(rustix::io::Errno::NOTCONN | rustix::io::Errno::CONNABORTED) => {
            Err(ClientError::Dead(mountpoint.to_owned()))
        }
        Err(rustix::io::Errno::ACCESS) => {
            let is_root = rustix::process::geteuid().is_root();
            Err(ClientError::Refused(if is_root { NOT_EVEN_ROOT } else { ONLY_OURS }.into()))
        }
        Err(errno) => Err(ClientError::Broken(mountpoint.to_owned(), errno.into())),
    }
}

fn exchange(socket: &Path, request: &Request) -> io::Result<Response> {
    let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // For connecting as well, where nobody takes us in.
    sockopt::set_socket_timeout(&stream, Timeout::Send, Some(PATIENCE))?;
    connect(&stream, &SocketAddrUnix::new(socket)?)?;
    say(UnixStream::from(stream), request)
}

fn say(mut stream: UnixStream, request: &Request) -> io::Result<Response> {
    let patience = match request {
        Request::Refresh { .. } | Request::Reload => LONG_PATIENCE,
        Request::Status | Request::Why { .. } | Request::Flush { .. } | Request::Readers { .. } => PATIENCE,
    };
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    let said = match stream.write_all(&line) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
        said => said,
    };
    let mut answer = Vec::new();
    let heard = Until(stream, Instant::now() + patience).take(LONGEST_ANSWER + 1).read_to_end(&mut answer);
    if answer.len() as u64 > LONGEST_ANSWER {
        let why = format!("its answer is longer than {LONGEST_ANSWER} bytes; is that a mount of yours?");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    // Who is sent away is told why and not listened to: that breaks what is said, or what is heard after the answer.
    serde_json::from_slice(&answer).or_else(|error| {
        said.and(heard)?;
        Err(error.into())
    })
}

/// Read to the end by a time: what is behind a mount may speak as slowly as it likes.
struct Until(UnixStream, Instant);

impl Read for Until {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.1.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.0.set_read_timeout(Some(left))?;
        self.0.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::net::{RecvFlags, recv};

    use super::*;

    /// What is made of it when somebody writes `answer`, before or after it is asked, and listens to nothing.
    fn sent_away(answer: &[u8], is_before: bool) -> io::Result<Response> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let answer = answer.to_owned();
        let send_away = move || {
            let mut theirs = theirs;
            if !is_before {
                recv(&theirs, &mut [0_u8], RecvFlags::PEEK).unwrap();
            }
            theirs.write_all(&answer).unwrap();
        };
        if is_before {
            send_away();
            return say(ours, &Request::Status);
        }
        thread::scope(|scope| {
            scope.spawn(send_away);
            say(ours, &Request::Status)
        })
    }

    #[test]
    fn whoever_is_sent_away_learns_why_before_and_after_it_has_asked() {
        let refused = serde_json::to_vec(&Response::Refused { why: "not you".into() }).unwrap();
        for is_before in [true, false] {
            let told = sent_away(&refused, is_before);
            assert!(matches!(&told, Ok(Response::Refused { why }) if why == "not you"), "{is_before}: {told:?}");
        }
    }

    #[test]
    fn where_nothing_is_said_it_is_what_broke() {
        assert_eq!(sent_away(b"", true).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(sent_away(b"", false).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
