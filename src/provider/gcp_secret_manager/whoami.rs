//! Who Google takes us for, as far as the credentials themselves tell: Secret Manager has no such question.

use std::path::PathBuf;

use serde_json::Value;

use super::{Shared, credentials};
use crate::config::GcpAuth;
use crate::provider::Error;
use crate::provider::rest::{Openness, whole};
use crate::provider::text::clean;

/// Needs credentials that are there: a token can be had, or the answer is why not.
pub(super) async fn whoami(shared: &Shared) -> Result<String, Error> {
    shared.sessions.get(shared).await?;
    if let Some(service_account) = &shared.impersonated {
        return Ok(format!("service account {}", clean(service_account)));
    }
    Ok(match &shared.settings.auth {
        GcpAuth::ApplicationDefault => application_default().await,
        GcpAuth::ServiceAccount { key_file } => of_file(&credentials::key(key_file).await?),
        GcpAuth::AccessToken { token_file } => format!("whoever the access token in {} is of", token_file.display()),
        GcpAuth::Impersonate { service_account } => format!("service account {}", clean(service_account)),
        GcpAuth::Anonymous => "nobody: anonymous".to_owned(),
    })
}

async fn application_default() -> String {
    let text = match application_default_file() {
        Some(path) => whole("the file of application default credentials", &path, Openness::Any).await.ok(),
        None => None,
    };
    match text.and_then(|(text, _)| serde_json::from_slice::<Value>(&text).ok()) {
        Some(file) => of_file(&file),
        None => "the service account that the metadata server gives tokens of".to_owned(),
    }
}

/// Where the credentials library looks too.
pub(super) fn application_default_file() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("GOOGLE_APPLICATION_CREDENTIALS") {
        return Some(path.into());
    }
    let home = std::env::var_os("HOME")?;
    Some(PathBuf::from(home).join(".config/gcloud/application_default_credentials.json"))
}

/// The names in a credentials file; none of its secrets.
fn of_file(file: &Value) -> String {
    let text = |key| file.get(key).and_then(Value::as_str).map(clean);
    if let Some(email) = text("client_email") {
        return format!("service account {email}");
    }
    if let Some(url) = text("service_account_impersonation_url") {
        let email = url.rsplit('/').next().unwrap_or_default().trim_end_matches(":generateAccessToken");
        return format!("service account {email}");
    }
    match text("account").filter(|account| !account.is_empty()) {
        Some(account) => format!("user {account}"),
        None => format!("credentials of the type {}", text("type").unwrap_or_else(|| "unknown".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_credentials_file_says_whose_it_is_and_none_of_its_secrets() {
        let key =
            json!({"type": "service_account", "client_email": "a@p.iam.gserviceaccount.com", "private_key": "marked"});
        assert_eq!(of_file(&key), "service account a@p.iam.gserviceaccount.com");
        let url = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/b@p.iam.gserviceaccount.com:generateAccessToken";
        let taken_on = json!({"type": "impersonated_service_account", "service_account_impersonation_url": url});
        assert_eq!(of_file(&taken_on), "service account b@p.iam.gserviceaccount.com");
        let user = json!({"type": "authorized_user", "client_secret": "marked", "refresh_token": "marked"});
        assert_eq!(of_file(&user), "credentials of the type authorized_user");
    }
}
