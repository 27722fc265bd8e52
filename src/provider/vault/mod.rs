//! HashiCorp Vault and OpenBao: the key-value engines, versions 1 and 2, and engines that lease (`leased`).
//!
//! A secret is shown under its path below the mount and the scope's prefix; its fields are its keys. Versions
//! are those of the engine's version 2. The requests are vaultrs', run by the client that our
//! providers share (`rest`): its own takes any answer into memory and drops what it has no name for.
//!
//! One question is one call, but for these: [`Provider::look`] asks for the secret and for secrets below it at
//! once, a listing takes a call for each folder (and one about the mount if it is empty), the previous version one to learn its number, a refusal one
//! to learn whether it is the token that is refused.

mod auth;
mod aws;
mod engine;
mod error;
mod fetch;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod keeper;
mod keys;
mod leased;
mod list;
mod look;
mod names;
mod permissions;
mod secret_id;
mod session;
mod token;
mod transport;
mod value;
mod whoami;

use std::sync::Arc;
use std::time::Duration;

use super::connections::Connections;
use super::rest::within;
use super::{Acting, Answer, Error, Fetched, Listing, Permission, Presence, Provider};
use super::{Closing, SecretName, VersionSelector, says_nothing_of};
use crate::config::{ActsAs, KvVersion, VaultEngine, VaultSettings};

/// One mount of one server, below one prefix.
pub struct Vault {
    shared: Arc<Shared>,
}

/// What calls have in common; also owned by the tasks that log in and walk folders.
struct Shared {
    settings: VaultSettings,
    login: auth::Login,
    place: names::Place,
    /// The longest that one operation may take, and that one call of a listing may.
    deadline: Duration,
    max_secret_bytes: u64,
    sessions: session::Sessions,
    connections: Arc<Connections>,
    leases: leased::Leases,
    /// For versions of secrets that have none.
    digests: std::hash::RandomState,
}

impl Vault {
    /// Checks what can be checked without reaching out. No operation but a listing takes longer than `timeout`.
    ///
    /// # Errors
    /// [`Malformed`](super::ErrorKind::Malformed) if the settings can never work.
    pub fn new(
        settings: VaultSettings,
        acting: Option<Acting<'_>>,
        timeout: Duration,
        max_secret_bytes: u64,
    ) -> Result<Self, Error> {
        let role = match acting.map(|acting| (acting, acting.acts_as)) {
            None => None,
            Some((_, ActsAs::VaultRole(role))) => Some(role),
            Some((acting, ActsAs::AwsRole(_) | ActsAs::GcpServiceAccount(_) | ActsAs::KubernetesServiceAccount(_))) => {
                return Err(acting.is_nobody_at("Vault"));
            }
        };
        let login = match role {
            None => auth::Login::of(settings.auth.clone()),
            Some(role) => auth::Login::under(settings.auth.clone(), role)?,
        };
        let place = names::Place::of(&settings)?;
        let shared = Shared {
            place,
            login,
            settings,
            // Room for the caller to turn the error into a reply before its own deadline passes.
            deadline: timeout.mul_f64(0.9),
            max_secret_bytes,
            sessions: session::Sessions::default(),
            connections: Arc::default(),
            leases: leased::Leases::default(),
            digests: std::hash::RandomState::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// `work`, given up when the deadline passes.
    fn in_time<'a, T>(&'a self, work: impl Future<Output = Result<T, Error>> + Send + 'a) -> Answer<'a, T> {
        within(self.shared.deadline, &self.shared.settings.address, work)
    }
}

impl Provider for Vault {
    fn kind(&self) -> &'static str {
        "vault"
    }

    fn list(&self) -> Answer<'_, Listing> {
        match self.shared.settings.engine {
            VaultEngine::Kv(kv) => Box::pin(list::list(&self.shared, kv)),
            VaultEngine::Leased(engine) => Box::pin(leased::list(&self.shared, engine)),
        }
    }

    fn look<'a>(&'a self, name: &'a SecretName) -> Answer<'a, Presence> {
        match self.shared.settings.engine {
            VaultEngine::Kv(kv) => self.in_time(look::look(&self.shared, kv, name)),
            VaultEngine::Leased(engine) => self.in_time(leased::look(&self.shared, engine, name)),
        }
    }

    fn fetch<'a>(&'a self, name: &'a SecretName, version: &'a VersionSelector) -> Answer<'a, Fetched> {
        match self.shared.settings.engine {
            VaultEngine::Kv(kv) => self.in_time(fetch::fetch(&self.shared, kv, name, version)),
            VaultEngine::Leased(engine) => self.in_time(leased::fetch(&self.shared, engine, name, version)),
        }
    }

    fn keys<'a>(&'a self, name: &'a SecretName) -> Option<Answer<'a, Vec<String>>> {
        match self.shared.settings.engine {
            VaultEngine::Kv(KvVersion::Two) => Some(self.in_time(keys::keys(&self.shared, name))),
            // An engine that leases makes an account for each question.
            VaultEngine::Kv(KvVersion::One) | VaultEngine::Leased(_) => None,
        }
    }

    fn permissions<'a>(&'a self, identity: Option<&'a ActsAs>, names: &'a [SecretName]) -> Answer<'a, Vec<Permission>> {
        match identity {
            None => self.in_time(permissions::permissions(&self.shared, names)),
            Some(other) => {
                Box::pin(std::future::ready(Err(says_nothing_of(other, "Vault, where each asks for itself"))))
            }
        }
    }

    fn close_connections(&self, which: Closing) {
        self.shared.connections.close(which);
    }

    fn whoami(&self) -> Answer<'_, String> {
        self.in_time(whoami::whoami(&self.shared))
    }

    fn uses_up(&self) -> Option<String> {
        self.shared.login.uses_up()
    }

    fn close(&self) -> Answer<'_, ()> {
        self.in_time(leased::close(&self.shared))
    }
}
