//! MiniStack: Secrets Manager, STS and IAM on loopback, with IAM enforced.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::child::Guarded;

/// A running server; stopped, and its state removed, when dropped.
pub struct MiniStack {
    process: Guarded,
    address: SocketAddr,
    python: PathBuf,
    folder: TempDir,
}

/// The keys of the account's root.
pub const ROOT_KEYS: (&str, &str) = ("test", "test");

impl MiniStack {
    /// Starts a fresh, empty account.
    pub fn start() -> Self {
        let program = super::missing::tool("HUSHFS_TEST_MINISTACK", "venv/bin/ministack");
        // Another program may take the port between our asking and its binding.
        for _ in 0..3 {
            if let Some(server) = Self::start_once(&program) {
                return server;
            }
        }
        panic!("{} did not start", program.display());
    }

    fn start_once(program: &Path) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder.path().join("log");
        let output = std::fs::File::create(&log).expect("a log file");
        let port = super::ports::free();
        let mut command = Command::new(program);
        command
            .env("AUTH", "true")
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .env("MINISTACK_HOST", "127.0.0.1")
            .env("STATE_DIR", folder.path().join("state"))
            .env("TMPDIR", folder.path())
            .env("HOME", folder.path())
            .env("SFTP_ENABLED", "0")
            .env("IOT_MTLS_ENABLED", "0")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stderr(output.try_clone().expect("a log file"))
            .stdout(output);
        let process = Guarded::spawn(&mut command).expect("MiniStack starts");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Self { process, address, python: program.with_file_name("python"), folder };
        let give_up = Instant::now() + Duration::from_secs(120);
        while Instant::now() < give_up {
            if server.process.0.try_wait().is_ok_and(|status| status.is_some()) {
                break;
            }
            if server.is_healthy() {
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("MiniStack: {}", std::fs::read_to_string(&log).unwrap_or_default());
        None
    }

    fn is_healthy(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(1))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET /_ministack/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut start = [0; 12];
            stream.read_exact(&mut start)?;
            Ok(start.ends_with(b" 200"))
        };
        ask().unwrap_or(false)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes an IAM user that may do what `policy` (a policy document) says; gives its keys.
    pub fn user(&self, name: &str, policy: &str) -> (String, String) {
        let answer = self.iam(&["user", name, policy]);
        let (id, secret) = answer.split_once(' ').expect("an access key and its secret");
        (id.to_owned(), secret.to_owned())
    }

    /// From now on the user may do what `policy` says.
    pub fn change_user(&self, name: &str, policy: &str) {
        self.iam(&["user-policy", name, policy]);
    }

    /// Makes an IAM role; gives its ARN.
    pub fn role(&self, name: &str, trust: &str, policy: &str) -> String {
        self.iam(&["role", name, trust, policy])
    }

    /// From now on the role may do what `policy` says.
    pub fn change_role(&self, name: &str, policy: &str) {
        self.iam(&["role-policy", name, policy]);
    }

    /// As [`MiniStack::role`], in another account.
    pub fn role_in(&self, account: &str, name: &str, trust: &str, policy: &str) -> String {
        self.iam_in(Some(account), &["role", name, trust, policy])
    }

    /// Makes many roles that anyone may take on, as (name, policy, permissions boundary).
    pub fn roles(&self, roles: &[(String, Option<String>, Option<String>)]) {
        let role = |(name, policy, boundary): &(String, Option<String>, Option<String>)| serde_json::json!({"name": name, "policy": policy, "boundary": boundary});
        let list: Vec<_> = roles.iter().map(role).collect();
        let file = self.folder.path().join("roles.json");
        std::fs::write(&file, serde_json::to_vec(&list).expect("JSON")).expect("a file");
        self.iam(&["roles", file.to_str().expect("text")]);
    }

    /// Gives a secret a policy of its own.
    pub fn secret_policy(&self, name: &str, policy: &str) {
        self.iam(&["secret-policy", name, policy]);
    }

    fn iam(&self, arguments: &[&str]) -> String {
        self.iam_in(None, arguments)
    }

    fn iam_in(&self, account: Option<&str>, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/iam.py");
        let output = Command::new(&self.python)
            .arg(script)
            .arg(self.url())
            .args(arguments)
            .env("HOME", self.folder.path())
            .envs(account.map(|account| ("ACCOUNT", account)))
            .output()
            .expect("python runs");
        assert!(output.status.success(), "iam.py: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }
}
