//! A Kubernetes API server on loopback, with its etcd: the real ones, of Debian (`tests/setup/kubernetes`). No node, no
//! controllers.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::child::Guarded;
use super::ports::free_address;

/// The token that may do everything.
pub const ROOT: &str = "root-token-of-the-test";

/// A running cluster; stopped, and its folder removed, when dropped. The namespace `apps` is there.
pub struct Cluster {
    _server: Guarded,
    _etcd: Guarded,
    address: SocketAddr,
    folder: TempDir,
    http: reqwest::Client,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Also inside of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub const NAMESPACE: &str = "apps";

impl Cluster {
    pub fn start() -> Self {
        let tool = |name: &str| super::missing::tool("HUSHFS_TEST_KUBERNETES", &format!("kubernetes/{name}"));
        let (etcd, server) = (tool("etcd"), tool("kube-apiserver"));
        // Another program may take the ports between our asking and their binding.
        for _ in 0..3 {
            if let Some(cluster) = Self::start_once(&etcd, &server) {
                cluster.ok("POST", "/api/v1/namespaces", &json!({"metadata": {"name": NAMESPACE}}));
                return cluster;
            }
        }
        panic!("{} did not start", server.display());
    }

    fn start_once(etcd: &Path, server: &Path) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let log = |name: &str| std::fs::File::create(path(name)).expect("a log file");
        let (clients, peers, address) = (free_address(), free_address(), free_address());
        make_certificates(folder.path());
        std::fs::write(path("tokens.csv"), format!("{ROOT},root,1,system:masters\nbob-token,bob,2\n")).expect("a file");

        let mut command = Command::new(etcd);
        command.args([
            format!("--data-dir={}", path("etcd")),
            format!("--listen-client-urls=http://{clients}"),
            format!("--advertise-client-urls=http://{clients}"),
            format!("--listen-peer-urls=http://{peers}"),
            format!("--initial-advertise-peer-urls=http://{peers}"),
            format!("--initial-cluster=default=http://{peers}"),
            "--unsafe-no-fsync".into(),
            "--logger=zap".into(),
            "--log-level=error".into(),
        ]);
        let mut etcd = spawn(&mut command, folder.path(), log("etcd.log"));
        let mut command = Command::new(server);
        command.args([
            format!("--etcd-servers=http://{clients}"),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={}", address.port()),
            format!("--cert-dir={}", path("run")),
            format!("--tls-cert-file={}", path("leaf.pem")),
            format!("--tls-private-key-file={}", path("leaf.key")),
            format!("--client-ca-file={}", path("ca.pem")),
            "--authorization-mode=RBAC".into(),
            format!("--token-auth-file={}", path("tokens.csv")),
            format!("--service-account-key-file={}", path("leaf.pub")),
            format!("--service-account-signing-key-file={}", path("leaf.key")),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            "--service-cluster-ip-range=10.0.0.0/24".into(),
            "--disable-admission-plugins=ServiceAccount".into(),
        ]);
        let mut server = spawn(&mut command, folder.path(), log("server.log"));

        let ca = std::fs::read(path("ca.pem")).expect("the authority");
        let ca = reqwest::Certificate::from_pem(&ca).expect("a certificate");
        let http = reqwest::Client::builder().tls_backend_rustls().tls_certs_only([ca]).no_proxy().build();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let (http, runtime) = (http.expect("a client"), runtime.expect("a runtime"));
        let give_up = Instant::now() + Duration::from_secs(120);
        let mut run = || [&mut etcd, &mut server].into_iter().all(|it| it.0.try_wait().is_ok_and(|it| it.is_none()));
        while Instant::now() < give_up && run() {
            let ready = http.get(format!("https://{address}/readyz")).bearer_auth(ROOT).send();
            if wait_for(&runtime, async { ready.await.is_ok_and(|it| it.status().is_success()) }) {
                return Some(Self { _server: server, _etcd: etcd, address, folder, http, runtime: Some(runtime) });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        eprintln!("kube-apiserver: {}", std::fs::read_to_string(path("server.log")).unwrap_or_default());
        eprintln!("etcd: {}", std::fs::read_to_string(path("etcd.log")).unwrap_or_default());
        None
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file with mode 0600, replaced at once.
    pub fn file(&self, name: &str, contents: &str) -> PathBuf {
        use std::os::unix::fs::OpenOptionsExt;
        let (path, new) = (self.folder.path().join(name), self.folder.path().join("new~"));
        let mut file =
            std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&new).expect("a file");
        file.write_all(contents.as_bytes()).expect("written");
        std::fs::rename(new, &path).expect("renamed");
        path
    }

    /// One call; its status and answer.
    pub fn ask(&self, method: &str, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.url())).bearer_auth(token);
        if !body.is_null() {
            request = request.header("content-type", kind).body(body.to_string());
        }
        let asked = async {
            let answer = request.send().await.expect("the API server answers");
            let status = answer.status().as_u16();
            (status, answer.bytes().await.expect("the whole answer"))
        };
        let (status, bytes) = wait_for(self.runtime.as_ref().expect("a runtime"), asked);
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// What root asks for, which must go well.
    pub fn ok(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, ROOT, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// A new Secret of these keys, or new values for one that is there.
    pub fn put(&self, name: &str, keys: &[(&str, &[u8])]) {
        let data: serde_json::Map<String, Value> =
            keys.iter().map(|(key, value)| ((*key).to_owned(), STANDARD.encode(value).into())).collect();
        let at = format!("/api/v1/namespaces/{NAMESPACE}/secrets");
        let body = json!({"metadata": {"name": name}, "data": data});
        let (status, answer) = self.ask("POST", &at, ROOT, &body);
        match status {
            201 => {}
            409 => drop(self.ok("PATCH", &format!("{at}/{name}"), &json!({ "data": data }))),
            _ => panic!("{name}: {status} {answer}"),
        }
    }

    pub fn delete(&self, name: &str) {
        self.ok("DELETE", &format!("/api/v1/namespaces/{NAMESPACE}/secrets/{name}"), &Value::Null);
    }

    /// A token of a service account of the namespace, which is made if need be.
    pub fn token_of(&self, account: &str) -> String {
        let at = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts");
        self.ask("POST", &at, ROOT, &json!({"metadata": {"name": account}}));
        let answer = self.ok("POST", &format!("{at}/{account}/token"), &json!({"spec": {}}));
        answer["status"]["token"].as_str().expect("a token").to_owned()
    }

    /// A role of these rules, and who has it: `User/NAME` or `ServiceAccount/NAME`. Holds when this returns.
    pub fn allow(&self, role: &str, subject: &str, rules: Value) {
        let at = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}");
        self.ok("POST", &format!("{at}/roles"), &json!({"metadata": {"name": role}, "rules": rules}));
        let (kind, name) = subject.split_once('/').expect("a kind and a name");
        let (subject, user) = match kind {
            "ServiceAccount" => (
                json!({"kind": kind, "name": name, "namespace": NAMESPACE}),
                format!("system:serviceaccount:{NAMESPACE}:{name}"),
            ),
            _ => (json!({"kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io"}), name.to_owned()),
        };
        let of = json!({"kind": "Role", "name": role, "apiGroup": "rbac.authorization.k8s.io"});
        let body = json!({"metadata": {"name": role}, "roleRef": of, "subjects": [subject]});
        self.ok("POST", &format!("{at}/rolebindings"), &body);
        self.holds(&user, NAMESPACE, &rules);
    }

