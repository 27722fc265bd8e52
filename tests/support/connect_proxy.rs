//! An HTTP proxy that connects callers to where they ask for, or to what stands in for that, and counts.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::fault_proxy::Message;

pub struct ConnectProxy {
    address: SocketAddr,
    /// The hosts and ports of the connections that it was asked for.
    asked: Arc<Mutex<Vec<String>>>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl ConnectProxy {
    pub fn start() -> Self {
        Self::standing_in(Vec::new())
    }

    /// Whoever asks for one of these hosts and ports is connected to that address.
    pub fn instead_of(targets: &[&str], address: SocketAddr) -> Self {
        Self::standing_in(targets.iter().map(|&target| (target.to_owned(), address)).collect())
    }

    fn standing_in(stand_ins: Vec<(String, SocketAddr)>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("its address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let stand_ins = Arc::new(stand_ins);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a socket");
            while let Ok((client, _)) = listener.accept().await {
                let (noted, stand_ins) = (Arc::clone(&noted), Arc::clone(&stand_ins));
                tokio::spawn(async move { drop(serve(client, &noted, &stand_ins).await) });
            }
        });
        Self { address, asked, runtime: Some(runtime) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections it was asked for.
    pub fn connections(&self) -> usize {
        self.asked().len()
    }

    /// To which hosts and ports, in their order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
    asked: &Mutex<Vec<String>>,
    stand_ins: &[(String, SocketAddr)],
) -> std::io::Result<()> {
    let Some(request) = Message::read(&mut client).await? else { return Ok(()) };
    if request.method() != "CONNECT" {
        return client.write_all(b"HTTP/1.1 405 Only CONNECT\r\nContent-Length: 0\r\n\r\n").await;
    }
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(request.target().to_owned());
    let mut server = match stand_ins.iter().find(|(target, _)| target == request.target()) {
        Some((_, address)) => TcpStream::connect(address).await?,
        None => TcpStream::connect(request.target()).await?,
    };
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
