//! The daemon's end of the control socket.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::SendFlags;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::desk::Desk;
use super::places::{Place, Places};
use super::protocol::Response;
use super::socket::{self, Bound, SocketFile};
use crate::sandbox;

/// The longest request, in bytes: a path and more.
const LONGEST: u64 = 16 << 10;

/// A socket that is answered until this is dropped, and is then gone.
pub struct Server {
    serving: JoinHandle<()>,
    _file: SocketFile,
}

/// Binds the socket, in place of one that a dead daemon left.
///
/// # Errors
///
/// Where the path is taken: by another daemon that answers, or by something that is not a socket.
pub fn bind(path: &Path) -> io::Result<Bound> {
    socket::bind(path, 0o600)
}

/// Answers on the socket. To be called within a tokio runtime.
///
/// # Errors
/// Where the runtime cannot wait for it.
pub fn start(bound: Bound, desk: Desk) -> io::Result<Server> {
    let Bound { listener, file } = bound;
    let serving = tokio::spawn(serve(UnixListener::from_std(listener)?, Arc::new(desk)));
    Ok(Server { serving, _file: file })
}

async fn serve(listener: UnixListener, desk: Arc<Desk>) {
    let places = Arc::<Places>::default();
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                failing = false;
                let Ok(peer) = client.peer_cred() else { continue };
                if !may_ask(&peer) {
                    send_away(&client);
                    continue;
                }
                let (desk, places, place) = (Arc::clone(&desk), Arc::clone(&places), places.take(peer.pid()));
                tokio::spawn(async move {
                    // A client that goes away in the middle is its own affair.
                    let _ = talk(client, peer.pid(), place, &places, &desk).await;
                });
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
    }
}

/// Root, and the user who started the daemon: both can do to it whatever can be asked for here. What is looked at is who
/// connected, by the kernel's word, and never what a client says of itself.
fn may_ask(peer: &UCred) -> bool {
    peer.uid() == 0 || peer.uid() == sandbox::owner().uid
}

/// Others take no place, and nothing of theirs is read.
fn send_away(client: &UnixStream) {
    let response = Response::Refused { why: "only root and the user who runs the daemon may ask".into() };
    if let Ok(line) = line(&response) {
        // Past tokio, which has not been told yet that a new connection has room.
        let _ = rustix::net::send(client, &line, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    }
}

/// One request, one answer.
pub(super) async fn talk(
    client: UnixStream,
    pid: Option<i32>,
    place: Place,
    places: &Arc<Places>,
    desk: &Desk,
) -> io::Result<()> {
    let (read, mut write) = client.into_split();
    let mut request = Vec::new();
    place.wait_for(BufReader::new(read.take(LONGEST)).read_until(b'\n', &mut request)).await?;
    let response = if request.len() as u64 >= LONGEST && !request.ends_with(b"\n") {
        Response::Refused { why: format!("not a request: it is longer than {LONGEST} bytes") }
    } else {
        desk.answer(&request, pid).await
    };
    let line = line(&response)?;
    // A place of its own: whoever was worked for long is not the first to be sent away.
    places.take(pid).wait_for(write.write_all(&line)).await?;
    write.shutdown().await
}

fn line(response: &Response) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::control::desk::tests::reporter;

    fn desk() -> Desk {
        Desk::new(Box::new(reporter), mpsc::channel(1).0)
    }

    #[tokio::test]
    async fn a_socket_that_a_dead_daemon_left_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let server = start(bind(&path).unwrap(), desk()).unwrap();
        assert_eq!(bind(&path).err().unwrap().kind(), io::ErrorKind::AddrInUse);
        assert!(path.exists());
        drop(server);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_in_the_place_of_the_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        assert_eq!(bind(&path).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        assert!(socket::remove_file(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"data");
    }
}
