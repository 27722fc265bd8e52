//! How a scope comes by credentials.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret as AzureSecret, TokenCredential};
use azure_core::http::ClientOptions;
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, AzureDeveloperCliCredential, ClientAssertionCredential,
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId,
};

use super::certificate::Certificate;
use super::chain::{Chain, Link};
use super::error;
use super::token_file::TokenFile;
use super::transport::Calls;
use crate::config::AzureAuth;
use crate::provider::rest::{Openness, Stamp, clean, whole, word};
use crate::provider::{Error, ErrorKind};

/// Command lines take a while; the caller has a deadline.
const WHILE: Duration = Duration::from_secs(60);

/// Credentials, and what they were made of.
pub(super) struct Found {
    pub(super) credential: Arc<dyn TokenCredential>,
    /// Whose, in an operator's words.
    pub(super) whose: String,
    /// Files that they came from, as they were then.
    pub(super) files: Vec<(PathBuf, Stamp)>,
}

/// Microsoft Entra ID, and how it is called.
struct Entra<'a> {
    authority: String,
    calls: &'a Arc<Calls>,
}

/// An application that Entra knows.
struct App {
    tenant: String,
    client: String,
}

/// What the files and the environment hold now. `authority` is the one that the scope names, `usual` that of the
/// vault's cloud.
pub(super) async fn find(
    auth: &AzureAuth,
    authority: Option<&str>,
    usual: &str,
    calls: &Arc<Calls>,
) -> Result<Found, Error> {
    let authority = match authority {
        Some(authority) => authority.to_owned(),
        None => text_of("AZURE_AUTHORITY_HOST")?.unwrap_or_else(|| usual.to_owned()),
    };
    let entra = Entra { authority, calls };
    match auth {
        AzureAuth::Default => entra.usual().await,
        AzureAuth::ClientSecret { tenant_id, client_id, client_secret_file } => {
            let app = App::new(tenant_id, client_id);
            let (secret, stamp) = word("client_secret_file", client_secret_file, Openness::Private).await?;
            let secret = String::from_utf8_lossy(secret.expose()).into_owned();
            let whose = format!("client secret in {}", client_secret_file.display());
            Ok(Found { files: vec![(client_secret_file.clone(), stamp)], ..entra.secret(&app, secret, whose)? })
        }
        AzureAuth::Certificate { tenant_id, client_id, certificate_file } => {
            entra.certificate(&App::new(tenant_id, client_id), certificate_file).await
        }
        AzureAuth::ManagedIdentity { client_id } => {
            Ok(found(entra.managed(client_id.clone())?, "managed identity".to_owned()))
        }
        AzureAuth::WorkloadIdentity { tenant_id, client_id, token_file } => {
            let given = |setting: &Option<String>, key: &str, name: &str| match setting {
                Some(text) => Ok(text.clone()),
                None => text_of(name)?.ok_or_else(|| lacks(key, name)),
            };
            let tenant = given(tenant_id, "tenant_id", "AZURE_TENANT_ID")?;
            let client = given(client_id, "client_id", "AZURE_CLIENT_ID")?;
            let file = match token_file {
                Some(file) => file.clone(),
                None => variable("AZURE_FEDERATED_TOKEN_FILE")
                    .map(PathBuf::from)
                    .ok_or_else(|| lacks("token_file", "AZURE_FEDERATED_TOKEN_FILE"))?,
            };
            entra.workload(&App { tenant, client }, file)
        }
        AzureAuth::Cli { tenant_id } => {
            let options = AzureCliCredentialOptions { tenant_id: tenant_id.clone(), ..Default::default() };
            let whose = "Azure CLI".to_owned();
            let made = AzureCliCredential::new(Some(options));
            Ok(found(made.map_err(|error| error::from_credential(&whose, &error))?, whose))
        }
    }
}

fn found(credential: Arc<dyn TokenCredential>, whose: String) -> Found {
    Found { credential, whose, files: Vec::new() }
}

fn lacks(key: &str, name: &str) -> Error {
    let text = format!("workload identity: no `{key}` in `auth`, and no {name} in the environment");
    Error::new(ErrorKind::CredentialsRejected, text)
}

impl App {
    fn new(tenant: &str, client: &str) -> Self {
        Self { tenant: tenant.to_owned(), client: client.to_owned() }
    }

    /// Both may be from the environment, and go into a URL.
    fn check(&self) -> Result<(), Error> {
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        };
        if plain(&self.tenant) && !self.tenant.starts_with('.') && plain(&self.client) {
            return Ok(());
        }
        let (tenant, client) = (clean(&self.tenant), clean(&self.client));
        let text = format!("tenant `{tenant}` or client `{client}` is no id: they have A-Z a-z 0-9 - . _");
        Err(Error::new(ErrorKind::CredentialsRejected, text))
    }
}

