//! The SDK's clients of a scope: region, credentials, endpoint, deadlines.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::config::AppName;

use super::body_limit::BodyLimit;
use super::connection::{Connection, Service};
use super::{iam, role, transport};
use crate::config::AwsSettings;
use crate::provider::connections::Connections;
use crate::provider::{Error, ErrorKind, regular_file};

/// One retry covers a connection that went stale; whoever asked decides about more.
const ATTEMPTS: u32 = 2;

/// All scopes read the same files; see [`regular_file::at`].
const CONFIGURATION: &str = "the AWS configuration";

/// GetCallerIdentity answers three short texts.
const MOST_OF_STS: u64 = 64 << 10;

/// Refuses settings that no network could make work.
pub(super) fn check(settings: &AwsSettings) -> Result<(), Error> {
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
    Ok(())
}

fn is_http_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.starts_with(['/', ':', '?', '#']) && !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

/// What a scope talks to, all with the same credentials and through the same transport.
pub(super) struct Clients<S: Service> {
    pub(super) service: S::Client,
    pub(super) sts: aws_sdk_sts::Client,
    pub(super) iam: iam::Place,
}

/// Makes the clients. Reads the SDK's configuration files; asks the instance metadata service where
/// nothing else names a region.
pub(super) async fn build<S: Service>(connection: &Connection<S>) -> Result<Clients<S>, Error> {
    let settings = &connection.settings;
    let mut config = load(settings, connection.deadline, &connection.connections).await?;
    if config.region().is_none() {
        return Err(Error::new(
            ErrorKind::Malformed,
            "AWS configuration: no region; set `region` in the scope, AWS_REGION, or a region in the profile",
        ));
    }
    if let Some(own) = &settings.assume_role {
        config = assume(role::own_session(own, &host_name()), &config).await;
    }
    if let Some(role) = &connection.role {
        config = assume(role.session(&host_name()).await?, &config).await;
    }
    let endpoint_url = settings.endpoint_url.as_deref();
    let limit = BodyLimit::for_values_up_to(connection.max_secret_bytes);
    let sts = aws_sdk_sts::config::Builder::from(&config).interceptor(BodyLimit::of(MOST_OF_STS)).build();
    Ok(Clients {
        service: S::client(&config, endpoint_url, limit),
        // At an endpoint of its own: AWS_ENDPOINT_URL_STS or the profile's.
        sts: aws_sdk_sts::Client::from_conf(sts),
        iam: iam::Place::of::<S>(&config, endpoint_url),
    })
}

/// The clients' connections are among `connections`.
pub(super) async fn load(
    settings: &AwsSettings,
    deadline: Duration,
    connections: &Connections,
) -> Result<SdkConfig, Error> {
    check_files().await?;
    let ca = match settings.ca_file.clone() {
        None => None,
        Some(path) => {
            let read = regular_file::at(&path, transport::read_ca_file).await;
            Some(read.ok_or_else(|| Error::new(ErrorKind::Malformed, "reading ca_file was given up"))??)
        }
    };
    let timeouts = TimeoutConfig::builder().operation_timeout(deadline).connect_timeout(deadline.mul_f64(0.6)).build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(transport::http_client(ca, connections)?)
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
    // It reads its files on the thread that it runs on, and those of the runtime are for everybody.
    let runtime = tokio::runtime::Handle::current();
    let loaded = regular_file::at(Path::new(CONFIGURATION), move |_| runtime.block_on(loader.load())).await;
    loaded.ok_or_else(|| Error::new(ErrorKind::Unreachable, "reading the AWS configuration was given up"))
}

/// The SDK's files; some are read again later, by the thread that a call runs on. What it names for nothing, such as
/// `/dev/null`, does no harm, but a FIFO would be waited for without end.
async fn check_files() -> Result<(), Error> {
    let set = |name| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    let home = |file| set("HOME").map(|home| home.join(".aws").join(file));
    let files = [
        set("AWS_CONFIG_FILE").or_else(|| home("config")),
        set("AWS_SHARED_CREDENTIALS_FILE").or_else(|| home("credentials")),
        set("AWS_WEB_IDENTITY_TOKEN_FILE"),
    ];
    for file in files.into_iter().flatten() {
        let is_fifo = |path: &Path| path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo());
        if regular_file::at(&file, is_fifo).await == Some(true) {
            let text = format!("AWS configuration: {} is not a regular file", file.display());
            return Err(Error::new(ErrorKind::CredentialsRejected, text));
        }
    }
    Ok(())
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
        let base = AwsSettings::default;
        let refused = [
            (AwsSettings { region: Some("us east 1".into()), ..base() }, "us east 1"),
            (AwsSettings { region: Some(String::new()), ..base() }, "region"),
            (AwsSettings { region: Some("é".into()), ..base() }, "region"),
            (AwsSettings { endpoint_url: Some("localhost:5000".into()), ..base() }, "localhost:5000"),
            (AwsSettings { endpoint_url: Some("http://".into()), ..base() }, "endpoint_url"),
            (AwsSettings { endpoint_url: Some("http://a b/".into()), ..base() }, "endpoint_url"),
            (AwsSettings { endpoint_url: Some("http://a\n".into()), ..base() }, "endpoint_url"),
        ];
        for (settings, named) in refused {
            let error = check(&settings).unwrap_err();
            assert!(error.detail.contains(named), "{error}");
        }
        let fine = AwsSettings {
            region: Some("us-gov-west-1".into()),
            endpoint_url: Some("https://vpce-1.secretsmanager.us-east-1.vpce.amazonaws.com".into()),
            ..base()
        };
        assert!(check(&fine).is_ok());
    }
}
