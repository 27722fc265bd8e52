//! TLS in front of a plain test server, with a certificate authority of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::child::Guarded;

/// Stopped when dropped.
pub struct Terminator {
    _process: Guarded,
    folder: TempDir,
    port: u16,
}

impl Terminator {
    pub fn start(server: SocketAddr) -> Self {
        super::missing::program("python3", "python3");
        super::missing::program("openssl", "openssl");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new("python3");
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/tls.py"))
            .arg(folder.path())
            .args([server.ip().to_string(), server.port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let (process, port) = spawn(&mut command);
        Self { _process: process, folder, port }
    }

    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The authority to trust, PEM.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

/// Takes plain connections to a server that wants TLS, so that what passes can be tampered with. Stopped when dropped.
pub struct Originator {
    _process: Guarded,
    port: u16,
}

impl Originator {
    /// `ca_file` vouches for the server.
    pub fn start(ca_file: &Path, server: SocketAddr) -> Self {
        super::missing::program("python3", "python3");
        let mut command = Command::new("python3");
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/tls.py"))
            .arg("--to")
            .arg(ca_file)
            .args([server.ip().to_string(), server.port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let (process, port) = spawn(&mut command);
        Self { _process: process, port }
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }
}

/// Starts `tls.py`, which says on which port it listens.
fn spawn(command: &mut Command) -> (Guarded, u16) {
    let mut process = Guarded::spawn(command).expect("python3 starts");
    let output = process.0.stdout.take().expect("its output");
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).expect("its output");
    (process, line.trim().parse().expect("tls.py prints its port"))
}
