//! Google Cloud Secret Manager through the official client, which speaks REST.
//!
//! A secret is shown under its id, the scope's prefix removed; ids have no `/`, so there are no folders. Its
//! value is served byte for byte, once its checksum is found right. Versions are numbers, aliases or `latest`.
//!
//! What the service counts: accesses to values (90,000 a minute in a project) and all other reads (600 a
//! minute). So a fetch is one access, and what it would be nice to know besides is asked for once and kept
//! (see `known`).

mod client;
mod credentials;
mod error;
mod fetch;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod key_file;
mod known;
mod list;
mod look;
mod names;
mod permissions;
mod previous;
mod quoted;
mod retry;
mod session;
mod token_file;
mod whoami;

use std::time::Duration;

use super::connections::{Connections, IdleOnes};
use super::text::clean;
use super::{Acting, Answer, Error, ErrorKind, Fetched, Listing, Permission, Presence, Provider};
use super::{Closing, SecretName, VersionSelector};
use crate::config::{ActsAs, GcpSecretManagerSettings};

/// One project, or one location of it, and prefix.
pub struct GcpSecretManager {
    shared: Shared,
}

/// What calls have in common.
struct Shared {
    settings: GcpSecretManagerSettings,
    /// The service account that is impersonated, of an `[[identity]]`.
    impersonated: Option<String>,
    place: names::Place,
    /// The longest that one operation may take, retries included.
    deadline: Duration,
    max_secret_bytes: u64,
    sessions: session::Sessions,
    connections: Connections,
    known: known::Known,
}

impl GcpSecretManager {
    /// Checks what can be checked without reaching out. No operation takes longer than `timeout`.
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) if the project, the location, the prefix, the endpoint or the identity
    /// can never work.
    pub fn new(
        settings: GcpSecretManagerSettings,
        acting: Option<Acting<'_>>,
        timeout: Duration,
        max_secret_bytes: u64,
    ) -> Result<Self, Error> {
        client::check(&settings)?;
        let impersonated = match acting.map(|acting| (acting, acting.acts_as)) {
            None => None,
            Some((_, ActsAs::GcpServiceAccount(email))) => Some(email.clone()),
            Some((acting, ActsAs::AwsRole(_) | ActsAs::VaultRole(_) | ActsAs::KubernetesServiceAccount(_))) => {
                return Err(acting.is_nobody_at("Google Cloud"));
            }
        };
        let connections = Connections::default();
        let shared = Shared {
            place: names::Place::new(&settings.project, settings.location.as_deref()),
            settings,
            impersonated,
            // Room for the caller to turn the error into a reply before its own deadline passes.
            deadline: timeout.mul_f64(0.9),
            max_secret_bytes,
            sessions: session::Sessions::new(connections.keep(IdleOnes::ByUs)),
            connections,
            known: known::Known::default(),
        };
        Ok(Self { shared })
    }

    /// The client has no deadline for a whole operation, credentials and retries included; this is it.
    async fn in_time<T>(&self, what: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::time::timeout(self.shared.deadline, work)
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::TimedOut, format!("{what}: no answer within the timeout"))))
    }
}

impl Provider for GcpSecretManager {
    fn kind(&self) -> &'static str {
        "gcp-secret-manager"
    }

    fn list(&self) -> Answer<'_, Listing> {
        Box::pin(self.in_time("ListSecrets", list::list(&self.shared)))
    }

    fn lists_many_in_a_call(&self) -> bool {
        true
    }

    fn counts_names_apart(&self) -> bool {
        true
    }

    fn look<'a>(&'a self, name: &'a SecretName) -> Answer<'a, Presence> {
        Box::pin(async move {
            let what = format!("GetSecret of `{}`", clean(name.as_str()));
            self.in_time(&what, look::look(&self.shared, name)).await
        })
    }

    fn fetch<'a>(&'a self, name: &'a SecretName, version: &'a VersionSelector) -> Answer<'a, Fetched> {
        Box::pin(async move {
            let started = tokio::time::Instant::now();
            let what = format!("AccessSecretVersion of `{}`", clean(name.as_str()));
            let fetched = self.in_time(&what, fetch::fetch(&self.shared, name, version)).await?;
            let left = self.shared.deadline.saturating_sub(started.elapsed());
            Ok(fetch::with_time(&self.shared, fetched, left).await)
        })
    }

    fn permissions<'a>(&'a self, identity: Option<&'a ActsAs>, names: &'a [SecretName]) -> Answer<'a, Vec<Permission>> {
        Box::pin(self.in_time("TestIamPermissions", permissions::permissions(&self.shared, identity, names)))
    }

    fn close_connections(&self, which: Closing) {
        self.shared.connections.close(which);
    }

    fn whoami(&self) -> Answer<'_, String> {
        Box::pin(self.in_time("Google credentials", whoami::whoami(&self.shared)))
    }
}