    /// Returns when the server lets `user` do in `namespace` (empty: outside of any) what each of these rules allows. It
    /// hears of new rules a moment after it has stored them.
    pub fn holds(&self, user: &str, namespace: &str, rules: &Value) {
        let list = |rule: &Value, field: &str| rule[field].as_array().cloned().unwrap_or_else(|| vec![json!("")]);
        for rule in rules.as_array().expect("rules") {
            for resource in list(rule, "resources") {
                for verb in list(rule, "verbs") {
                    for name in list(rule, "resourceNames") {
                        self.may(user, &json!({
                            "namespace": namespace, "group": rule["apiGroups"][0], "resource": resource, "verb": verb,
                            "name": name
                        }));
                    }
                }
            }
        }
    }

    fn may(&self, user: &str, what: &Value) {
        let question = json!({"spec": {"user": user, "resourceAttributes": what}});
        super::daemon::eventually("the rule holds", || {
            let answer = self.ok("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", &question);
            (answer["status"]["allowed"] == true).then_some(())
        });
    }

    /// Takes a role away. Those who had it lose it a moment later.
    pub fn forbid(&self, role: &str) {
        let at = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}");
        self.ok("DELETE", &format!("{at}/rolebindings/{role}"), &Value::Null);
    }

    /// A kubeconfig with one context of this cluster; `user` is YAML of its user, indented.
    pub fn kubeconfig(&self, file: &str, user: &str) -> PathBuf {
        let ca = STANDARD.encode(std::fs::read(self.ca_file()).expect("the authority"));
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\nclusters:\n- name: c\n  cluster:\n    server: {}\n    \
             certificate-authority-data: {ca}\ncontexts:\n- name: here\n  context: {{cluster: c, user: u, namespace: \
             {NAMESPACE}}}\n- name: elsewhere\n  context: {{cluster: c, user: nobody}}\nusers:\n- name: u\n  user:\n{user}\n",
            self.url()
        );
        self.file(file, &text)
    }
}

/// From a thread of its own: a test may run inside of another runtime.
fn wait_for<T: Send>(runtime: &tokio::runtime::Runtime, answer: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| scope.spawn(|| runtime.block_on(answer)).join()).expect("an answer")
}

fn spawn(command: &mut Command, folder: &Path, log: std::fs::File) -> Guarded {
    command
        .env("HOME", folder)
        .env("TMPDIR", folder)
        .env_remove("KUBECONFIG")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(log.try_clone().expect("a log file"))
        .stdout(log);
    Guarded::spawn(command).expect("it starts")
}

/// An authority, a certificate for 127.0.0.1 whose key also signs tokens, and a client's: the user `carol`.
fn make_certificates(folder: &Path) {
    super::missing::program("openssl", "openssl");
    let openssl = |arguments: &str| {
        let output =
            Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().expect("openssl runs");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=hushfs-test-CA"));
    for (name, subject, more) in [
        ("leaf", "127.0.0.1", "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n"),
        ("client", "carol", "extendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n"),
    ] {
        std::fs::write(folder.join(format!("{name}.ext")), more).expect("a file");
        openssl(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={subject}"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile {name}.ext"
        ));
    }
    openssl("pkey -in leaf.key -pubout -out leaf.pub");
    for name in ["client.key", "leaf.key"] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(folder.join(name), PermissionsExt::from_mode(0o600)).expect("its mode");
    }
}
