//! OpenBao on loopback: a development server, unsealed, with everything in memory.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::child::Guarded;
use super::ports::free_address;

/// The token that may do everything.
pub const ROOT: &str = "root";

/// A running server; stopped, and its folder removed, when dropped. `secret` is a mount of version 2 of the
/// key-value engine.
pub struct OpenBao {
    process: Guarded,
    address: SocketAddr,
    /// Where it also listens, with TLS.
    tls: Option<SocketAddr>,
    folder: TempDir,
}

impl OpenBao {
    pub fn start() -> Self {
        Self::start_with(false)
    }

    /// One that has TLS too, with a certificate of an authority of its own; see [`OpenBao::certificates`].
    pub fn start_with_tls() -> Self {
        Self::start_with(true)
    }

    fn start_with(tls: bool) -> Self {
        let program = super::missing::tool("HUSHFS_TEST_OPENBAO", "venv/bin/bao");
        // Another program may take the port between our asking and its binding.
        for _ in 0..3 {
            if let Some(server) = Self::start_once(&program, tls) {
                return server;
            }
        }
        panic!("{} did not start", program.display());
    }

    fn start_once(program: &Path, tls: bool) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder.path().join("log");
        let output = std::fs::File::create(&log).expect("a log file");
        let (address, tls) = (free_address(), tls.then(free_address));
        let mut command = Command::new(program);
        command
            .args(["server", "-dev", "-dev-no-store-token", "-dev-root-token-id", ROOT])
            .arg(format!("-dev-listen-address={address}"));
        if let Some(tls) = tls {
            make_certificates(folder.path());
            let path = |name: &str| folder.path().join(name).display().to_string();
            let config = format!(
                "listener \"tcp\" {{\n  address = \"{tls}\"\n  tls_cert_file = {:?}\n  tls_key_file = {:?}\n}}\n",
                path("leaf.pem"),
                path("leaf.key")
            );
            std::fs::write(folder.path().join("tls.hcl"), config).expect("a file");
            command.arg("-config").arg(folder.path().join("tls.hcl"));
        }
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("VAULT_") || name.starts_with("BAO_") {
                command.env_remove(&name);
            }
        }
        command
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stderr(output.try_clone().expect("a log file"))
            .stdout(output);
        let process = Guarded::spawn(&mut command).expect("OpenBao starts");
        let mut server = Self { process, address, tls, folder };
        let give_up = Instant::now() + Duration::from_secs(120);
        while Instant::now() < give_up {
            if server.process.0.try_wait().is_ok_and(|status| status.is_some()) {
                break;
            }
            // The mount comes last.
            if server.ask("GET", "secret/config", ROOT, None).is_ok_and(|(status, _)| status == 200) {
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("OpenBao: {}", std::fs::read_to_string(&log).unwrap_or_default());
        None
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn tls_url(&self) -> String {
        format!("https://{}", self.tls.expect("started with TLS"))
    }

    /// The folder of this server, for a test's own files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The authority, and a client's certificate and key that it signed.
    pub fn certificates(&self) -> (PathBuf, PathBuf, PathBuf) {
        let path = |name| self.folder.path().join(name);
        (path("ca.pem"), path("client.pem"), path("client.key"))
    }

    /// A file of this server's folder that only we may read.
    pub fn file(&self, name: &str, contents: &str) -> PathBuf {
        use std::os::unix::fs::OpenOptionsExt;
        let (path, new) = (self.folder.path().join(name), self.folder.path().join(format!("{name}.new")));
        let mut file =
            std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&new).expect("a file");
        file.write_all(contents.as_bytes()).expect("written");
        std::fs::rename(new, &path).expect("renamed");
        path
    }

    /// One call; its status and answer. `path` is what comes behind `/v1/`; `NAMESPACE:path` is one in a namespace.
    pub fn ask(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> std::io::Result<(u16, Value)> {
        match path.split_once(':') {
            Some((namespace, path)) => {
                self.send(method, path, token, body, &format!("X-Vault-Namespace: {namespace}\r\n"))
            }
            None => self.send(method, path, token, body, ""),
        }
    }

    /// What root asks for, with the answer wrapped for so many seconds.
    pub fn ask_wrapped(&self, path: &str, seconds: &str) -> std::io::Result<(u16, Value)> {
        self.send("POST", path, ROOT, None, &format!("X-Vault-Wrap-TTL: {seconds}\r\n"))
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
        headers: &str,
    ) -> std::io::Result<(u16, Value)> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let body = body.map_or_else(String::new, Value::to_string);
        // Of version 1.0, so that the answer comes in one piece.
        let request = format!(
            "{method} /v1/{path} HTTP/1.0\r\nHost: localhost\r\nX-Vault-Token: {token}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    /// What root asks for, which must go well.
    pub fn root(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, ROOT, Some(body)).expect("OpenBao answers");
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// A namespace with a mount `secret` of its own, as that of the root namespace.
    pub fn namespace(&self, name: &str) {
        self.root("POST", &format!("sys/namespaces/{name}"), &json!({}));
        let mount = json!({"type": "kv", "options": {"version": "2"}});
        self.root("POST", &format!("{name}:sys/mounts/secret"), &mount);
        // It refuses everything until it is set up, which the answer does not wait for.
        super::daemon::eventually("the mount is set up", || {
            let answer = self.ask("GET", &format!("{name}:secret/config"), ROOT, None);
            answer.is_ok_and(|(status, _)| status == 200).then_some(())
        });
    }

    pub fn policy(&self, name: &str, rules: &str) {
        self.root("POST", &format!("sys/policies/acl/{name}"), &json!({ "policy": rules }));
    }

    /// A new token with these policies; `more` are further settings of it.
    pub fn token(&self, policies: &[&str], more: Value) -> String {
        let mut body = json!({ "policies": policies });
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        let answer = self.root("POST", "auth/token/create", &body);
        answer["auth"]["client_token"].as_str().expect("a token").to_owned()
    }

    /// From now on it serves nothing, until [`OpenBao::unseal`].
    pub fn seal(&self) {
        self.root("POST", "sys/seal", &json!({}));
    }

    /// With the key that a development server writes down at its start.
    pub fn unseal(&self) {
        // It may answer before that.
        let key = super::daemon::eventually("the key is written down", || {
            let log = std::fs::read_to_string(self.folder.path().join("log")).expect("its log");
            log.lines().find_map(|line| line.strip_prefix("Unseal Key: ").map(str::to_owned))
        });
        self.root("POST", "sys/unseal", &json!({ "key": key }));
    }

    /// Writes a secret of one key, `value`.
    pub fn put(&self, path: &str, value: &str) {
        self.root("POST", &format!("secret/data/{path}"), &json!({ "data": { "value": value } }));
    }
}

/// An authority, a certificate for 127.0.0.1, and a client's.
fn make_certificates(folder: &Path) {
    super::missing::program("openssl", "openssl");
    let openssl = |arguments: &str| {
        let output =
            Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().expect("openssl runs");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=hushfs-test-CA"));
    std::fs::write(folder.join("leaf.ext"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        .expect("a file");
    std::fs::write(folder.join("client.ext"), "extendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n")
        .expect("a file");
    for (name, subject) in [("leaf", "127.0.0.1"), ("client", "hushfs-client")] {
        openssl(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={subject}"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile {name}.ext"
        ));
    }
}
