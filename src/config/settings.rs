//! The validated configuration: what the rest of the program is given.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::acts_as::ActsAs;
use super::rate::Rate;
use crate::access::policy::{Principal, Statement};

/// A whole configuration that holds together.
#[derive(Debug, Clone)]
pub struct Config {
    pub mountpoint: PathBuf,
    /// May users other than the one who runs the daemon reach the mount at all? (FUSE's `allow_other`)
    pub allow_other: bool,
    /// Is a mount of a user other than root to be such that who watches its files is told of changes? Root's is anyway.
    pub events: bool,
    /// Is root let past the permission bits?
    pub root: RootPolicy,
    /// Memory for values, in bytes.
    pub max_bytes: u64,
    pub control: ControlSettings,
    pub audit: AuditSettings,
    pub metrics: MetricsSettings,
    pub sandbox: SandboxSettings,
    pub scopes: BTreeMap<ScopeName, Scope>,
    /// Who may do what, in reading order.
    pub grants: Vec<Statement>,
    /// As whom providers are asked for whom, in reading order: the first that fits a caller counts.
    pub identities: Vec<IdentitySettings>,
}

/// One `[[identity]]`: for these callers, these scopes' providers are asked as somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentitySettings {
    /// What it is known by at run time ([`crate::provider::Identity`]).
    pub number: usize,
    /// Any one of them is enough.
    pub principals: Vec<Principal>,
    pub scopes: Vec<ScopeName>,
    pub acts_as: ActsAs,
    /// Where it is written: `file:line`.
    pub place: String,
}

/// By what it says, wherever it is written.
impl Hash for IdentitySettings {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { number, principals, scopes, acts_as, place: _ } = self;
        (number, principals, scopes, acts_as).hash(state);
    }
}

/// The first directory below the mountpoint. A plain file name: not empty, no `/`, NUL or control
/// character, no leading `.` or `@`, at most 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeName(String);

impl ScopeName {
    pub fn new(name: &str) -> Option<Self> {
        let plain = !name.is_empty()
            && name.len() <= 255
            && !name.starts_with(['.', '@'])
            && !name.chars().any(|c| c == '/' || c == '%' || c.is_control());
        plain.then(|| Self(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScopeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RootPolicy {
    /// Root reads what the daemon's user reads.
    Allow,
    /// Root is a caller like any other.
    Deny,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControlSettings {
    /// Where the control socket is; by default in the run-time directory of the user.
    pub socket: Option<PathBuf>,
}

/// Where decisions are recorded; by default nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditSettings {
    pub file: Option<PathBuf>,
    pub journald: bool,
    pub stderr: bool,
    /// Is a read refused whose record cannot be written?
    pub required: bool,
}

/// Where metrics can be asked for; by default nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetricsSettings {
    pub listen: Option<MetricsListen>,
    /// May labels name secrets?
    pub names: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricsListen {
    /// A Unix socket.
    Socket(PathBuf),
    /// A loopback address.
    Address(SocketAddr),
}

impl fmt::Display for MetricsListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Whom root's daemon becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnUser {
    /// Nobody: it stays root.
    No,
    /// The user `hushfs`, where that can be.
    Usual,
    /// This user, or it does not start.
    Named(String),
}

/// What the daemon gives up once it has started: a flag for each layer, and what is let through besides what the rest of
/// the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxSettings {
    pub user: OwnUser,
    pub capabilities: bool,
    pub no_new_privileges: bool,
    pub landlock: bool,
    pub seccomp: bool,
    /// Files and folders that may be read.
    pub read: Vec<PathBuf>,
    /// Folders that may be written to.
    pub write: Vec<PathBuf>,
    /// Programs, and folders of programs, that may be started.
    pub programs: Vec<PathBuf>,
    /// TCP ports that may be connected to.
    pub connect: Vec<u16>,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            user: OwnUser::Usual,
            capabilities: true,
            no_new_privileges: true,
            landlock: true,
            seccomp: true,
            read: Vec::new(),
            write: Vec::new(),
            programs: Vec::new(),
            connect: Vec::new(),
        }
    }
}

/// One scope: its provider and how its values are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    pub name: ScopeName,
    pub cache: CacheSettings,
    pub format: Format,
    pub provider: ProviderSettings,
}

impl Scope {
    /// Would a provider with these settings give the same? Then only how long it is used is another matter.
    pub fn gives_the_same_as(&self, other: &Self) -> bool {
        let of = |scope: &Self| (scope.cache.timeout, scope.cache.max_secret_bytes);
        self.name == other.name
            && self.format == other.format
            && self.provider == other.provider
            && of(self) == of(other)
    }

    /// The same for a later daemon where its values come from the same place and are cut in the same way.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.provider, self.format).hash(&mut hasher);
        hasher.finish()
    }
}

