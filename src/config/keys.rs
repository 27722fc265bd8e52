//! The names of all settings. What is not here is an unknown key.

/// At the top of a file.
pub const ROOT: &[&str] = &[
    "mountpoint",
    "allow_other",
    "events",
    "root",
    "cache",
    "control",
    "audit",
    "metrics",
    "sandbox",
    "scopes",
    "grant",
    "identity",
];

/// In `[control]`.
pub const CONTROL: &[&str] = &["socket"];

/// In `[audit]`.
pub const AUDIT: &[&str] = &["file", "journald", "stderr", "required"];

/// In `[metrics]`.
pub const METRICS: &[&str] = &["listen", "names"];

/// In `[sandbox]`.
pub const SANDBOX: &[&str] =
    &["user", "capabilities", "no_new_privileges", "landlock", "seccomp", "read", "write", "programs", "connect"];

/// In a `[[grant]]`.
pub const GRANT: &[&str] = &["principals", "actions", "resources", "effect"];

/// In an `[[identity]]`.
pub const IDENTITY: &[&str] = &["principals", "scopes", "aws", "gcp", "vault", "kubernetes"];

/// The tables of an `[[identity]]`, each named after a service.
pub const IDENTITY_SERVICES: &[(&str, &[&str])] =
    &[("aws", IDENTITY_AWS), ("gcp", IDENTITY_GCP), ("vault", IDENTITY_VAULT), ("kubernetes", IDENTITY_KUBERNETES)];

/// In `aws` of an `[[identity]]`.
pub const IDENTITY_AWS: &[&str] = &["role_arn", "external_id", "session_name"];

/// In `gcp` of an `[[identity]]`.
pub const IDENTITY_GCP: &[&str] = &["impersonate"];

/// In `vault` of an `[[identity]]`.
pub const IDENTITY_VAULT: &[&str] = &["role", "role_id_file", "secret_id_file"];

/// In `kubernetes` of an `[[identity]]`.
pub const IDENTITY_KUBERNETES: &[&str] = &["service_account"];

/// In `[cache]`, and in a scope as an override.
pub const CACHE: &[&str] = &[
    "ttl",
    "refresh_ahead",
    "max_stale",
    "negative_ttl",
    "list_ttl",
    "iam_ttl",
    "timeout",
    "calls",
    "max_secret_bytes",
];

/// In `[cache]` alone: memory is shared by all scopes.
pub const CACHE_ONLY: &[&str] = &["max_bytes"];

/// In a scope, whatever its provider.
pub const SCOPE: &[&str] = &["provider", "format"];

/// A provider, and what a scope of it may hold besides.
pub struct Provider {
    pub name: &'static str,
    pub settings: &'static [&'static str],
    /// Is it in this build? Each is a Cargo feature.
    pub built_in: bool,
}

pub const PROVIDERS: &[Provider] = &[
    Provider { name: "local", settings: LOCAL, built_in: cfg!(feature = "local") },
    Provider { name: "aws-secrets-manager", settings: AWS_SECRETS_MANAGER, built_in: cfg!(feature = "aws") },
    Provider { name: "aws-parameter-store", settings: AWS_PARAMETER_STORE, built_in: cfg!(feature = "aws") },
    Provider { name: "gcp-secret-manager", settings: GCP_SECRET_MANAGER, built_in: cfg!(feature = "gcp") },
    Provider { name: "vault", settings: VAULT, built_in: cfg!(feature = "vault") },
    Provider { name: "databricks", settings: DATABRICKS, built_in: cfg!(feature = "databricks") },
    Provider { name: "kubernetes", settings: KUBERNETES, built_in: cfg!(feature = "kubernetes") },
    Provider { name: "azure-key-vault", settings: AZURE_KEY_VAULT, built_in: cfg!(feature = "azure") },
];

pub const LOCAL: &[&str] = &["path", "identity", "allow_plaintext"];

pub const AWS_SECRETS_MANAGER: &[&str] = &["region", "prefix", "endpoint_url", "ca_file", "auth"];

pub const AWS_PARAMETER_STORE: &[&str] = &["region", "path", "endpoint_url", "ca_file", "auth"];

/// In `auth` of a scope whose provider is AWS's.
pub const AWS_AUTH: &[&str] = &["method", "profile", "role_arn", "external_id"];

pub const GCP_SECRET_MANAGER: &[&str] = &["project", "location", "prefix", "endpoint_url", "auth"];

/// In `auth` of a scope whose provider is `gcp-secret-manager`.
pub const GCP_AUTH: &[&str] = &["method", "key_file", "token_file", "service_account"];

pub const VAULT: &[&str] = &["address", "mount", "prefix", "kv", "namespace", "ca_file", "auth"];

/// In `auth` of a scope whose provider is `vault`.
pub const VAULT_AUTH: &[&str] = &[
    "method",
    "mount",
    "role",
    "token_file",
    "role_id_file",
    "secret_id_file",
    "wrapped",
    "cert_file",
    "key_file",
    "region",
    "header_value",
];

pub const DATABRICKS: &[&str] = &["host", "prefix", "ca_file", "auth"];

/// In `auth` of a scope whose provider is `databricks`.
pub const DATABRICKS_AUTH: &[&str] = &["method", "token_file", "client_id", "client_secret_file"];

pub const KUBERNETES: &[&str] = &["namespace", "kind", "labels", "prefix", "endpoint_url", "ca_file", "auth"];

/// In `auth` of a scope whose provider is `kubernetes`.
pub const KUBERNETES_AUTH: &[&str] = &["method", "kubeconfig", "context", "token_file"];

pub const AZURE_KEY_VAULT: &[&str] = &["vault_url", "prefix", "endpoint_url", "ca_file", "auth"];

/// In `auth` of a scope whose provider is `azure-key-vault`.
pub const AZURE_AUTH: &[&str] =
    &["method", "tenant_id", "client_id", "client_secret_file", "certificate_file", "token_file", "authority_host"];

/// Settings that are planned and not there. They must not be ignored: half of them are about access.
pub const LATER: &[&str] = &["page_cache"];
