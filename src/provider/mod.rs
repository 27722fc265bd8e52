//! Providers: where values come from.
//!
//! # To add one
//!
//! 1. Write its settings in `config::settings` (a struct and a variant of `ProviderSettings`), name them
//!    in `config::keys` and judge them in `config::validate`; add its table to `systemd/hushfs.toml`.
//! 2. Write `provider/<name>/` with a type that implements [`Provider`]: three questions, each one call to
//!    the service where it can be. Map every error of the service to an [`ErrorKind`] without a wildcard
//!    and never put a value, or a whole answer, into an [`Error`]'s text.
//! 3. Give it a Cargo feature and a line in [`registry`].
//! 4. Hold it to the contract: a fixture in `tests/contract/` that can put, change and delete secrets on
//!    the real service or its best emulator.
//! 5. Write `docs/providers/<name>.md`: a configuration that was run, the least rights it needs, limits.
//!
//! What a provider need not do: caching, single flight, deadlines, retries after a failure, concurrency
//! limits, splitting JSON into keys, names as files. The cache and the tree do that for all of them. A
//! provider is called from tokio tasks, many at a time, and is dropped mid-call when a deadline passes.

mod answer;
#[cfg(feature = "aws")]
pub mod aws_secrets_manager;
mod error;
#[cfg(feature = "local")]
pub mod local;
pub mod registry;

use std::pin::Pin;

pub use answer::{Fetched, Known, Listed, Listing, Payload, Presence, SecretName, VersionSelector};
pub use error::{Error, ErrorKind};

/// What a provider's methods return: a future that a task can own while it borrows the provider.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// One scope's place in one service.
///
/// Names are relative to the scope: a provider adds and strips its configured prefix itself.
pub trait Provider: Send + Sync + 'static {
    /// The name in configuration, xattrs and status, such as `aws-secrets-manager`.
    fn kind(&self) -> &'static str;

    /// Every secret of the scope, without fetching a value.
    fn list(&self) -> Answer<'_, Listing>;

    /// Is there a secret called `name`, and are there secrets below `name/`? Without fetching a value,
    /// and cheaper than a listing. Where the service will not say, [`Known::Unknown`], not an error.
    fn look<'a>(&'a self, name: &'a SecretName) -> Answer<'a, Presence>;

    /// One version of one secret, value included.
    fn fetch<'a>(&'a self, name: &'a SecretName, version: &'a VersionSelector) -> Answer<'a, Fetched>;
}
