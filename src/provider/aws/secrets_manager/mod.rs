//! AWS Secrets Manager through the official SDK.
//!
//! A secret is shown under its name in Secrets Manager, the scope's prefix removed; its value is served
//! byte for byte and never as keys of its own. Versions are version ids or staging labels. Secrets that
//! are scheduled for deletion are not there.
//!
//! One question is one call, but for three cases: [`Provider::look`] asks for the secret and for secrets
//! below it at once, many reads at once share calls (see `batch`), and what IAM says of many secrets takes
//! as many calls as their number and the policies ask for (see `iam`).

mod batch;
mod fetch;
mod iam;
mod known;
mod list;
mod look;
mod names;

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;

use super::batch::Batches;
use super::body_limit::BodyLimit;
use super::connection::{Connection, Service};
use super::whoami;
use crate::config::{ActsAs, AwsSecretsManagerSettings};
use crate::provider::{
    Acting, Answer, Closing, Error, ErrorKind, Fetched, Listing, Permission, Presence, Provider, SecretName,
    VersionSelector,
};

/// One account, region and prefix.
pub struct AwsSecretsManager {
    shared: Arc<Shared>,
}

/// What calls have in common; also owned by the tasks that carry batches.
struct Shared {
    aws: Connection<Api>,
    prefix: String,
    known: known::Known,
    batches: Batches<names::FullName>,
}

struct Api;

impl Service for Api {
    type Client = Client;
    const ID: &'static str = "Secrets Manager";

    fn client(config: &SdkConfig, endpoint_url: Option<&str>, limit: BodyLimit) -> Client {
        let mut builder = aws_sdk_secretsmanager::config::Builder::from(config).interceptor(limit);
        if let Some(url) = endpoint_url {
            builder = builder.endpoint_url(url);
        }
        Client::from_conf(builder.build())
    }
}

impl AwsSecretsManager {
    /// Checks what can be checked without reaching out. No operation takes longer than `timeout`. With `acting`
    /// the service is asked as that identity.
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) if the region, the prefix or the endpoint can never work.
    pub fn new(
        settings: AwsSecretsManagerSettings,
        acting: Option<Acting<'_>>,
        timeout: Duration,
        max_secret_bytes: u64,
    ) -> Result<Self, Error> {
        let AwsSecretsManagerSettings { aws, prefix } = settings;
        if !names::is_possible_prefix(&prefix) {
            let text =
                format!("prefix {prefix:?} has characters that no secret's name has: use A-Z a-z 0-9 / _ + = . @ - !");
            return Err(Error::new(ErrorKind::Malformed, text));
        }
        let shared = Shared {
            aws: Connection::new(aws, acting, timeout, max_secret_bytes)?,
            prefix,
            known: known::Known::default(),
            batches: Batches::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Provider for AwsSecretsManager {
    fn kind(&self) -> &'static str {
        "aws-secrets-manager"
    }

    fn list(&self) -> Answer<'_, Listing> {
        Box::pin(list::list(&self.shared))
    }

    fn lists_many_in_a_call(&self) -> bool {
        true
    }

    fn counts_names_apart(&self) -> bool {
        true
    }

    fn look<'a>(&'a self, name: &'a SecretName) -> Answer<'a, Presence> {
        Box::pin(look::look(&self.shared, name))
    }

    fn fetch<'a>(&'a self, name: &'a SecretName, version: &'a VersionSelector) -> Answer<'a, Fetched> {
        Box::pin(fetch::fetch(&self.shared, name, version))
    }

    fn permissions<'a>(&'a self, identity: Option<&'a ActsAs>, names: &'a [SecretName]) -> Answer<'a, Vec<Permission>> {
        Box::pin(iam::permissions(&self.shared, identity, names))
    }

    fn close_connections(&self, which: Closing) {
        self.shared.aws.connections.close(which);
    }

    fn whoami(&self) -> Answer<'_, String> {
        Box::pin(whoami::whoami(&self.shared.aws))
    }
}