/// Freshness, per scope. The defaults and promises are those of `docs/semantics.md`.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheSettings {
    pub ttl: Duration,
    /// The share of `ttl` (0 to 1) after which a value in use is refreshed in the background.
    pub refresh_ahead: f64,
    pub max_stale: Duration,
    pub negative_ttl: Duration,
    pub list_ttl: Duration,
    /// How long the provider's word on permissions is believed; zero: it is not asked.
    pub iam_ttl: Duration,
    /// The longest that a file operation waits.
    pub timeout: Duration,
    /// The most calls to the provider; None: as many as are wanted.
    pub calls: Option<Rate>,
    /// The largest value that is served, in bytes.
    pub max_secret_bytes: u64,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(300),
            refresh_ahead: 0.8,
            max_stale: Duration::from_secs(3600),
            negative_ttl: Duration::from_secs(10),
            list_ttl: Duration::from_secs(60),
            iam_ttl: Duration::from_secs(300),
            timeout: Duration::from_secs(5),
            calls: Some(Rate::of_services()),
            max_secret_bytes: 1 << 20,
        }
    }
}

/// How a value becomes keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// A JSON object by its fields, anything else as one file `value`.
    #[default]
    Auto,
    /// A JSON object; anything else is an error.
    Json,
    /// Always one file `value`.
    Raw,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ProviderSettings {
    Local(LocalSettings),
    AwsSecretsManager(AwsSecretsManagerSettings),
    GcpSecretManager(GcpSecretManagerSettings),
    Vault(VaultSettings),
    Databricks(DatabricksSettings),
    Kubernetes(KubernetesSettings),
    AwsParameterStore(AwsParameterStoreSettings),
    AzureKeyVault(AzureKeyVaultSettings),
}

impl ProviderSettings {
    /// The provider's name in configuration files.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Local(_) => "local",
            Self::AwsSecretsManager(_) => "aws-secrets-manager",
            Self::GcpSecretManager(_) => "gcp-secret-manager",
            Self::Vault(_) => "vault",
            Self::Databricks(_) => "databricks",
            Self::Kubernetes(_) => "kubernetes",
            Self::AwsParameterStore(_) => "aws-parameter-store",
            Self::AzureKeyVault(_) => "azure-key-vault",
        }
    }
}

/// A folder of age-encrypted files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LocalSettings {
    pub path: PathBuf,
    /// An age identity file. None only with `allow_plaintext`.
    pub identity: Option<PathBuf>,
    /// Are files that are not encrypted served too?
    pub allow_plaintext: bool,
}

/// Where in AWS, and as whom; what is not set comes from the SDK's own chain (environment, profile, IMDS, …).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AwsSettings {
    pub region: Option<String>,
    pub profile: Option<String>,
    /// Of the scope's service; others keep theirs.
    pub endpoint_url: Option<String>,
    /// PEM certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    pub assume_role: Option<AssumeRole>,
}

/// AWS Secrets Manager.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AwsSecretsManagerSettings {
    pub aws: AwsSettings,
    /// `prod/` makes `prod/db` show as `db`.
    pub prefix: String,
}

/// AWS Systems Manager Parameter Store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AwsParameterStoreSettings {
    pub aws: AwsSettings,
    /// `/app/prod/` makes the parameters in `/app/prod/db/` keys of `db`.
    pub path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AssumeRole {
    pub role_arn: String,
    pub external_id: Option<String>,
}

/// Google Cloud Secret Manager: the secrets of a project, global ones or those of one location.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GcpSecretManagerSettings {
    /// Its id or its number.
    pub project: String,
    /// None: global secrets.
    pub location: Option<String>,
    /// `prod-` makes `prod-db` show as `db`.
    pub prefix: String,
    pub endpoint_url: Option<String>,
    pub auth: GcpAuth,
}

/// How we come by Google credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GcpAuth {
    /// `GOOGLE_APPLICATION_CREDENTIALS`, gcloud's file, the metadata server.
    ApplicationDefault,
    ServiceAccount {
        key_file: PathBuf,
    },
    /// A token that somebody else keeps fresh.
    AccessToken {
        token_file: PathBuf,
    },
    /// As this service account, with the application default credentials.
    Impersonate {
        service_account: String,
    },
    /// None at all: for emulators.
    Anonymous,
}

/// One engine of HashiCorp Vault or OpenBao.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VaultSettings {
    /// `https://host:port`, without a path.
    pub address: String,
    pub mount: String,
    /// Folders of the mount: `prod/` makes `prod/db` show as `db`. Empty for an engine that leases.
    pub prefix: String,
    pub engine: VaultEngine,
    pub namespace: Option<String>,
    /// PEM certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    pub auth: VaultAuth,
}

/// What is mounted there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VaultEngine {
    Kv(KvVersion),
    Leased(LeasedEngine),
}

/// Version of the key-value engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KvVersion {
    One,
    Two,
}

/// An engine that makes credentials when they are asked for, and takes them back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeasedEngine {
    Aws,
    Azure,
    Consul,
    Database,
    Ldap,
    MongodbAtlas,
    Nomad,
    Rabbitmq,
    Terraform,
}

impl LeasedEngine {
    pub const ALL: &[Self] = &[
        Self::Aws,
        Self::Azure,
        Self::Consul,
        Self::Database,
        Self::Ldap,
        Self::MongodbAtlas,
        Self::Nomad,
        Self::Rabbitmq,
        Self::Terraform,
    ];

