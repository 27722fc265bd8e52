//! What a scope's provider reaches.

use std::path::{Path, PathBuf};

use super::mentioned::Mentioned;
use super::{Reach, environment};
use crate::config::{
    ActsAs, AwsSettings, AzureAuth, AzureKeyVaultSettings, DatabricksAuth, DatabricksSettings, GcpAuth,
    GcpSecretManagerSettings, KubernetesAuth, KubernetesSettings, ProviderSettings, VaultAuth, VaultSettings,
};

const HTTPS: u16 = 443;
/// Of metadata services, which tell a machine who it is.
const METADATA: u16 = 80;
/// Where a pod has its token.
const POD: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Where an Azure Arc machine has the keys by which its agent knows us.
const ARC: &str = "/var/opt/azcmagent/tokens";

pub fn add(reach: &mut Reach, settings: &ProviderSettings) {
    match settings {
        ProviderSettings::Local(local) => {
            reach.folder(&local.path);
            local.identity.iter().for_each(|file| reach.file(file));
        }
        ProviderSettings::AwsSecretsManager(settings) => aws(reach, &settings.aws),
        ProviderSettings::AwsParameterStore(settings) => aws(reach, &settings.aws),
        ProviderSettings::GcpSecretManager(settings) => gcp(reach, settings),
        ProviderSettings::Vault(settings) => vault(reach, settings),
        ProviderSettings::Databricks(settings) => databricks(reach, settings),
        ProviderSettings::Kubernetes(settings) => kubernetes(reach, settings),
        ProviderSettings::AzureKeyVault(settings) => azure(reach, settings),
    }
}

pub fn add_identity(reach: &mut Reach, acts_as: &ActsAs) {
    match acts_as {
        ActsAs::VaultRole(role) => {
            role.approle.iter().flat_map(|(id, secret)| [id, secret]).for_each(|file| reach.file(file));
        }
        ActsAs::AwsRole(_) | ActsAs::GcpServiceAccount(_) | ActsAs::KubernetesServiceAccount(_) => {}
    }
}

/// A file, and what it mentions.
fn credentials(reach: &mut Reach, file: &Path) {
    reach.file(file);
    let Mentioned { files, programs, ports } = Mentioned::in_file(file);
    files.iter().for_each(|file| reach.file(file));
    programs.iter().for_each(|program| reach.program(program));
    reach.connect.extend(ports);
}

fn variables(reach: &mut Reach, names: &[&str]) {
    for file in names.iter().filter_map(|name| environment::path(name)) {
        credentials(reach, &file);
    }
}

fn addresses(reach: &mut Reach, addresses: impl IntoIterator<Item = String>) {
    addresses.into_iter().for_each(|address| reach.address(&address));
}

fn aws(reach: &mut Reach, settings: &AwsSettings) {
    let AwsSettings { region: _, profile: _, endpoint_url, ca_file, assume_role: _ } = settings;
    reach.connect.extend([HTTPS, METADATA]);
    addresses(reach, endpoint_url.clone());
    ca_file.iter().for_each(|file| reach.file(file));
    aws_credentials(reach);
}

fn aws_credentials(reach: &mut Reach) {
    reach.connect.extend([HTTPS, METADATA]);
    for (name, usual) in [("AWS_CONFIG_FILE", ".aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")] {
        if let Some(file) = environment::path(name).or_else(|| environment::in_folder_at_home(usual)) {
            credentials(reach, &file);
        }
    }
    // Tokens of single sign-on are renewed there.
    if let Some(cache) = environment::at_home(".aws/sso/cache").filter(|cache| cache.is_dir()) {
        reach.writable(&cache);
    }
    variables(reach, &["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CA_BUNDLE"]);
    addresses(reach, environment::beginning("AWS_ENDPOINT_URL"));
    let set = ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_EC2_METADATA_SERVICE_ENDPOINT"];
    addresses(reach, set.iter().filter_map(|name| environment::text(name)));
}

