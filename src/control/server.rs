//! The daemon's end of the control socket.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinHandle};

use super::protocol::{Request, Response};
use super::reload::Reloaded;
use super::report::Reporter;
use super::socket;

/// Clients served at a time. Whoever comes then takes the place of the one that has been there longest: an
/// honest client needs its place for a moment, and those that only sit there keep nobody out.
const CLIENTS: usize = 16;
/// How long a client may take to ask, and to take its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the answer may take, providers asked.
const LONGEST_ANSWER: Duration = Duration::from_secs(50);
/// The longest request, in bytes: a path and more.
const LONGEST: u64 = 16 << 10;

/// Who answers.
pub struct Desk {
    /// Made anew for each request: it tells of the configuration that holds, and to its end of the same.
    pub reporter: Box<dyn Fn() -> Reporter + Send + Sync>,
    /// Who loads the configuration, and where to say what came of it.
    pub reload: mpsc::Sender<oneshot::Sender<Reloaded>>,
}

/// A socket that is answered until this is dropped, and is then gone.
pub struct Server {
    serving: JoinHandle<()>,
    path: PathBuf,
}

/// Binds the socket, in place of one that a dead daemon left, and answers on it.
///
/// # Errors
///
/// Where the path is taken: by another daemon that answers, or by something that is not a socket.
pub fn start(path: &Path, desk: Desk) -> io::Result<Server> {
    let listener = socket::bind(path, 0o600)?;
    let serving = tokio::spawn(serve(listener, Arc::new(desk)));
    Ok(Server { serving, path: path.to_owned() })
}

async fn serve(listener: UnixListener, desk: Arc<Desk>) {
    let mut clients = VecDeque::<AbortHandle>::new();
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                failing = false;
                clients.retain(|client| !client.is_finished());
                if clients.len() >= CLIENTS
                    && let Some(longest) = clients.pop_front()
                {
                    longest.abort();
                }
                let desk = Arc::clone(&desk);
                let answered = tokio::spawn(async move {
                    // A client that goes away in the middle is its own affair.
                    let _ = answer(client, &desk).await;
                });
                clients.push_back(answered.abort_handle());
            }
            Err(error) => {
                // Out of descriptors, most likely; they come back. Said once, not ten times a second.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!("control socket: {error}");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
        // It may be gone already, with its directory.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn answer(client: UnixStream, desk: &Desk) -> io::Result<()> {
    let peer = client.peer_cred()?;
    let (read, mut write) = client.into_split();
    let response = if peer.uid() == 0 || peer.uid() == rustix::process::geteuid().as_raw() {
        let mut line = Vec::new();
        timely(BufReader::new(read.take(LONGEST)).read_until(b'\n', &mut line)).await?;
        match serde_json::from_slice::<Request>(&line) {
            Ok(Request::Status) => Response::Status(Box::new((desk.reporter)().status())),
            Ok(Request::Why { names, who }) => {
                let reporter = (desk.reporter)();
                let why = tokio::time::timeout(LONGEST_ANSWER, reporter.why(names, who, peer.pid())).await;
                why.unwrap_or_else(|_| Response::NoSuch { why: "no answer in time; see hushfs status".into() })
            }
            // Bounded by the scopes' timeouts: as many values as there are may take their time.
            Ok(Request::Refresh { names }) => (desk.reporter)().refresh(&names).await,
            Ok(Request::Flush { names }) => (desk.reporter)().flush(&names),
            Ok(Request::Readers { names }) => {
                // It looks at processes.
                let reporter = (desk.reporter)();
                let told = tokio::task::spawn_blocking(move || reporter.readers(&names)).await;
                told.unwrap_or_else(|_| Response::NoSuch { why: "it was broken off".into() })
            }
            Ok(Request::Reload) => desk.reload().await,
            Err(error) => Response::Refused { why: format!("not a request: {error}") },
        }
    } else {
        Response::Refused { why: "only root and the user who runs the daemon may ask".into() }
    };
    let mut line = serde_json::to_vec(&response)?;
    line.push(b'\n');
    timely(write.write_all(&line)).await?;
    write.shutdown().await
}

impl Desk {
    async fn reload(&self) -> Response {
        let (answer, reloaded) = oneshot::channel();
        let is_asked = self.reload.send(answer).await.is_ok();
        match reloaded.await {
            Ok(reloaded) if is_asked => Response::Reloaded(Box::new(reloaded)),
            Ok(_) | Err(_) => Response::NoSuch { why: "the daemon is about to end, and reloads nothing".into() },
        }
    }
}

/// A client that is slow loses its place.
async fn timely<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(PATIENCE, work).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::access::Assignment;
    use crate::access::audit::AuditLog;
    use crate::access::policy::Policy;
    use crate::cache::{Clock, Memory, Sources, SystemClock};
    use crate::config::RootPolicy;
    use crate::fs::{Judge, Operations};
    use crate::tree::Namespace;

    fn desk() -> Desk {
        Desk { reporter: Box::new(reporter), reload: mpsc::channel(1).0 }
    }

    fn reporter() -> Reporter {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let memory = Memory::new(1 << 20, &clock, &tokio::runtime::Handle::current(), |_| {});
        let sources = Sources::new([].into_iter(), Vec::new(), Box::new(crate::provider::registry::build));
        let namespace = Namespace::new(Arc::new(sources.ok().unwrap()), Arc::new(memory));
        let audit = AuditLog::start(&crate::config::AuditSettings::default()).unwrap();
        let judge = Judge::new(Policy::new(Vec::new(), 0, 0, RootPolicy::Allow), Assignment::default(), Arc::default());
        let operations = Operations::new(Arc::new(namespace), judge, Arc::new(audit), PathBuf::new());
        Reporter {
            operations: Arc::new(operations),
            mountpoint: PathBuf::from("/nowhere"),
            started: SystemTime::UNIX_EPOCH,
            had_predecessor: false,
            max_bytes: 1 << 20,
            allow_other: false,
        }
    }

    #[tokio::test]
    async fn a_socket_that_a_dead_daemon_left_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let server = start(&path, desk()).unwrap();
        assert_eq!(start(&path, desk()).err().unwrap().kind(), io::ErrorKind::AddrInUse);
        assert!(path.exists());
        drop(server);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_in_the_place_of_the_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        assert_eq!(start(&path, desk()).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"data");
    }
}
