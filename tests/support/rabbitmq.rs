//! RabbitMQ on loopback, with OpenBao's engine `rabbitmq` in front of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::child::Guarded;
use super::openbao::OpenBao;
use super::ports::{self, free_address};

/// Where Debian has the program itself; that in PATH changes to a user of its own.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// The account that is there from the start, for callers of this host.
const ADMINISTRATOR: (&str, &str) = ("guest", "guest");

/// A running server; stopped, and its folder removed, when dropped.
pub struct RabbitMq {
    _server: Guarded,
    /// Erlang's name service, which the server would otherwise start for good.
    _names: Guarded,
    /// Where its HTTP API listens.
    api: SocketAddr,
    _folder: TempDir,
}

impl RabbitMq {
    pub fn start() -> Self {
        let is_there = Path::new(PROGRAM).is_file();
        assert!(
            is_there,
            "{PROGRAM} is not there: run the tests with `make test`, or install the package rabbitmq-server"
        );
        // Another program may take the ports between our asking and their binding.
        for _ in 0..3 {
            if let Some(server) = Self::start_once() {
                return server;
            }
        }
        panic!("RabbitMQ did not start");
    }

    fn start_once() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (amqp, api, nodes, names) = (free_address(), free_address(), free_address(), ports::free().to_string());
        let settings = format!(
            "listeners.tcp.default = {amqp}\nmanagement.tcp.ip = {}\nmanagement.tcp.port = {}\n",
            api.ip(),
            api.port()
        );
        std::fs::write(path("rabbitmq.conf"), settings).expect("a file");
        std::fs::write(path("enabled_plugins"), "[rabbitmq_management].\n").expect("a file");
        let log = std::fs::File::create(path("log")).expect("a log file");

        let mut command = Command::new("epmd");
        command.args(["-address", "127.0.0.1", "-port", &names]).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
        let epmd = Guarded::spawn(&mut command).expect("epmd starts");
        let mut command = Command::new(PROGRAM);
        command
            .env_clear()
            .envs([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", &path("")), ("LC_ALL", "C.UTF-8")])
            .envs([("ERL_EPMD_PORT", names.as_str()), ("ERL_EPMD_ADDRESS", "127.0.0.1")])
            .envs([("RABBITMQ_NODENAME", "hushfs-test@localhost"), ("RABBITMQ_CONF_ENV_FILE", "/dev/null")])
            .envs([("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf")), ("RABBITMQ_PID_FILE", path("pid"))])
            .envs([("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins"))])
            .envs([("RABBITMQ_FEATURE_FLAGS_FILE", path("feature_flags"))])
            .envs([("RABBITMQ_MNESIA_BASE", path("mnesia")), ("RABBITMQ_LOG_BASE", path("logs"))])
            .envs([("RABBITMQ_DIST_PORT", nodes.port().to_string())])
            .envs([("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}")])
            // The script becomes the server, so that it is the server that ends with us.
            .envs([("RUNNING_UNDER_SYSTEMD", "true")])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log);
        let server = Guarded::spawn(&mut command).expect("RabbitMQ starts");
        let mut started = Self { _server: server, _names: epmd, api, _folder: folder };
        let give_up = Instant::now() + Duration::from_secs(120);
        while Instant::now() < give_up && started._server.0.try_wait().is_ok_and(|status| status.is_none()) {
            if started.ask("/api/overview", ADMINISTRATOR).is_ok_and(|(status, _)| status == 200) {
                return Some(started);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        eprintln!("RabbitMQ: {}", std::fs::read_to_string(started._folder.path().join("log")).unwrap_or_default());
        None
    }

    fn ask(&self, path: &str, (user, password): (&str, &str)) -> std::io::Result<(u16, Value)> {
        let mut stream = TcpStream::connect_timeout(&self.api, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let word = STANDARD.encode(format!("{user}:{password}"));
        // Of version 1.0, so that the answer comes in one piece.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\nAuthorization: Basic {word}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    /// Whom the server takes an account for; None where it does not let it in.
    pub fn whoami(&self, user: &str, password: &str) -> Option<String> {
        let (status, answer) = self.ask("/api/whoami", (user, password)).expect("RabbitMQ answers");
        (status == 200).then(|| answer["name"].as_str().expect("a name").to_owned())
    }

    /// The accounts besides the administrator's.
    pub fn users(&self) -> Vec<String> {
        let (_, answer) = self.ask("/api/users", ADMINISTRATOR).expect("RabbitMQ answers");
        let users = answer.as_array().expect("users").iter().filter_map(|user| user["name"].as_str());
        users.filter(|user| *user != ADMINISTRATOR.0).map(str::to_owned).collect()
    }

    /// Mounts OpenBao's engine at `rabbitmq`, for this server, with a role whose accounts live for `ttl` seconds.
    pub fn engine(&self, bao: &OpenBao, role: &str, ttl: u32) {
        bao.root("POST", "sys/mounts/rabbitmq", &json!({"type": "rabbitmq"}));
        let (username, password) = ADMINISTRATOR;
        let connection =
            json!({"connection_uri": format!("http://{}", self.api), "username": username, "password": password});
        bao.root("POST", "rabbitmq/config/connection", &connection);
        bao.root("POST", "rabbitmq/config/lease", &json!({"ttl": ttl, "max_ttl": 86400}));
        let hosts = json!({"/": {"configure": ".*", "write": ".*", "read": ".*"}}).to_string();
        bao.root("POST", &format!("rabbitmq/roles/{role}"), &json!({"tags": "management", "vhosts": hosts}));
    }
}