    /// Its type as the server calls it, in configuration too, and where it is mounted unless somebody chose otherwise.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Consul => "consul",
            Self::Database => "database",
            Self::Ldap => "ldap",
            Self::MongodbAtlas => "mongodbatlas",
            Self::Nomad => "nomad",
            Self::Rabbitmq => "rabbitmq",
            Self::Terraform => "terraform",
        }
    }
}

/// How we come by a Vault token. `mount` is where the method is mounted, below `auth/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum VaultAuth {
    Token {
        /// None: `VAULT_TOKEN`, then `~/.vault-token`.
        file: Option<PathBuf>,
    },
    AppRole {
        mount: String,
        role_id_file: PathBuf,
        secret_id_file: PathBuf,
        /// Does the file hold a wrapping token in place of the secret id?
        wrapped: bool,
    },
    Kubernetes {
        mount: String,
        role: String,
        token_file: PathBuf,
    },
    Jwt {
        mount: String,
        role: String,
        token_file: PathBuf,
    },
    Aws {
        mount: String,
        role: String,
        /// Whose STS the proof of who we are is for; None: the one that has no region.
        region: Option<String>,
        /// What the server wants to be in that proof: its `iam_server_id_header_value`.
        header_value: Option<String>,
    },
    Cert {
        mount: String,
        /// None: the server tries all roles.
        role: Option<String>,
        cert_file: PathBuf,
        key_file: PathBuf,
    },
}

/// The secret scopes of a Databricks workspace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DatabricksSettings {
    /// The workspace, such as `https://adb-1.azuredatabricks.net`. None: as the environment or a profile has it.
    pub host: Option<String>,
    /// `prod-` makes the secret scope `prod-db` show as `db`.
    pub prefix: String,
    /// PEM certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    pub auth: DatabricksAuth,
}

/// How we come by a token for the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DatabricksAuth {
    /// The `DATABRICKS_` variables, then a profile of `~/.databrickscfg`.
    Default,
    /// A personal access token, or any other that is put into a file.
    Pat { token_file: PathBuf },
    /// A service principal with an OAuth secret.
    OauthM2m { client_id: String, client_secret_file: PathBuf },
}

/// The Secrets, or the ConfigMaps, of a Kubernetes namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KubernetesSettings {
    /// None: that of the pod or of the kubeconfig's context, else `default`.
    pub namespace: Option<String>,
    pub kind: KubernetesKind,
    /// A label selector, such as `app=db,tier!=test`: what does not have these labels is not in the scope.
    pub labels: Option<String>,
    /// `prod-` makes `prod-db` show as `db`.
    pub prefix: String,
    /// The API server, instead of the one that the pod or the kubeconfig knows.
    pub endpoint_url: Option<String>,
    /// PEM certificates to trust instead of those that the pod or the kubeconfig has.
    pub ca_file: Option<PathBuf>,
    pub auth: KubernetesAuth,
}

/// Which objects are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KubernetesKind {
    Secrets,
    ConfigMaps,
}

/// Where the API server and the credentials for it come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KubernetesAuth {
    /// The pod that we run in, then a kubeconfig.
    Default,
    InCluster,
    Kubeconfig {
        /// None: those that `KUBECONFIG` names, else `~/.kube/config`.
        file: Option<PathBuf>,
        /// None: the current one.
        context: Option<String>,
    },
    /// A token that is put into a file, for `endpoint_url`.
    Token {
        token_file: PathBuf,
    },
}

/// The secrets of an Azure key vault.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AzureKeyVaultSettings {
    /// `https://my-vault.vault.azure.net`, without a path.
    pub vault_url: String,
    /// Where the vault is reached instead, such as a private endpoint's own name.
    pub endpoint_url: Option<String>,
    /// `prod-` makes `prod-db` show as `db`.
    pub prefix: String,
    /// PEM certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Where tokens come from, such as `https://login.microsoftonline.us`. None: `AZURE_AUTHORITY_HOST`, then that of
    /// the vault's cloud.
    pub authority_host: Option<String>,
    pub auth: AzureAuth,
}

/// How we come by a token for the vault.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AzureAuth {
    /// The `AZURE_` variables, workload identity, managed identity, the Azure CLI's login.
    Default,
    /// An application with a secret.
    ClientSecret { tenant_id: String, client_id: String, client_secret_file: PathBuf },
    /// An application with a certificate: it and its private key, PEM.
    Certificate { tenant_id: String, client_id: String, certificate_file: PathBuf },
    /// That of this machine, or the one of these that are assigned to it.
    ManagedIdentity { client_id: Option<String> },
    /// A platform's token for an application's. What is not set is as `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and
    /// `AZURE_FEDERATED_TOKEN_FILE` have it.
    WorkloadIdentity { tenant_id: Option<String>, client_id: Option<String>, token_file: Option<PathBuf> },
    /// Whoever is logged in with the Azure CLI.
    Cli { tenant_id: Option<String> },
}
