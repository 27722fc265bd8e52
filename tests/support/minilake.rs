//! MiniLake: an emulator of a Databricks workspace. Its secret scopes, keys and ACLs are real; it gives no values
//! ("only from DBUtils") and asks nobody who they are.

use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::child::Guarded;

/// A running server; stopped, and its state removed, when dropped.
pub struct MiniLake {
    _process: Guarded,
    _folder: TempDir,
    port: u16,
}

impl MiniLake {
    pub fn start() -> Self {
        let program = super::missing::tool("HUSHFS_TEST_MINILAKE", "venv/bin/minilake");
        // Another program may take the port between our asking and its binding.
        for _ in 0..3 {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let log = std::fs::File::create(folder.path().join("log")).expect("a log file");
            let port = super::ports::free();
            let mut command = Command::new(&program);
            command
                .env("MINILAKE_DATA_DIR", folder.path().join("data"))
                .env("MINILAKE_PORT", port.to_string())
                .env("MINILAKE_BIND_HOST", "127.0.0.1")
                .env("MINILAKE_SERVICES", "secrets,scim,identity")
                .env("HOME", folder.path())
                .env("TMPDIR", folder.path())
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stderr(log.try_clone().expect("a log file"))
                .stdout(log);
            let mut process = Guarded::spawn(&mut command).expect("MiniLake starts");
            let give_up = Instant::now() + Duration::from_secs(120);
            while Instant::now() < give_up && process.0.try_wait().is_ok_and(|status| status.is_none()) {
                if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                    return Self { _process: process, _folder: folder, port };
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            eprintln!("MiniLake: {}", std::fs::read_to_string(folder.path().join("log")).unwrap_or_default());
        }
        panic!("{} did not start", program.display());
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
