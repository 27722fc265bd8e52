//! Where metrics are asked for.

use std::io;
use std::net::TcpListener as StdTcpListener;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use crate::config::MetricsListen;
use crate::control::socket;

/// Whoever is of the daemon's group may ask, so that a scraper need not be root: a folder with other rights, or a
/// group of its own for the daemon, says who that is.
const MODE: u32 = 0o660;

/// A client's connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

enum Bound {
    Socket(UnixListener),
    Address(TcpListener),
}

/// Bound. A socket's file is left to whoever has this served.
pub struct Listener(Bound);

impl Listener {
    /// To be called within a tokio runtime.
    ///
    /// # Errors
    /// Where the path or the port is taken, or may not be used.
    pub fn bind(at: &MetricsListen) -> io::Result<Self> {
        Ok(Self(match at {
            MetricsListen::Socket(path) => Bound::Socket(socket::bind(path, MODE)?),
            MetricsListen::Address(address) => {
                let listener = StdTcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Bound::Address(TcpListener::from_std(listener)?)
            }
        }))
    }

    pub async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match &self.0 {
            Bound::Socket(listener) => Box::new(listener.accept().await?.0),
            Bound::Address(listener) => Box::new(listener.accept().await?.0),
        })
    }
}
