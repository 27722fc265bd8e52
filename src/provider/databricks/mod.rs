//! Databricks secret scopes, through the workspace's REST API 2.0.
//!
//! A secret is a secret scope of the workspace, the scope's prefix removed from its name; its keys are its keys.
//! There are no versions: a version's id says which keys there are and when each of them changed.
//!
//! The API has no batches. A fetch is one call for the keys, one for each of them, and one more to see that none
//! has changed meanwhile; a look asks for the keys and for the secret scopes at once.

mod auth;
mod error;
mod fetch;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod list;
mod look;
mod names;
mod permissions;
mod profile;
mod session;
mod value;
mod whoami;

use std::sync::Arc;
use std::time::Duration;

use super::connections::Connections;
use super::rest::within;
use super::{Acting, Answer, Error, Fetched, Listing, Permission, Presence, Provider};
use super::{Closing, SecretName, VersionSelector, says_nothing_of};
use crate::config::{ActsAs, DatabricksSettings};

/// One workspace, below one prefix.
pub struct Databricks {
    shared: Arc<Shared>,
}

/// What calls have in common; also owned by the tasks that read keys and log in.
struct Shared {
    settings: DatabricksSettings,
    /// The longest that one operation may take.
    deadline: Duration,
    max_secret_bytes: u64,
    sessions: session::Sessions,
    connections: Arc<Connections>,
    /// For versions of values that say nothing of when they changed.
    digests: std::hash::RandomState,
}

impl Databricks {
    /// Reaches nothing. No operation takes longer than `timeout`.
    ///
    /// # Errors
    /// [`Malformed`](super::ErrorKind::Malformed) if the settings can never work.
    pub fn new(
        settings: DatabricksSettings,
        acting: Option<Acting<'_>>,
        timeout: Duration,
        max_secret_bytes: u64,
    ) -> Result<Self, Error> {
        if let Some(acting) = acting {
            return Err(acting.is_nobody_at("Databricks"));
        }
        names::check_prefix(&settings.prefix)?;
        let shared = Shared {
            settings,
            // Room for the caller to turn the error into a reply before its own deadline passes.
            deadline: timeout.mul_f64(0.9),
            max_secret_bytes,
            sessions: session::Sessions::default(),
            connections: Arc::default(),
            digests: std::hash::RandomState::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// `work`, given up when the deadline passes.
    fn in_time<'a, T>(&'a self, work: impl Future<Output = Result<T, Error>> + Send + 'a) -> Answer<'a, T> {
        within(self.shared.deadline, "Databricks", work)
    }
}

impl Provider for Databricks {
    fn kind(&self) -> &'static str {
        "databricks"
    }

    fn list(&self) -> Answer<'_, Listing> {
        self.in_time(list::list(&self.shared))
    }

    fn lists_many_in_a_call(&self) -> bool {
        true
    }

    fn look<'a>(&'a self, name: &'a SecretName) -> Answer<'a, Presence> {
        self.in_time(look::look(&self.shared, name))
    }

    fn fetch<'a>(&'a self, name: &'a SecretName, version: &'a VersionSelector) -> Answer<'a, Fetched> {
        self.in_time(fetch::fetch(&self.shared, name, version))
    }

    fn keys<'a>(&'a self, name: &'a SecretName) -> Option<Answer<'a, Vec<String>>> {
        Some(self.in_time(list::key_names(&self.shared, name)))
    }

    fn permissions<'a>(&'a self, identity: Option<&'a ActsAs>, names: &'a [SecretName]) -> Answer<'a, Vec<Permission>> {
        match identity {
            // Many names are many calls, each with a deadline of its own: the cache has more patience here.
            None => Box::pin(permissions::permissions(&self.shared, names)),
            Some(other) => Box::pin(std::future::ready(Err(says_nothing_of(other, "Databricks")))),
        }
    }

    fn close_connections(&self, which: Closing) {
        self.shared.connections.close(which);
    }

    fn whoami(&self) -> Answer<'_, String> {
        self.in_time(whoami::whoami(&self.shared))
    }
}
