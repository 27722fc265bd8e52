//! Two nodes of OpenBao with one storage: an active one, and a standby that forwards to it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::child::Guarded;
use super::ports::free_address;

struct Node {
    _process: Guarded,
    address: SocketAddr,
}

/// Stopped, and its folder removed, when dropped. `secret` is a mount of version 2 of the key-value engine.
pub struct BaoCluster {
    active: Option<Node>,
    standby: Node,
    pub root_token: String,
    folder: TempDir,
}

impl BaoCluster {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [first, second] = [0, 1].map(|number| Node::start(&folder, number));
        let made = first.eventually(
            "an answer",
            "POST",
            "sys/init",
            "",
            &json!({"secret_shares": 1, "secret_threshold": 1}),
            is(200),
        );
        let key = json!({"key": made["keys"][0]});
        let token = made["root_token"].as_str().expect("a token").to_owned();
        first.eventually("unsealing", "POST", "sys/unseal", "", &key, is(200));
        first.eventually("an active node", "GET", "sys/health", "", &Value::Null, is(200));
        let mount = json!({"type": "kv", "options": {"version": "2"}});
        first.eventually("a mount", "POST", "sys/mounts/secret", &token, &mount, is(204));
        first.eventually("a mount that is set up", "GET", "secret/config", &token, &Value::Null, is(200));
        let leader = json!({"leader_api_addr": format!("http://{}", first.address)});
        second.eventually("joining", "POST", "sys/storage/raft/join", "", &leader, is(200));
        second.eventually("unsealing", "POST", "sys/unseal", "", &key, is(200));
        second.eventually("a standby", "GET", "sys/health", "", &Value::Null, is(429));
        Self { active: Some(first), standby: second, root_token: token, folder }
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub fn standby(&self) -> SocketAddr {
        self.standby.address
    }

    /// Writes a secret through the active node. Returns when the standby has it, too: it hears of it a moment later.
    pub fn put(&self, name: &str, data: &Value) {
        let path = format!("secret/data/{name}");
        self.root("POST", &path, &json!({"data": data}));
        self.standby.eventually("a copy", "GET", &path, &self.root_token, &Value::Null, |status, answer| {
            status == 200 && answer["data"]["data"] == *data
        });
    }

    /// Ends the active node; the other one alone is no majority.
    pub fn stop_active(&mut self) {
        self.active = None;
    }

    fn root(&self, method: &str, path: &str, body: &Value) -> Value {
        let node = self.active.as_ref().expect("an active node");
        let (status, answer) = node.ask(method, path, &self.root_token, body).expect("OpenBao answers");
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }
}

fn is(wanted: u16) -> impl Fn(u16, &Value) -> bool {
    move |status, _| status == wanted
}

impl Node {
    fn start(folder: &TempDir, number: usize) -> Self {
        let program = super::missing::tool("HUSHFS_TEST_OPENBAO", "venv/bin/bao");
        let (address, cluster) = (free_address(), free_address());
        let at = folder.path().join(format!("node{number}"));
        std::fs::create_dir_all(at.join("raft")).expect("a folder");
        let config = format!(
            "storage \"raft\" {{\n  path = {:?}\n  node_id = \"node{number}\"\n}}\nlistener \"tcp\" {{\n  address = \"{address}\"\n  \
             cluster_address = \"{cluster}\"\n  tls_disable = 1\n}}\napi_addr = \"http://{address}\"\n\
             cluster_addr = \"https://{cluster}\"\n",
            at.join("raft").display().to_string()
        );
        std::fs::write(at.join("bao.hcl"), config).expect("a file");
        let log = std::fs::File::create(at.join("log")).expect("a log file");
        let mut command = Command::new(program);
        command
            .args(["server", "-config"])
            .arg(at.join("bao.hcl"))
            .env("HOME", &at)
            .env("TMPDIR", &at)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(&at)
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a log file"))
            .stdout(log);
        Self { _process: Guarded::spawn(&mut command).expect("OpenBao starts"), address }
    }

    fn ask(&self, method: &str, path: &str, token: &str, body: &Value) -> std::io::Result<(u16, Value)> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = format!(
            "{method} /v1/{path} HTTP/1.0\r\nHost: localhost\r\nX-Vault-Token: {token}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    fn eventually(
        &self,
        what: &str,
        method: &str,
        path: &str,
        token: &str,
        body: &Value,
        wanted: impl Fn(u16, &Value) -> bool,
    ) -> Value {
        let give_up = Instant::now() + Duration::from_secs(120);
        let mut last = None;
        while Instant::now() < give_up {
            match self.ask(method, path, token, body) {
                Ok((status, answer)) if wanted(status, &answer) => return answer,
                other => last = Some(other),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("never {what}: {last:?}");
    }
}
