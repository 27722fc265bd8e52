//! Azure Key Vault through the official client.
//!
//! A secret is shown under its name, the scope's prefix removed; names have no `/`, so there are no folders. Its
//! value is served exactly as the vault has it: text, and for the private part of a certificate PEM, or PKCS #12 in
//! base64.
//!
//! The client has no escapes for names, follows links of listings to any host and repeats calls for a minute. So
//! names are judged here (`names`), and calls are made by a transport of ours (`transport`), once, within a deadline.

mod certificate;
mod chain;
mod credential;
mod error;
mod fetch;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod list;
mod look;
mod names;
mod properties;
mod session;
mod source;
mod token_file;
mod transport;
mod vault;
mod versions;
mod whoami;

use std::sync::Arc;
use std::time::Duration;

use super::connections::Connections;
use super::rest::within;
use super::{Answer, Closing, Error, Fetched, Listing, Presence, Provider, SecretName, VersionSelector};
use crate::config::AzureKeyVaultSettings;

/// One vault, below one prefix.
pub struct AzureKeyVault {
    shared: Shared,
}

/// What calls have in common.
struct Shared {
    settings: AzureKeyVaultSettings,
    vault: vault::Vault,
    /// The longest that one operation may take, credentials included.
    deadline: Duration,
    max_secret_bytes: u64,
    sessions: session::Sessions,
    connections: Arc<Connections>,
    spellings: names::Spellings,
}

impl AzureKeyVault {
    /// Reaches nothing and reads no file. No operation takes longer than `timeout`.
    ///
    /// # Errors
    /// [`Malformed`](super::ErrorKind::Malformed) if the vault's address or the prefix can never work.
    pub fn new(settings: AzureKeyVaultSettings, timeout: Duration, max_secret_bytes: u64) -> Result<Self, Error> {
        names::check_prefix(&settings.prefix)?;
        let shared = Shared {
            vault: vault::Vault::new(settings.endpoint_url.as_deref().unwrap_or(&settings.vault_url))?,
            settings,
            // Room for the caller to turn the error into a reply before its own deadline passes.
            deadline: timeout.mul_f64(0.9),
            max_secret_bytes,
            sessions: session::Sessions::default(),
            connections: Arc::default(),
            spellings: names::Spellings::default(),
        };
        Ok(Self { shared })
    }

    /// `work`, given up when the deadline passes.
    fn in_time<'a, T>(&'a self, work: impl Future<Output = Result<T, Error>> + Send + 'a) -> Answer<'a, T> {
        within(self.shared.deadline, "Key Vault", work)
    }
}

impl Provider for AzureKeyVault {
    fn kind(&self) -> &'static str {
        "azure-key-vault"
    }

    fn list(&self) -> Answer<'_, Listing> {
        self.in_time(list::list(&self.shared))
    }

    fn look<'a>(&'a self, name: &'a SecretName) -> Answer<'a, Presence> {
        self.in_time(look::look(&self.shared, name))
    }

    fn fetch<'a>(&'a self, name: &'a SecretName, version: &'a VersionSelector) -> Answer<'a, Fetched> {
        self.in_time(fetch::fetch(&self.shared, name, version))
    }

    fn close_connections(&self, which: Closing) {
        self.shared.connections.close(which);
    }

    fn whoami(&self) -> Answer<'_, String> {
        self.in_time(whoami::whoami(&self.shared))
    }
}