impl Entra<'_> {
    fn options(&self) -> ClientOptions {
        let mut cloud = CustomConfiguration::default();
        cloud.authority_host.clone_from(&self.authority);
        let cloud = Some(Arc::new(CloudConfiguration::Custom(cloud)));
        ClientOptions { cloud, ..Arc::clone(self.calls).options() }
    }

    fn secret(&self, app: &App, secret: String, whose: String) -> Result<Found, Error> {
        app.check()?;
        let options = ClientSecretCredentialOptions { client_options: self.options() };
        let made =
            ClientSecretCredential::new(&app.tenant, app.client.clone(), AzureSecret::new(secret), Some(options));
        Ok(found(made.map_err(|error| error::from_credential(&whose, &error))?, whose))
    }

    async fn certificate(&self, app: &App, file: &Path) -> Result<Found, Error> {
        app.check()?;
        let (pem, stamp) = whole("certificate_file", file, Openness::Private).await?;
        let audience = format!("{}/{}/oauth2/v2.0/token", self.authority.trim_end_matches('/'), app.tenant);
        let assertion = Certificate::new(&pem, app.client.clone(), audience).map_err(|why| {
            let text = format!("certificate_file {} {why}", file.display());
            Error::new(ErrorKind::CredentialsRejected, text)
        })?;
        let whose = format!("certificate in {}", file.display());
        let options = ClientAssertionCredentialOptions { client_options: self.options() };
        let made = ClientAssertionCredential::new(app.tenant.clone(), app.client.clone(), assertion, Some(options));
        let credential = made.map_err(|error| error::from_credential(&whose, &error))?;
        Ok(Found { files: vec![(file.to_owned(), stamp)], ..found(credential, whose) })
    }

    fn workload(&self, app: &App, file: PathBuf) -> Result<Found, Error> {
        app.check()?;
        let whose = format!("workload identity with the token in {}", file.display());
        let options = ClientAssertionCredentialOptions { client_options: self.options() };
        let made =
            ClientAssertionCredential::new(app.tenant.clone(), app.client.clone(), TokenFile(file), Some(options));
        Ok(found(made.map_err(|error| error::from_credential(&whose, &error))?, whose))
    }

    fn managed(&self, client_id: Option<String>) -> Result<Arc<dyn TokenCredential>, Error> {
        let options = ManagedIdentityCredentialOptions {
            user_assigned_id: client_id.map(UserAssignedId::ClientId),
            client_options: Arc::clone(self.calls).options(),
        };
        let made = ManagedIdentityCredential::new(Some(options));
        Ok(made.map_err(|error| error::from_credential("managed identity", &error))?)
    }

    /// In the order of the other SDKs' default credential: the environment, workload identity, managed identity,
    /// the command lines' logins.
    async fn usual(&self) -> Result<Found, Error> {
        let client = text_of("AZURE_CLIENT_ID")?;
        let app = client.clone().zip(text_of("AZURE_TENANT_ID")?).map(|(client, tenant)| App { tenant, client });
        if let Some(app) = &app {
            if let Some(secret) = text_of("AZURE_CLIENT_SECRET")? {
                return self.secret(app, secret, "AZURE_CLIENT_SECRET".to_owned());
            }
            if let Some(file) = variable("AZURE_CLIENT_CERTIFICATE_PATH") {
                return self.certificate(app, Path::new(&file)).await;
            }
            if let Some(file) = variable("AZURE_FEDERATED_TOKEN_FILE") {
                return self.workload(app, file.into());
            }
        }
        let unusable = |error| error::from_credential("command line", &error);
        let link = |name, patience, credential| Link { name, patience, credential };
        let links = vec![
            // Where there is no metadata service, often nothing answers at all.
            link("managed identity", Duration::from_secs(1), self.managed(client)?),
            link("Azure CLI", WHILE, AzureCliCredential::new(None).map_err(unusable)?),
            link("Azure Developer CLI", WHILE, AzureDeveloperCliCredential::new(None).map_err(unusable)?),
        ];
        Ok(found(Arc::new(Chain::new(links)), "default credentials".to_owned()))
    }
}

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|text| !text.is_empty())
}

fn text_of(name: &str) -> Result<Option<String>, Error> {
    let text = variable(name).map(OsString::into_string).transpose();
    text.map_err(|_| Error::new(ErrorKind::CredentialsRejected, format!("{name} is not UTF-8")))
}
