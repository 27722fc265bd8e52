//! An HTTP proxy that connects callers to where they ask for, or to what stands in for that, and counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::fault_proxy::Message;

pub struct ConnectProxy {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl ConnectProxy {
    pub fn start() -> Self {
        Self::standing_in(None)
    }

    /// Whoever asks for this host and port is connected to that address.
    pub fn instead_of(target: &str, address: SocketAddr) -> Self {
        Self::standing_in(Some((target.to_owned(), address)))
    }

    fn standing_in(stand_in: Option<(String, SocketAddr)>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("its address");
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let stand_in = Arc::new(stand_in);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a socket");
            while let Ok((client, _)) = listener.accept().await {
                let (counted, stand_in) = (Arc::clone(&counted), Arc::clone(&stand_in));
                tokio::spawn(async move { drop(serve(client, &counted, stand_in.as_ref().as_ref()).await) });
            }
        });
        Self { address, connections, runtime: Some(runtime) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections it has made.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(
    mut client: TcpStream,
    connections: &AtomicUsize,
    stand_in: Option<&(String, SocketAddr)>,
) -> std::io::Result<()> {
    let Some(request) = Message::read(&mut client).await? else { return Ok(()) };
    if request.method() != "CONNECT" {
        return client.write_all(b"HTTP/1.1 405 Only CONNECT\r\nContent-Length: 0\r\n\r\n").await;
    }
    connections.fetch_add(1, Ordering::SeqCst);
    let mut server = match stand_in.filter(|(target, _)| target == request.target()) {
        Some((_, address)) => TcpStream::connect(address).await?,
        None => TcpStream::connect(request.target()).await?,
    };
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
