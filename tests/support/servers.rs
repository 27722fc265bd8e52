//! The servers of all providers that are reached over a network, for what must hold of each.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// A provider's server.
pub trait Server: Sync {
    /// Where it is, in plain HTTP.
    fn address(&self) -> SocketAddr;

    /// A scope's lines, without its name: the server is reached at `url`. Where there is a `ca_file`, that vouches for it.
    fn lines(&self, url: &str, ca_file: Option<&Path>) -> String;

    /// What the environment needs besides.
    fn environment(&self, _command: &mut Command, _ca_file: Option<&Path>) {}
}

/// The value of `PASSWORD` in `db`.
pub const WARM: &str = "the value that is known";
/// And in `cold`.
pub const COLD: &str = "the value that is not";

const SECRETS: [(&str, &str); 2] = [("db", WARM), ("cold", COLD)];

/// Names of secrets, and the value of the key `PASSWORD` of each.
pub type Secrets<'a> = &'a [(&'a str, &'a str)];

/// Each starts when it is called.
type Start = fn(Secrets) -> Box<dyn Server>;

/// By the names of the providers.
pub fn all() -> Vec<(&'static str, Start)> {
    vec![
        #[cfg(feature = "aws")]
        ("aws-secrets-manager", |secrets| Box::new(aws::SecretsManager::start(secrets))),
        #[cfg(feature = "aws")]
        ("aws-parameter-store", |secrets| Box::new(aws::ParameterStore::start(secrets))),
        #[cfg(feature = "gcp")]
        ("gcp-secret-manager", |secrets| Box::new(Gcp::start(secrets))),
        #[cfg(feature = "vault")]
        ("vault", |secrets| Box::new(Vault::start(secrets))),
        #[cfg(feature = "azure")]
        ("azure-key-vault", |secrets| Box::new(Azure::start(secrets))),
        #[cfg(feature = "kubernetes")]
        ("kubernetes", |secrets| Box::new(Kubernetes::start(secrets))),
        #[cfg(feature = "databricks")]
        ("databricks", |secrets| Box::new(Databricks::start(secrets))),
    ]
}

/// The one of this provider, started, with the secrets `db` and `cold`.
pub fn of(provider: &str) -> Box<dyn Server> {
    with(provider, &SECRETS)
}

/// The one of this provider, started, with these secrets.
pub fn with(provider: &str, secrets: Secrets) -> Box<dyn Server> {
    let (_, start) = all().into_iter().find(|(name, _)| *name == provider).expect("the provider");
    start(secrets)
}

/// The setting, where there is one.
#[cfg(any(feature = "aws", feature = "vault", feature = "azure", feature = "kubernetes", feature = "databricks"))]
fn trust(ca_file: Option<&Path>) -> String {
    ca_file.map(|path| format!("ca_file = {path:?}\n")).unwrap_or_default()
}

#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
fn object(value: &str) -> String {
    serde_json::json!({ "PASSWORD": value }).to_string()
}

/// A file that only we may read.
#[cfg(any(feature = "azure", feature = "databricks"))]
fn private(folder: &tempfile::TempDir, contents: &str) -> std::path::PathBuf {
    let path = folder.path().join("credential");
    std::fs::write(&path, contents).expect("a file");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("its mode");
    path
}

#[cfg(feature = "aws")]
mod aws {
    use super::{Command, Path, Secrets, Server, SocketAddr, object, trust};
    use crate::support::aws::Account;
    use crate::support::ministack::ROOT_KEYS;

    struct Cloud {
        account: Account,
        _folder: tempfile::TempDir,
    }

    impl Cloud {
        fn start() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            Self { account: Account::start(folder.path()), _folder: folder }
        }

        fn wait<T>(&self, work: impl Future<Output = T>) -> T {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(work)
        }

        fn environment(command: &mut Command) {
            command.env("AWS_EC2_METADATA_DISABLED", "true");
            command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
            command.env("AWS_ACCESS_KEY_ID", ROOT_KEYS.0).env("AWS_SECRET_ACCESS_KEY", ROOT_KEYS.1);
        }
    }

    pub struct SecretsManager(Cloud);

    impl SecretsManager {
        pub fn start(secrets: Secrets) -> Self {
            let cloud = Cloud::start();
            for (name, value) in secrets {
                cloud.wait(cloud.account.create(name, object(value).as_bytes()));
            }
            Self(cloud)
        }
    }

    impl Server for SecretsManager {
        fn address(&self) -> SocketAddr {
            self.0.account.server.address()
        }

        fn lines(&self, url: &str, ca_file: Option<&Path>) -> String {
            format!(
                "provider = \"aws-secrets-manager\"\nregion = \"us-east-1\"\nendpoint_url = {url:?}\n{}",
                trust(ca_file)
            )
        }

        fn environment(&self, command: &mut Command, _ca_file: Option<&Path>) {
            Cloud::environment(command);
        }
    }

    pub struct ParameterStore(Cloud);

    impl ParameterStore {
        pub fn start(secrets: Secrets) -> Self {
            let cloud = Cloud::start();
            for (name, value) in secrets {
                cloud.wait(cloud.account.put_secure(&format!("/app/{name}/PASSWORD"), value));
            }
            Self(cloud)
        }
    }

    impl Server for ParameterStore {
        fn address(&self) -> SocketAddr {
            self.0.account.server.address()
        }

        fn lines(&self, url: &str, ca_file: Option<&Path>) -> String {
            format!(
                "provider = \"aws-parameter-store\"\nregion = \"us-east-1\"\npath = \"/app/\"\nendpoint_url = {url:?}\n\
                 {}",
                trust(ca_file)
            )
        }

        fn environment(&self, command: &mut Command, _ca_file: Option<&Path>) {
            Cloud::environment(command);
        }
    }
}

