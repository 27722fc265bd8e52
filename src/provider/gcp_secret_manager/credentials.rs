//! How a scope comes by credentials.

use std::path::Path;

use google_cloud_auth::credentials::{Builder, Credentials, anonymous, impersonated, service_account};
use serde_json::Value;

use super::{error, key_file, token_file, whoami};
use crate::config::GcpAuth;
use crate::provider::rest::{Openness, stamp, whole};
use crate::provider::{Error, ErrorKind};

/// What every Google service asks for; IAM says what may be done with it.
pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Credentials that fetch and renew tokens by themselves. Must be called on the runtime: some start a task.
pub(super) async fn build(auth: &GcpAuth) -> Result<Credentials, Error> {
    Ok(match auth {
        GcpAuth::ApplicationDefault => application_default().await?,
        GcpAuth::ServiceAccount { key_file } => {
            let access = service_account::AccessSpecifier::from_scopes([SCOPE]);
            let builder = service_account::Builder::new(key(key_file).await?).with_access_specifier(access);
            builder.build().map_err(|problem| {
                let what = format!("key_file {}", key_file.display());
                error::from_credentials_builder(&what, &problem)
            })?
        }
        GcpAuth::AccessToken { token_file } => Credentials::from(token_file::TokenFile(token_file.clone())),
        GcpAuth::Impersonate { service_account } => impersonate(application_default().await?, service_account)?,
        GcpAuth::Anonymous => anonymous::Builder::new().build(),
    })
}

/// Those of a service account that `own` may make tokens of.
pub(super) fn impersonate(own: Credentials, service_account: &str) -> Result<Credentials, Error> {
    impersonated::Builder::from_source_credentials(own)
        .with_target_principal(service_account)
        .with_scopes([SCOPE])
        .build()
        .map_err(|problem| error::from_credentials_builder("impersonation", &problem))
}

/// The library reads the file by itself, whatever it is and however large: so it is looked at before.
async fn application_default() -> Result<Credentials, Error> {
    if let Some(path) = whoami::application_default_file()
        && stamp(&path).await.is_some()
    {
        whole("the file of application default credentials", &path, Openness::Any).await?;
    }
    // Reading it blocks; the runtime is there for the tasks that some credentials start.
    let built = tokio::task::spawn_blocking(|| Builder::default().with_scopes([SCOPE]).build()).await;
    built
        .map_err(|_| Error::new(ErrorKind::Unreachable, "reading application default credentials was given up"))?
        .map_err(|problem| error::from_credentials_builder("application default credentials", &problem))
}

/// A service account's key file. What is wrong with it is said without quoting it.
pub(super) async fn key(path: &Path) -> Result<Value, Error> {
    let refuse =
        |why: String| Error::new(ErrorKind::CredentialsRejected, format!("key_file {}: {why}", path.display()));
    let (text, _) = whole("key_file", path, Openness::Private).await?;
    key_file::parse(&text).map_err(refuse)
}
