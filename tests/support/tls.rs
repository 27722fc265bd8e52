//! TLS in front of a plain test server, with a certificate authority of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::child::Guarded;

/// Stopped when dropped.
pub struct Terminator {
    _process: Guarded,
    folder: TempDir,
    /// One for each server.
    ports: Vec<u16>,
}

impl Terminator {
    pub fn start(server: SocketAddr) -> Self {
        Self::start_for(&[server])
    }

    /// In front of several, with one certificate.
    pub fn start_for(servers: &[SocketAddr]) -> Self {
        super::missing::program("python3", "python3");
        super::missing::program("openssl", "openssl");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new("python3");
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/tls.py"))
            .arg(folder.path())
            .args(servers.iter().flat_map(|server| [server.ip().to_string(), server.port().to_string()]))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let (process, ports) = spawn(&mut command, servers.len());
        Self { _process: process, folder, ports }
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address())
    }

    pub fn address(&self) -> SocketAddr {
        self.addresses()[0]
    }

    /// In the order of the servers.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.ports.iter().map(|&port| SocketAddr::from(([127, 0, 0, 1], port))).collect()
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
        let (process, ports) = spawn(&mut command, 1);
        Self { _process: process, port: ports[0] }
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }
}

/// Starts `tls.py`, which says on which ports it listens.
fn spawn(command: &mut Command, count: usize) -> (Guarded, Vec<u16>) {
    let mut process = Guarded::spawn(command).expect("python3 starts");
    let output = BufReader::new(process.0.stdout.take().expect("its output"));
    let ports: Vec<u16> = output.lines().take(count).filter_map(|line| line.ok()?.trim().parse().ok()).collect();
    assert_eq!(ports.len(), count, "tls.py prints its ports");
    (process, ports)
}