fn gcp(reach: &mut Reach, settings: &GcpSecretManagerSettings) {
    let GcpSecretManagerSettings { project: _, location: _, prefix: _, endpoint_url, auth } = settings;
    reach.connect.extend([HTTPS, METADATA]);
    addresses(reach, endpoint_url.clone());
    match auth {
        GcpAuth::ApplicationDefault | GcpAuth::Impersonate { .. } => {
            variables(reach, &["GOOGLE_APPLICATION_CREDENTIALS"]);
            const FILE: &str = "application_default_credentials.json";
            let set = environment::path("CLOUDSDK_CONFIG").map(|folder| folder.join(FILE));
            if let Some(file) = set.or_else(|| environment::in_folder_at_home(&format!(".config/gcloud/{FILE}"))) {
                credentials(reach, &file);
            }
            addresses(reach, environment::text("GCE_METADATA_HOST"));
        }
        GcpAuth::ServiceAccount { key_file } => credentials(reach, key_file),
        GcpAuth::AccessToken { token_file } => reach.file(token_file),
        GcpAuth::Anonymous => {}
    }
}

fn vault(reach: &mut Reach, settings: &VaultSettings) {
    let VaultSettings { address, mount: _, prefix: _, engine: _, namespace: _, ca_file, auth } = settings;
    reach.address(address);
    ca_file.iter().for_each(|file| reach.file(file));
    match auth {
        VaultAuth::Token { file: Some(file) } => reach.file(file),
        VaultAuth::Token { file: None } => {
            if environment::text("VAULT_TOKEN").is_none()
                && let Some(file) = environment::at_home(".vault-token")
            {
                reach.file(&file);
            }
        }
        VaultAuth::AppRole { mount: _, role_id_file, secret_id_file, wrapped: _ } => {
            reach.file(role_id_file);
            reach.file(secret_id_file);
        }
        VaultAuth::Kubernetes { mount: _, role: _, token_file } | VaultAuth::Jwt { mount: _, role: _, token_file } => {
            reach.file(token_file);
        }
        VaultAuth::Aws { .. } => aws_credentials(reach),
        VaultAuth::Cert { mount: _, role: _, cert_file, key_file } => {
            reach.file(cert_file);
            reach.file(key_file);
        }
    }
}

fn databricks(reach: &mut Reach, settings: &DatabricksSettings) {
    let DatabricksSettings { host, prefix: _, ca_file, auth } = settings;
    reach.connect.insert(HTTPS);
    addresses(reach, host.iter().cloned().chain(environment::text("DATABRICKS_HOST")));
    ca_file.iter().for_each(|file| reach.file(file));
    match auth {
        DatabricksAuth::Default => {
            let file = environment::path("DATABRICKS_CONFIG_FILE").or_else(|| environment::at_home(".databrickscfg"));
            if let Some(file) = file
                && !environment_has_databricks(host.as_deref())
            {
                credentials(reach, &file);
            }
        }
        DatabricksAuth::Pat { token_file } => reach.file(token_file),
        DatabricksAuth::OauthM2m { client_id: _, client_secret_file } => reach.file(client_secret_file),
    }
}

/// Has the environment credentials for the workspace, so that no profile is looked for? Not in any doubt.
fn environment_has_databricks(host: Option<&str>) -> bool {
    let has = |name: &str| environment::text(name).is_some();
    let (token, client) = (has("DATABRICKS_TOKEN"), has("DATABRICKS_CLIENT_ID") && has("DATABRICKS_CLIENT_SECRET"));
    let has_credentials = match environment::text("DATABRICKS_AUTH_TYPE").as_deref() {
        None => token || client,
        Some("pat") => token,
        Some("oauth-m2m") => client,
        Some(_) => false,
    };
    let theirs = environment::text("DATABRICKS_HOST");
    has_credentials
        && match (host, theirs.as_deref()) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (ours, theirs) => ours.or(theirs).is_some(),
        }
}

