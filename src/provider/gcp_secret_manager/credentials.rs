//! How a scope comes by credentials.

use std::path::Path;

use google_cloud_auth::credentials::{Builder, Credentials, anonymous, impersonated, service_account};
use serde_json::Value;

use super::{error, token_file};
use crate::config::GcpAuth;
use crate::provider::{Error, ErrorKind};

/// What every Google service asks for; IAM says what may be done with it.
pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The largest key file that is read.
const LARGEST_KEY: u64 = 64 << 10;

/// Credentials that fetch and renew tokens by themselves. Must be called on the runtime: some start a task.
pub(super) async fn build(auth: &GcpAuth) -> Result<Credentials, Error> {
    Ok(match auth {
        GcpAuth::ApplicationDefault => application_default()?,
        GcpAuth::ServiceAccount { key_file } => {
            let access = service_account::AccessSpecifier::from_scopes([SCOPE]);
            let builder = service_account::Builder::new(key(key_file).await?).with_access_specifier(access);
            builder.build().map_err(|problem| {
                let what = format!("key_file {}", key_file.display());
                error::from_credentials_builder(&what, &problem)
            })?
        }
        GcpAuth::AccessToken { token_file } => Credentials::from(token_file::TokenFile(token_file.clone())),
        GcpAuth::Impersonate { service_account } => impersonate(application_default()?, service_account)?,
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

fn application_default() -> Result<Credentials, Error> {
    let built = Builder::default().with_scopes([SCOPE]).build();
    built.map_err(|problem| error::from_credentials_builder("application default credentials", &problem))
}

/// A service account's key file. What is wrong with it is said without quoting it.
pub(super) async fn key(path: &Path) -> Result<Value, Error> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_key(&path)).await;
    read.map_err(|_| Error::new(ErrorKind::TimedOut, "reading key_file was given up"))?
}

fn read_key(path: &Path) -> Result<Value, Error> {
    use std::io::Read;
    let refuse =
        |why: String| Error::new(ErrorKind::CredentialsRejected, format!("key_file {}: {why}", path.display()));
    let mut text = zeroize::Zeroizing::new(String::new());
    let file = std::fs::File::open(path).map_err(|error| refuse(error.to_string()))?;
    file.take(LARGEST_KEY).read_to_string(&mut text).map_err(|error| refuse(error.to_string()))?;
    let key: Value = serde_json::from_str(&text).map_err(|error| {
        refuse(format!("not JSON, see line {}: expected the key file of a service account", error.line()))
    })?;
    match key.get("type").and_then(Value::as_str) {
        Some("service_account") => Ok(key),
        Some(_) | None => Err(refuse("not the key file of a service account: its `type` is another".into())),
    }
}
