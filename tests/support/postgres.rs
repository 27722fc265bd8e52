//! PostgreSQL on loopback, with OpenBao's database engine in front of it.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::child::Guarded;
use super::openbao::OpenBao;

const SUPERUSER: &str = "postgres";
const PASSWORD: &str = "the superuser's own";

/// A running server; stopped, and its folder removed, when dropped. Every login needs its password.
pub struct Postgres {
    process: Guarded,
    port: u16,
    folder: TempDir,
}

/// Where Debian has the server's programs, which are not in PATH.
fn programs() -> PathBuf {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.retain(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file());
    versions.sort();
    versions
        .pop()
        .expect("PostgreSQL is not installed: run the tests with `make test`, or install the package postgresql")
}

/// The server refuses to be root.
fn as_server(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").stdin(Stdio::null());
    if rustix::process::geteuid().is_root() {
        let user = nix::unistd::User::from_name(SUPERUSER).ok().flatten();
        let user = user.expect("there is no user `postgres`: install the package postgresql");
        std::os::unix::fs::chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("an owner");
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

impl Postgres {
    pub fn start() -> Self {
        super::missing::program("psql", "postgresql");
        // Another program may take the port between our asking and its binding.
        for _ in 0..3 {
            if let Some(server) = Self::start_once() {
                return server;
            }
        }
        panic!("PostgreSQL did not start");
    }

    fn start_once() -> Option<Self> {
        use std::os::unix::fs::PermissionsExt;
        let (programs, folder) = (programs(), tempfile::tempdir().expect("a temporary folder"));
        let word = folder.path().join("password");
        std::fs::write(&word, PASSWORD).expect("a file");
        std::fs::set_permissions(&word, PermissionsExt::from_mode(0o644)).expect("permissions");
        let made = as_server(&programs.join("initdb"), folder.path())
            .args([
                "-D",
                "data",
                "-U",
                SUPERUSER,
                "-A",
                "scram-sha-256",
                "--pwfile=password",
                "--no-sync",
                "-E",
                "UTF8",
            ])
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = super::ports::free();
        let log = std::fs::File::create(folder.path().join("log")).expect("a log file");
        let mut command = as_server(&programs.join("postgres"), folder.path());
        command
            .args(["-D", "data", "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-p"])
            .arg(port.to_string())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log);
        let process = Guarded::spawn(&mut command).expect("postgres starts");
        let mut server = Self { process, port, folder };
        let give_up = Instant::now() + Duration::from_secs(120);
        while Instant::now() < give_up && server.process.0.try_wait().is_ok_and(|status| status.is_none()) {
            if server.query(SUPERUSER, PASSWORD, "SELECT 1").is_ok() {
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        eprintln!("PostgreSQL: {}", std::fs::read_to_string(server.folder.path().join("log")).unwrap_or_default());
        None
    }

    /// Logs in and asks; the answer, or what psql says.
    pub fn query(&self, user: &str, password: &str, sql: &str) -> Result<String, String> {
        let output = Command::new("psql")
            .args(["--no-psqlrc", "-qtAX", "-w", "-h", "127.0.0.1", "-d", "postgres", "-c", sql, "-U", user, "-p"])
            .arg(self.port.to_string())
            .env("PGPASSWORD", password)
            .stdin(Stdio::null())
            .output()
            .expect("psql runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// The accounts that were made besides the superuser's.
    pub fn roles(&self) -> Vec<String> {
        let sql = "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname <> 'postgres' ORDER BY 1";
        let answer = self.query(SUPERUSER, PASSWORD, sql).unwrap_or_else(|error| panic!("{error}"));
        answer.lines().map(str::to_owned).collect()
    }

    /// Mounts OpenBao's engine at `database`, for this server. Names in `roles` are allowed.
    pub fn engine(&self, bao: &OpenBao) {
        bao.root("POST", "sys/mounts/database", &json!({"type": "database"}));
        let url =
            format!("postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/postgres?sslmode=disable", self.port);
        let config = json!({
            "plugin_name": "postgresql-database-plugin", "connection_url": url, "allowed_roles": "*",
            "username": SUPERUSER, "password": PASSWORD, "password_authentication": "scram-sha-256"
        });
        bao.root("POST", "database/config/pg", &config);
    }

    /// A role whose credentials have leases as long as this, such as `3s`.
    pub fn role(&self, bao: &OpenBao, name: &str, ttl: &str, max_ttl: &str) {
        let create = "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'";
        let role = json!({"db_name": "pg", "creation_statements": [create], "default_ttl": ttl, "max_ttl": max_ttl});
        bao.root("POST", &format!("database/roles/{name}"), &role);
    }

    /// A static role: an account that is there, whose password the engine changes.
    pub fn fixed_role(&self, bao: &OpenBao, name: &str, period: &str) {
        let sql = format!("CREATE ROLE \"{name}\" WITH LOGIN PASSWORD 'before'");
        self.query(SUPERUSER, PASSWORD, &sql).unwrap_or_else(|error| panic!("{error}"));
        let role = json!({"db_name": "pg", "username": name, "rotation_period": period});
        bao.root("POST", &format!("database/static-roles/{name}"), &role);
    }
}

/// The ids of the leases that the server has of a role.
pub fn leases(bao: &OpenBao, role: &str) -> Vec<String> {
    let path = format!("sys/leases/lookup/database/creds/{role}");
    let (status, answer) = bao.ask("LIST", &path, super::openbao::ROOT, None).expect("OpenBao answers");
    if status == 404 {
        return Vec::new();
    }
    let keys = answer["data"]["keys"].as_array().cloned().unwrap_or_default();
    keys.iter().filter_map(Value::as_str).map(|key| format!("database/creds/{role}/{key}")).collect()
}
