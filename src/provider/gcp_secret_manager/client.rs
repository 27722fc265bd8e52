//! The client of a scope: credentials, endpoint, retries.

use std::time::Duration;

use google_cloud_auth::credentials::Credentials;
use google_cloud_gax::client_builder::internal::with_follow_redirects;
use google_cloud_gax::exponential_backoff::ExponentialBackoffBuilder;
use google_cloud_gax::options::RequestOptionsBuilder;
use google_cloud_secretmanager_v1::client::SecretManagerService;

use super::{Shared, credentials, error, names, retry};
use crate::config::GcpSecretManagerSettings;
use crate::provider::{Error, ErrorKind};

const USER_AGENT: &str = concat!("hushfs/", env!("CARGO_PKG_VERSION"));

/// Refuses settings that no network could make work.
pub(super) fn check(settings: &GcpSecretManagerSettings) -> Result<(), Error> {
    let refuse = |text: String| Err(Error::new(ErrorKind::Malformed, text));
    if !names::is_possible_project(&settings.project) {
        return refuse(format!("project {:?} is neither a project's id nor its number", settings.project));
    }
    if let Some(location) = settings.location.as_deref().filter(|it| !names::is_possible_location(it)) {
        return refuse(format!("location {location:?} is not a location such as europe-west3"));
    }
    if let Some(url) = settings.endpoint_url.as_deref().filter(|it| !is_http_url(it)) {
        return refuse(format!("endpoint_url {url:?} is not of the form https://HOST or http://HOST:PORT"));
    }
    if !names::is_possible_prefix(&settings.prefix) {
        let prefix = &settings.prefix;
        return refuse(format!("prefix {prefix:?} has characters that no secret's id has: use A-Z a-z 0-9 _ -"));
    }
    Ok(())
}

fn is_http_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.starts_with(['/', ':', '?', '#']) && !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

/// Where the service is. Regional secrets are at an address of their own.
fn endpoint(settings: &GcpSecretManagerSettings) -> Option<String> {
    let regional = |location: &String| format!("https://secretmanager.{location}.rep.googleapis.com");
    settings.endpoint_url.clone().or_else(|| settings.location.as_ref().map(regional))
}

/// The scope's credentials. Reads files; asks the metadata service where they come from there.
pub(super) async fn credentials(shared: &Shared) -> Result<Credentials, Error> {
    let own = credentials::build(&shared.settings.auth).await?;
    match &shared.impersonated {
        None => Ok(own),
        Some(service_account) => credentials::impersonate(own, service_account),
    }
}

/// Makes the client.
pub(super) async fn build(shared: &Shared, credentials: Credentials) -> Result<SecretManagerService, Error> {
    let backoff = ExponentialBackoffBuilder::new()
        .with_initial_delay(Duration::from_millis(100))
        .with_maximum_delay(Duration::from_millis(400))
        .clamp();
    let mut builder = SecretManagerService::builder()
        .with_credentials(credentials)
        .with_retry_policy(retry::Once)
        .with_retry_throttler(retry::Never)
        .with_backoff_policy(backoff);
    if let Some(endpoint) = endpoint(&shared.settings) {
        builder = builder.with_endpoint(endpoint);
    }
    // It would take the answer of whoever it leads to for the service's.
    let builder = with_follow_redirects(builder, false);
    builder.build().await.map_err(|error| error::from_builder(&error))
}

/// What every request says besides its question.
pub(super) fn ours<R: RequestOptionsBuilder>(request: R) -> R {
    request.with_user_agent(USER_AGENT).with_idempotency(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GcpAuth;

    fn settings() -> GcpSecretManagerSettings {
        GcpSecretManagerSettings {
            project: "my-project".into(),
            location: None,
            prefix: String::new(),
            endpoint_url: None,
            auth: GcpAuth::ApplicationDefault,
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused_and_the_error_names_them() {
        let refused = [
            (GcpSecretManagerSettings { project: "a/b".into(), ..settings() }, "a/b"),
            (GcpSecretManagerSettings { location: Some("eu/x".into()), ..settings() }, "eu/x"),
            (GcpSecretManagerSettings { endpoint_url: Some("localhost:1".into()), ..settings() }, "localhost:1"),
            (GcpSecretManagerSettings { prefix: "prod/".into(), ..settings() }, "prod/"),
        ];
        for (settings, named) in refused {
            let error = check(&settings).unwrap_err();
            assert!(error.detail.contains(named), "{error}");
        }
        assert!(check(&settings()).is_ok());
    }

    #[test]
    fn a_location_has_an_address_of_its_own_and_a_written_one_counts_before_it() {
        let regional = GcpSecretManagerSettings { location: Some("europe-west3".into()), ..settings() };
        assert_eq!(endpoint(&regional).as_deref(), Some("https://secretmanager.europe-west3.rep.googleapis.com"));
        let both = GcpSecretManagerSettings { endpoint_url: Some("http://127.0.0.1:1".into()), ..regional };
        assert_eq!(endpoint(&both).as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(endpoint(&settings()), None);
    }
}
