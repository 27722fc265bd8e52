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
mod body_limit;
mod client;
mod error;
mod fetch;
mod iam;
mod known;
mod list;
mod look;
mod names;
mod role;
mod session;
mod transport;
mod whoami;

use std::sync::Arc;
use std::time::Duration;

use super::{Acting, Answer, Error, Fetched, Listing, Permission, Presence, Provider, SecretName, VersionSelector};
use crate::config::{ActsAs, AwsSecretsManagerSettings};

/// One account, region and prefix.
pub struct AwsSecretsManager {
    shared: Arc<Shared>,
}

/// What calls have in common; also owned by the tasks that carry batches.
struct Shared {
    settings: AwsSecretsManagerSettings,
    /// The role of the `[[identity]]` that this is for.
    role: Option<role::Role>,
    /// The longest that one operation may take, retries included.
    deadline: Duration,
    max_secret_bytes: u64,
    sessions: session::Sessions,
    known: known::Known,
    batches: batch::Batches,
}

impl AwsSecretsManager {
    /// Checks what can be checked without reaching out. No operation takes longer than `timeout`. With `acting`
    /// the service is asked as that identity.
    ///
    /// # Errors
    /// [`Malformed`](super::ErrorKind::Malformed) if the region, the prefix or the endpoint can never work.
    pub fn new(
        settings: AwsSecretsManagerSettings,
        acting: Option<Acting<'_>>,
        timeout: Duration,
        max_secret_bytes: u64,
    ) -> Result<Self, Error> {
        client::check(&settings)?;
        let shared = Shared {
            settings,
            role: acting.map(role::Role::of),
            // Room for the caller to turn the error into a reply before its own deadline passes.
            deadline: timeout.mul_f64(0.9),
            max_secret_bytes,
            sessions: session::Sessions::default(),
            known: known::Known::default(),
            batches: batch::Batches::default(),
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

    fn look<'a>(&'a self, name: &'a SecretName) -> Answer<'a, Presence> {
        Box::pin(look::look(&self.shared, name))
    }

    fn fetch<'a>(&'a self, name: &'a SecretName, version: &'a VersionSelector) -> Answer<'a, Fetched> {
        Box::pin(fetch::fetch(&self.shared, name, version))
    }

    fn permissions<'a>(&'a self, identity: Option<&'a ActsAs>, names: &'a [SecretName]) -> Answer<'a, Vec<Permission>> {
        Box::pin(iam::permissions(&self.shared, identity, names))
    }

    fn whoami(&self) -> Answer<'_, String> {
        Box::pin(whoami::whoami(&self.shared))
    }
}
