//! An HTTP client as small as they come: for what the daemon serves, and for saying what no proper client would.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A connection of either kind.
pub trait Connection: Read + Write {}

impl<T: Read + Write> Connection for T {}

const PATIENCE: Duration = Duration::from_secs(30);

pub fn over_socket(path: &Path) -> Box<dyn Connection> {
    let stream = UnixStream::connect(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    Box::new(stream)
}

pub fn over_port(address: SocketAddr) -> Box<dyn Connection> {
    let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    Box::new(stream)
}

/// Sends as it is; gives what comes back until the other end hangs up, which may be nothing.
pub fn say(mut connection: Box<dyn Connection>, bytes: &[u8]) -> String {
    let _ = connection.write_all(bytes);
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The head and the body of the answer to a request with these headers.
pub fn ask(connection: Box<dyn Connection>, method: &str, path: &str, headers: &str) -> (String, String) {
    let answer = say(connection, format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {answer:?}"));
    (head.to_owned(), body.to_owned())
}
