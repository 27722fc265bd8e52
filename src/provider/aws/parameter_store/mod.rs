//! AWS Systems Manager Parameter Store through the official SDK.
//!
//! A secret is a directory of parameters: those that stand directly in a path are its keys, each with the
//! value's exact bytes. The scope's path itself can have no keys in the tree, so a parameter that stands
//! directly in it is a secret of its own, with the one key `OWN_KEY`; should there be a directory of the same
//! name, that secret holds both.
//!
//! Reading a directory is one GetParametersByPath for each ten parameters, reading a single one GetParameter, and
//! many of these at once share GetParameters (see `batch`). Names, times and version numbers come from
//! DescribeParameters, which has no values and does not count against the rate of reads.

mod batch;
mod describe;
mod document;
mod fetch;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod known;
mod list;
mod look;
mod names;
mod permissions;
mod reference;
mod version;

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_ssm::Client;

use super::batch::Batches;
use super::body_limit::BodyLimit;
use super::connection::{Connection, Service};
use super::whoami;
use crate::config::{ActsAs, AwsParameterStoreSettings};
use crate::provider::{
    Acting, Answer, Closing, Error, ErrorKind, Fetched, Listing, Permission, Presence, Provider, SecretName,
    VersionSelector,
};

/// The key of a parameter that stands directly in the scope's path.
const OWN_KEY: &str = "value";

/// One account, region and path.
pub struct AwsParameterStore {
    shared: Arc<Shared>,
}

/// What calls have in common; also owned by the tasks that carry batches.
struct Shared {
    aws: Connection<Api>,
    path: names::ScopePath,
    known: known::Known,
    batches: Batches<names::Spelled>,
}

struct Api;

impl Service for Api {
    type Client = Client;
    const ID: &'static str = "SSM";

    fn client(config: &SdkConfig, endpoint_url: Option<&str>, limit: BodyLimit) -> Client {
        let mut builder = aws_sdk_ssm::config::Builder::from(config).interceptor(limit);
        if let Some(url) = endpoint_url {
            builder = builder.endpoint_url(url);
        }
        Client::from_conf(builder.build())
    }
}

impl AwsParameterStore {
    /// Checks what can be checked without reaching out. No operation takes longer than `timeout`. With `acting`
    /// the service is asked as that identity.
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) if the region, the path or the endpoint can never work.
    pub fn new(
        settings: AwsParameterStoreSettings,
        acting: Option<Acting<'_>>,
        timeout: Duration,
        max_secret_bytes: u64,
    ) -> Result<Self, Error> {
        let AwsParameterStoreSettings { aws, path } = settings;
        let Some(path) = names::ScopePath::new(&path) else {
            let text = format!(
                "path {path:?} is not a path of Parameter Store, such as /app/prod/: it starts and ends with / and \
                 has A-Z a-z 0-9 _ . - between"
            );
            return Err(Error::new(ErrorKind::Malformed, text));
        };
        let shared = Shared {
            aws: Connection::new(aws, acting, timeout, max_secret_bytes)?,
            path,
            known: known::Known::default(),
            batches: Batches::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Provider for AwsParameterStore {
    fn kind(&self) -> &'static str {
        "aws-parameter-store"
    }

    fn list(&self) -> Answer<'_, Listing> {
        Box::pin(list::list(&self.shared))
    }

    fn look<'a>(&'a self, name: &'a SecretName) -> Answer<'a, Presence> {
        Box::pin(look::look(&self.shared, name))
    }

    fn counts_names_apart(&self) -> bool {
        true
    }

    fn fetch<'a>(&'a self, name: &'a SecretName, version: &'a VersionSelector) -> Answer<'a, Fetched> {
        Box::pin(fetch::fetch(&self.shared, name, version))
    }

    fn permissions<'a>(&'a self, identity: Option<&'a ActsAs>, names: &'a [SecretName]) -> Answer<'a, Vec<Permission>> {
        Box::pin(permissions::permissions(&self.shared, identity, names))
    }

    fn close_connections(&self, which: Closing) {
        self.shared.aws.connections.close(which);
    }

    fn whoami(&self) -> Answer<'_, String> {
        Box::pin(whoami::whoami(&self.shared.aws))
    }
}
