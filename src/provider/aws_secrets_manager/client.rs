//! The SDK client of a scope: region, credentials, endpoint, deadlines.

use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::AppName;

use super::body_limit::BodyLimit;
use super::{iam, names, role, transport};
use crate::config::AwsSecretsManagerSettings;
use crate::provider::{Error, ErrorKind};

/// One retry covers a connection that went stale; whoever asked decides about more.
const ATTEMPTS: u32 = 2;

/// GetCallerIdentity answers three short texts.
const MOST_OF_STS: u64 = 64 << 10;

/// Refuses settings that no network could make work.
pub(super) fn check(settings: &AwsSecretsManagerSettings) -> Result<(), Error> {
    let refuse = |text: String| Err(Error::new(ErrorKind::Malformed, text));
    if let Some(region) = &settings.region {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if region.is_empty() || region.len() > 63 || !region.bytes().all(plain) {
            return refuse(format!("region {region:?} is not a region name such as us-east-1"));
        }
    }
    if let Some(url) = &settings.endpoint_url
        && !is_http_url(url)
    {
        return refuse(format!("endpoint_url {url:?} is not of the form https://HOST or http://HOST:PORT"));
    }
    if !names::is_possible_prefix(&settings.prefix) {
        return refuse(format!(
            "prefix {:?} has characters that no secret's name has: use A-Z a-z 0-9 / _ + = . @ - !",
            settings.prefix
        ));
    }
    Ok(())
}

fn is_http_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.starts_with(['/', ':', '?', '#']) && !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

/// What a scope talks to, all with the same credentials and through the same transport.
pub(super) struct Clients {
    pub(super) secrets: Client,
    pub(super) sts: aws_sdk_sts::Client,
    pub(super) iam: iam::Place,
}

/// Makes the clients. Reads the SDK's configuration files; asks the instance metadata service where
/// nothing else names a region.
pub(super) async fn build(
    settings: &AwsSecretsManagerSettings,
    role: Option<&role::Role>,
    deadline: Duration,
    max_secret_bytes: u64,
) -> Result<Clients, Error> {
    let mut config = load(settings, deadline).await?;
    if config.region().is_none() {
        return Err(Error::new(
            ErrorKind::Malformed,
            "AWS configuration: no region; set `region` in the scope, AWS_REGION, or a region in the profile",
        ));
    }
    if let Some(own) = &settings.assume_role {
        config = assume(role::own_session(own, &host_name()), &config).await;
    }
    if let Some(role) = role {
        config = assume(role.session(&host_name()).await?, &config).await;
    }
    let mut builder = aws_sdk_secretsmanager::config::Builder::from(&config)
        .interceptor(BodyLimit::for_values_up_to(max_secret_bytes));
    // Only for Secrets Manager: STS has an endpoint of its own (AWS_ENDPOINT_URL_STS or the profile's).
    if let Some(url) = &settings.endpoint_url {
        builder = builder.endpoint_url(url);
    }
    let sts = aws_sdk_sts::config::Builder::from(&config).interceptor(BodyLimit::of(MOST_OF_STS)).build();
    Ok(Clients {
        secrets: Client::from_conf(builder.build()),
        sts: aws_sdk_sts::Client::from_conf(sts),
        iam: iam::Place::of(&config, settings.endpoint_url.as_deref()),
    })
}

async fn load(settings: &AwsSecretsManagerSettings, deadline: Duration) -> Result<SdkConfig, Error> {
    let ca = match settings.ca_file.clone() {
        None => None,
        Some(path) => {
            let read = tokio::task::spawn_blocking(move || transport::read_ca_file(&path)).await;
            Some(read.map_err(|_| Error::new(ErrorKind::Malformed, "reading ca_file was given up"))??)
        }
    };
    let timeouts = TimeoutConfig::builder().operation_timeout(deadline).connect_timeout(deadline.mul_f64(0.6)).build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(transport::http_client(ca)?)
        .retry_config(
            RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(Duration::from_millis(200)),
        )
        .timeout_config(timeouts)
        // Before the operation's own deadline, so that the error says that it was the credentials.
        .identity_cache(IdentityCache::lazy().load_timeout(deadline.mul_f64(0.9)).build());
    if let Ok(name) = AppName::new("hushfs") {
        loader = loader.app_name(name);
    }
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    Ok(loader.load().await)
}

/// The same configuration with the credentials of a role, taken on with those that it has.
async fn assume(session: role::Session, config: &SdkConfig) -> SdkConfig {
    let role::Session { role_arn, external_id, name } = session;
    let mut builder = AssumeRoleProvider::builder(role_arn).configure(config).session_name(name);
    if let Some(id) = external_id {
        builder = builder.external_id(id);
    }
    config.to_builder().credentials_provider(SharedCredentialsProvider::new(builder.build().await)).build()
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_refused_and_the_error_names_them() {
        let base = AwsSecretsManagerSettings::default;
        let refused = [
            (AwsSecretsManagerSettings { region: Some("us east 1".into()), ..base() }, "us east 1"),
            (AwsSecretsManagerSettings { region: Some(String::new()), ..base() }, "region"),
            (AwsSecretsManagerSettings { region: Some("é".into()), ..base() }, "region"),
            (AwsSecretsManagerSettings { endpoint_url: Some("localhost:5000".into()), ..base() }, "localhost:5000"),
            (AwsSecretsManagerSettings { endpoint_url: Some("http://".into()), ..base() }, "endpoint_url"),
            (AwsSecretsManagerSettings { endpoint_url: Some("http://a b/".into()), ..base() }, "endpoint_url"),
            (AwsSecretsManagerSettings { endpoint_url: Some("http://a\n".into()), ..base() }, "endpoint_url"),
            (AwsSecretsManagerSettings { prefix: "arn:aws:".into(), ..base() }, "prefix"),
        ];
        for (settings, named) in refused {
            let error = check(&settings).unwrap_err();
            assert!(error.detail.contains(named), "{error}");
        }
        let fine = AwsSecretsManagerSettings {
            region: Some("us-gov-west-1".into()),
            endpoint_url: Some("https://vpce-1.secretsmanager.us-east-1.vpce.amazonaws.com".into()),
            prefix: "prod/".into(),
            ..base()
        };
        assert!(check(&fine).is_ok());
    }
}
