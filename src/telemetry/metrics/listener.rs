//! Where metrics are asked for.

use std::io;
use std::net::TcpListener as StdTcpListener;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use crate::config::MetricsListen;
use crate::control::socket::{self, SocketFile};

/// Whoever is of the daemon's group may ask, so that a scraper need not be root: a folder with other rights, or a
/// group of its own for the daemon, says who that is.
const MODE: u32 = 0o660;

/// A client's connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What is bound; whoever connects waits until it is served.
#[derive(Debug)]
pub enum Bound {
    Socket(socket::Bound),
    Address(StdTcpListener),
}

impl Bound {
    /// # Errors
    /// Where the path or the port is taken, or may not be used.
    pub fn to(at: &MetricsListen) -> io::Result<Self> {
        Ok(match at {
            MetricsListen::Socket(path) => Self::Socket(socket::bind(path, MODE)?),
            MetricsListen::Address(address) => {
                let listener = StdTcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Self::Address(listener)
            }
        })
    }

    /// The socket's file, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Socket(bound) => Some(bound.file.path()),
            Self::Address(_) => None,
        }
    }
}

pub enum Listener {
    Socket(UnixListener),
    Address(TcpListener),
}

impl Listener {
    /// With the socket's file, which is gone when that is dropped. To be called within a tokio runtime.
    ///
    /// # Errors
    /// Where the runtime cannot wait for it.
    pub fn of(bound: Bound) -> io::Result<(Self, Option<SocketFile>)> {
        Ok(match bound {
            Bound::Socket(socket::Bound { listener, file }) => {
                (Self::Socket(UnixListener::from_std(listener)?), Some(file))
            }
            Bound::Address(listener) => (Self::Address(TcpListener::from_std(listener)?), None),
        })
    }

    pub async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Socket(listener) => Box::new(listener.accept().await?.0),
            Self::Address(listener) => Box::new(listener.accept().await?.0),
        })
    }
}
