//! Providers: where values come from.
//!
//! # To add one
//!
//! 1. Write its settings in `config::settings` (a struct and a variant of `ProviderSettings`), name them
//!    in `config::keys` and judge them in `config::validate`; add its table to `systemd/hushfs.toml`.
//! 2. Write `provider/<name>/` (a service of AWS: `provider/aws/<name>/`, see there) with a type that implements [`Provider`]: three questions about secrets, each
//!    one call to the service where it can be, one about its IAM, and who the service takes us for. Map
//!    every error of the service to an [`ErrorKind`] without a wildcard and never put a value, or a whole
//!    answer, into an [`Error`]'s text.
//! 3. Give it a Cargo feature and a line in [`registry`].
//! 4. Hold it to the contract: a fixture in `tests/contract/` that can put, change and delete secrets on
//!    the real service or its best emulator. Start that in `tests/support/servers.rs` too, so that every fault and every
//!    way to reach it is tried over a mount, and walk through each of its logins in `tests/e2e/logins/`.
//! 5. Write `docs/providers/<name>.md`: a configuration that was run, the least rights it needs, limits.
//!
//! One that speaks REST without an SDK makes its calls and reads its files of credentials through `rest`. A listing that
//! comes in pages is bounded by `pages`, a file that the configuration names is opened through `regular_file`, and a client
//! that has connections is kept in `connections`.
//!
//! What a provider need not do: caching, single flight, deadlines, retries after a failure, concurrency
//! limits, splitting JSON into keys, names as files. The cache and the tree do that for all of them. A
//! provider is called from tokio tasks, many at a time, and is dropped mid-call when a deadline passes.

mod answer;
#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "azure")]
pub mod azure_key_vault;
mod closing;
#[cfg(any(feature = "rest", feature = "aws", feature = "gcp"))]
mod connections;
#[cfg(feature = "databricks")]
pub mod databricks;
mod error;
#[cfg(feature = "gcp")]
pub mod gcp_secret_manager;
// `tests/fuzz` does without Google's client library.
#[cfg(all(feature = "fuzzing", feature = "rest", not(feature = "gcp")))]
#[path = "gcp_secret_manager/alone.rs"]
pub mod gcp_secret_manager;
mod identity;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
#[cfg(feature = "local")]
pub mod local;
#[cfg(any(feature = "aws", feature = "gcp", feature = "kubernetes", feature = "vault"))]
mod pages;
mod permission;
pub mod registry;
#[cfg(any(feature = "rest", feature = "aws", feature = "gcp"))]
mod regular_file;
#[cfg(any(feature = "rest", feature = "gcp"))]
mod rest;
#[cfg(any(feature = "rest", feature = "aws", feature = "gcp"))]
mod text;
#[cfg(feature = "vault")]
pub mod vault;

use std::convert::Infallible;
use std::pin::Pin;

pub use answer::{Change, Fetched, Known, Lease, Listed, Listing, Payload, Presence, SecretName, VersionSelector};
pub use closing::Closing;
pub use error::{Error, ErrorKind};
pub use identity::{Acting, Identity, says_nothing_of};
pub use permission::Permission;

use crate::config::ActsAs;

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

    /// Does a listing bring a hundred names or more in a call, whatever folders they are in? Then one of them answers
    /// when very many single names are asked for at once.
    fn lists_many_in_a_call(&self) -> bool {
        false
    }

    /// Has the service quotas of their own for questions about names, or for some? Then values may still be to be had
    /// while it says "too many" to those.
    fn counts_names_apart(&self) -> bool {
        false
    }

    /// One version of one secret, value included.
    fn fetch<'a>(&'a self, name: &'a SecretName, version: &'a VersionSelector) -> Answer<'a, Fetched>;

    /// The names of the keys that the current version has, as [`Payload::keys`] would have them, without fetching a
    /// value; None where the service does not tell keys from values. Whoever gets no answer can still fetch.
    fn keys<'a>(&'a self, name: &'a SecretName) -> Option<Answer<'a, Vec<String>>> {
        let _ = name;
        None
    }

    /// What may this identity do to these secrets, one answer for each, in their order? None is the identity
    /// that the scope itself has; others are asked about with its credentials.
    ///
    /// It is a prediction, for permission bits and for people. [`Known::No`] only where a fetch is sure to be
    /// refused: what the service cannot tell, or not to us, is [`Known::Unknown`].
    ///
    /// # Errors
    /// Where the service could not be asked. That it does not answer such questions, or not to us, is
    /// [`Denied`](ErrorKind::Denied): it is not asked again for a while.
    fn permissions<'a>(&'a self, identity: Option<&'a ActsAs>, names: &'a [SecretName]) -> Answer<'a, Vec<Permission>> {
        let _ = (identity, names);
        let error = Error::new(ErrorKind::Denied, format!("{} says nothing about permissions in advance", self.kind()));
        Box::pin(std::future::ready(Err(error)))
    }

    /// Is there anybody to ask for [`permissions`](Provider::permissions)?
    fn predicts(&self) -> bool {
        true
    }

    /// Tells of changes as the service makes them known, for as long as it is polled; None where the service does
    /// not. No value passes. What happened before it first tells of [`Change::All`] is told by that.
    ///
    /// # Errors
    /// Why it cannot go on. It may be called again, and then tells of what happened meanwhile, too. That the service
    /// does not let us is [`Denied`](ErrorKind::Denied).
    fn watch<'a>(&'a self, heard: &'a (dyn Fn(Change) + Send + Sync)) -> Option<Answer<'a, Infallible>> {
        let _ = heard;
        None
    }

    /// Closes connections, as their buffers may hold values. It does not wait.
    fn close_connections(&self, which: Closing) {
        let _ = which;
    }

    /// Who the service takes us for, in its own words: an ARN, an account, a key's public part.
    fn whoami(&self) -> Answer<'_, String>;

    /// What asking anything would use up that the daemon needs for itself, such as a wrapping token, and why whoever only
    /// checks asks nothing then. None where it does no harm, as it nearly always does.
    fn uses_up(&self) -> Option<String> {
        None
    }

    /// Gives back what the service has lent: leases, and tokens that we logged in for. Called when the provider is
    /// needed no more, and not waited for for long; one that is used again starts anew.
    ///
    /// # Errors
    /// What could not be given back, and why; it ends by itself.
    fn close(&self) -> Answer<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}