#[cfg(feature = "gcp")]
struct Gcp(crate::support::gcp::Gcp);

#[cfg(feature = "gcp")]
impl Gcp {
    fn start(secrets: Secrets) -> Self {
        let server = crate::support::gcp::Gcp::start();
        secrets.iter().for_each(|(name, value)| server.create(name, object(value).as_bytes()));
        Self(server)
    }
}

#[cfg(feature = "gcp")]
impl Server for Gcp {
    fn address(&self) -> SocketAddr {
        self.0.address()
    }

    fn lines(&self, url: &str, _ca_file: Option<&Path>) -> String {
        format!(
            "provider = \"gcp-secret-manager\"\nproject = \"my-project\"\nendpoint_url = {url:?}\n\
             auth = {{ method = \"anonymous\" }}\n"
        )
    }

    fn environment(&self, command: &mut Command, ca_file: Option<&Path>) {
        command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
        command.envs(ca_file.map(|path| ("SSL_CERT_FILE", path)));
    }
}

#[cfg(feature = "vault")]
struct Vault {
    server: crate::support::openbao::OpenBao,
    token: std::path::PathBuf,
}

#[cfg(feature = "vault")]
impl Vault {
    fn start(secrets: Secrets) -> Self {
        let server = crate::support::openbao::OpenBao::start();
        for (name, value) in secrets {
            let body = serde_json::json!({"data": {"PASSWORD": value}});
            server.root("POST", &format!("secret/data/{name}"), &body);
        }
        let rules = r#"path "secret/*" { capabilities = ["read", "list"] }"#;
        server.policy("app", rules);
        let token = server.file("token", &server.token(&["app"], serde_json::json!({})));
        Self { server, token }
    }
}

#[cfg(feature = "vault")]
impl Server for Vault {
    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn lines(&self, url: &str, ca_file: Option<&Path>) -> String {
        format!(
            "provider = \"vault\"\naddress = {url:?}\n{}\
             auth = {{ method = \"token\", token_file = {:?} }}\n",
            trust(ca_file),
            self.token
        )
    }
}

#[cfg(feature = "azure")]
struct Azure {
    vault: crate::support::azure::KeyVault,
    credential: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

#[cfg(feature = "azure")]
impl Azure {
    fn start(secrets: Secrets) -> Self {
        let vault = crate::support::azure::KeyVault::start();
        secrets.iter().for_each(|(name, value)| vault.put(name, &object(value)));
        let folder = tempfile::tempdir().expect("a folder");
        let credential = private(&folder, crate::support::azure::SECRET);
        Self { vault, credential, _folder: folder }
    }
}

#[cfg(feature = "azure")]
impl Server for Azure {
    fn address(&self) -> SocketAddr {
        self.vault.address()
    }

    fn lines(&self, url: &str, ca_file: Option<&Path>) -> String {
        use crate::support::azure::{CLIENT, TENANT};
        format!(
            "provider = \"azure-key-vault\"\nvault_url = {url:?}\n{}\
             auth = {{ method = \"client-secret\", tenant_id = \"{TENANT}\", client_id = \"{CLIENT}\", \
             client_secret_file = {:?}, authority_host = {url:?} }}\n",
            trust(ca_file),
            self.credential
        )
    }
}

#[cfg(feature = "kubernetes")]
struct Kubernetes {
    _cluster: crate::support::kubernetes::Cluster,
    plain: crate::support::tls::Originator,
    token: std::path::PathBuf,
}

#[cfg(feature = "kubernetes")]
impl Kubernetes {
    fn start(secrets: Secrets) -> Self {
        let cluster = crate::support::kubernetes::Cluster::start();
        secrets.iter().for_each(|(name, value)| cluster.put(name, &[("PASSWORD", value.as_bytes())]));
        let verbs = ["get", "list", "watch"];
        let rules = serde_json::json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": verbs}]);
        cluster.allow("hushfs", "ServiceAccount/hushfs", rules);
        let token = cluster.file("token", &cluster.token_of("hushfs"));
        let plain = crate::support::tls::Originator::start(&cluster.ca_file(), cluster.address());
        Self { _cluster: cluster, plain, token }
    }
}

#[cfg(feature = "kubernetes")]
impl Server for Kubernetes {
    fn address(&self) -> SocketAddr {
        self.plain.address()
    }

    fn lines(&self, url: &str, ca_file: Option<&Path>) -> String {
        format!(
            "provider = \"kubernetes\"\nnamespace = {:?}\nendpoint_url = {url:?}\n{}\
             auth = {{ method = \"token\", token_file = {:?} }}\n",
            crate::support::kubernetes::NAMESPACE,
            trust(ca_file),
            self.token
        )
    }
}

#[cfg(feature = "databricks")]
struct Databricks {
    workspace: crate::support::databricks::Workspace,
    token: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

#[cfg(feature = "databricks")]
impl Databricks {
    fn start(secrets: Secrets) -> Self {
        let workspace = crate::support::databricks::Workspace::start();
        for (name, value) in secrets {
            workspace.put(name, "PASSWORD", value.as_bytes());
            workspace.allow(name, "reader", "READ");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let token = private(&folder, &workspace.token("reader"));
        Self { workspace, token, _folder: folder }
    }
}

#[cfg(feature = "databricks")]
impl Server for Databricks {
    fn address(&self) -> SocketAddr {
        self.workspace.address()
    }

    fn lines(&self, url: &str, ca_file: Option<&Path>) -> String {
        format!(
            "provider = \"databricks\"\nhost = {url:?}\n{}\
             auth = {{ method = \"pat\", token_file = {:?} }}\n",
            trust(ca_file),
            self.token
        )
    }
}
