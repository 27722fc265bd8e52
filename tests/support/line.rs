//! A TCP connection's way to a server, that can go wrong below TLS and HTTP; `fault_proxy` is for what goes wrong
//! above them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

/// What is the matter with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    Nothing,
    /// Connections are taken, and nothing is ever said on them.
    HalfOpen,
    /// Whoever says something is reset.
    Reset,
    /// Nobody listens.
    Refused,
    /// The other side leaves when it has heard something: in the middle of a TLS handshake.
    HangUp,
    /// The connections that there are say no more, as after a firewall has forgotten them; new ones are good.
    Forgotten,
    /// Every other connection is reset.
    Flapping,
    /// It leads to another server.
    To(SocketAddr),
}

pub struct Line {
    address: SocketAddr,
    trouble: watch::Sender<Trouble>,
    connections: Arc<AtomicUsize>,
    /// Keeps the port while nobody listens.
    _reserved: TcpSocket,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Line {
    /// Listens on a free port of loopback.
    pub fn to(server: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (trouble, told) = watch::channel(Trouble::Nothing);
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let inside = runtime.enter();
        let reserved = bound(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        let address = reserved.local_addr().expect("its address");
        let first = bound(address).and_then(|socket| socket.listen(1024)).expect("a socket that listens");
        drop(inside);
        runtime.spawn(listen(first, address, server, told, counter));
        Self { address, trouble, connections, _reserved: reserved, runtime: Some(runtime) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub fn set(&self, trouble: Trouble) {
        self.trouble.send_replace(trouble);
    }

    /// How many connections were taken so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A port that other sockets of ours can have too, and nobody else.
fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn listen(
    first: TcpListener,
    address: SocketAddr,
    server: SocketAddr,
    mut told: watch::Receiver<Trouble>,
    connections: Arc<AtomicUsize>,
) {
    let mut listener = Some(first);
    loop {
        let trouble = *told.borrow_and_update();
        if trouble == Trouble::Refused {
            listener = None;
        } else if listener.is_none() {
            listener = bound(address).and_then(|socket| socket.listen(1024)).ok();
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        let client = tokio::select! {
            changed = told.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            accepted = accepted => match accepted {
                Ok((client, _)) => client,
                Err(_) => continue,
            },
        };
        let number = connections.fetch_add(1, Ordering::SeqCst);
        // Whoever leaves early is welcome to.
        let told = told.clone();
        tokio::spawn(async move { drop(serve(client, number, server, told).await) });
    }
}

async fn serve(
    mut client: TcpStream,
    number: usize,
    server: SocketAddr,
    mut told: watch::Receiver<Trouble>,
) -> io::Result<()> {
    let trouble = *told.borrow_and_update();
    let server = match trouble {
        Trouble::HalfOpen => return silence(&mut client).await,
        Trouble::Flapping if number.is_multiple_of(2) => return reset(client).await,
        Trouble::Reset => return reset(client).await,
        Trouble::HangUp => {
            let _ = client.read(&mut [0; 1]).await?;
            return Ok(());
        }
        Trouble::Refused => return Ok(()),
        Trouble::To(elsewhere) => elsewhere,
        Trouble::Nothing | Trouble::Forgotten | Trouble::Flapping => server,
    };
    let mut upstream = TcpStream::connect(server).await?;
    loop {
        tokio::select! {
            ended = tokio::io::copy_bidirectional(&mut client, &mut upstream) => return ended.map(drop),
            changed = told.changed() => match changed.map(|()| *told.borrow_and_update()) {
                Ok(Trouble::Forgotten) => return silence(&mut client).await,
                Ok(Trouble::Nothing | Trouble::Flapping) => {}
                // What there was breaks off.
                Ok(_) | Err(_) => return Ok(()),
            },
        }
    }
}

/// Hears everything and says nothing, until the client leaves.
async fn silence(client: &mut TcpStream) -> io::Result<()> {
    while client.read(&mut [0; 4096]).await? > 0 {}
    Ok(())
}

/// An RST for the first word.
async fn reset(mut client: TcpStream) -> io::Result<()> {
    let _ = client.read(&mut [0; 1]).await?;
    rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO))?;
    Ok(())
}