fn kubernetes(reach: &mut Reach, settings: &KubernetesSettings) {
    let KubernetesSettings { namespace: _, kind: _, labels: _, prefix: _, endpoint_url, ca_file, auth } = settings;
    reach.connect.insert(HTTPS);
    addresses(reach, endpoint_url.clone());
    ca_file.iter().for_each(|file| reach.file(file));
    match auth {
        KubernetesAuth::Default => {
            pod(reach);
            kubeconfigs(reach);
        }
        KubernetesAuth::InCluster => pod(reach),
        KubernetesAuth::Kubeconfig { file: Some(file), context: _ } => credentials(reach, file),
        KubernetesAuth::Kubeconfig { file: None, context: _ } => kubeconfigs(reach),
        KubernetesAuth::Token { token_file } => reach.file(token_file),
    }
}

fn pod(reach: &mut Reach) {
    if Path::new(POD).exists() {
        reach.folder(Path::new(POD));
    }
    let ports = ["KUBERNETES_SERVICE_PORT_HTTPS", "KUBERNETES_SERVICE_PORT"];
    reach.connect.extend(ports.iter().filter_map(|name| environment::text(name)?.parse::<u16>().ok()));
}

fn kubeconfigs(reach: &mut Reach) {
    let set = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty());
    let files: Vec<PathBuf> = match &set {
        Some(list) => std::env::split_paths(list).filter_map(|path| std::path::absolute(path).ok()).collect(),
        None => environment::in_folder_at_home(".kube/config").into_iter().collect(),
    };
    files.iter().for_each(|file| credentials(reach, file));
}

fn azure(reach: &mut Reach, settings: &AzureKeyVaultSettings) {
    let AzureKeyVaultSettings { vault_url, endpoint_url, prefix: _, ca_file, authority_host, auth } = settings;
    reach.connect.extend([HTTPS, METADATA]);
    addresses(reach, [Some(vault_url), endpoint_url.as_ref(), authority_host.as_ref()].into_iter().flatten().cloned());
    addresses(reach, environment::text("AZURE_AUTHORITY_HOST"));
    ca_file.iter().for_each(|file| reach.file(file));
    match auth {
        AzureAuth::Default => {
            variables(reach, &["AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_CERTIFICATE_PATH"]);
            managed_identity(reach);
            // The last that is tried, where somebody has logged in.
            if environment::in_folder_at_home(".azure/azureProfile.json").is_some_and(|file| file.is_file()) {
                azure_cli(reach);
            }
        }
        AzureAuth::ClientSecret { tenant_id: _, client_id: _, client_secret_file } => reach.file(client_secret_file),
        AzureAuth::Certificate { tenant_id: _, client_id: _, certificate_file } => reach.file(certificate_file),
        AzureAuth::ManagedIdentity { client_id: _ } => managed_identity(reach),
        AzureAuth::WorkloadIdentity { tenant_id: _, client_id: _, token_file } => match token_file {
            Some(file) => reach.file(file),
            None => variables(reach, &["AZURE_FEDERATED_TOKEN_FILE"]),
        },
        AzureAuth::Cli { tenant_id: _ } => azure_cli(reach),
    }
}

/// It is a script, of a program that is found along PATH, and keeps its login and its log at home.
fn azure_cli(reach: &mut Reach) {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join("az")).find(|path| path.is_file());
    reach.program(&found.unwrap_or_else(|| "/bin/sh".into()));
    let login = environment::path("AZURE_CONFIG_DIR").or_else(|| environment::at_home(".azure"));
    if let Some(folder) = login.filter(|folder| folder.is_dir()) {
        reach.writable(&folder);
    }
}

fn managed_identity(reach: &mut Reach) {
    addresses(reach, ["IDENTITY_ENDPOINT", "MSI_ENDPOINT"].iter().filter_map(|name| environment::text(name)));
    if Path::new(ARC).exists() {
        reach.folder(Path::new(ARC));
    }
}
