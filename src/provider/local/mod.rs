//! A folder of age-encrypted files.
//!
//! `<name>.json.age`, `<name>.env.age`, `<name>.yaml.age` (or `.yml`) and `<name>.age` for any bytes;
//! sub-folders make `/` in names. Files that SOPS encrypted in place are listed but not decrypted. With
//! `allow_plaintext` the same names without `.age` are served too, after the encrypted ones.
//!
//! The identity and the file are read anew for every fetch. A file is read through one descriptor, so a
//! replacement by rename gives the old value or the new one and never a mix.

mod decrypt;
mod dotenv;
mod encrypt;
mod folder;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod identity;
mod listing;
mod names;
mod payload;
mod sops;
mod store;
#[cfg(test)]
mod tests;
mod write_error;
mod writer;
mod yaml;

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{Answer, Error, ErrorKind, Fetched, Listing, Presence, Provider, SecretName, VersionSelector};
use crate::config::LocalSettings;
use crate::secret::wipe_stack;

pub use encrypt::{RECIPIENTS_FILE, recipients_of};
pub use names::FileFormat;
pub use store::{SecretFile, Store};
pub use write_error::WriteError;
pub use writer::{Replace, Writer};

/// Threads that one folder may keep busy. One on a file system that hangs keeps its threads long after
/// their readers have gone; it must not collect those that other scopes need.
const THREADS: usize = 16;

/// The provider: a [`Store`], asked on threads that may block.
pub struct Local {
    store: Arc<Store>,
    threads: Arc<Semaphore>,
}

impl Local {
    /// `max_secret_bytes` is the largest value that is served. Opens nothing.
    pub fn new(settings: LocalSettings, max_secret_bytes: u64) -> Self {
        let store = Arc::new(Store { settings, max: max_secret_bytes });
        Self { store, threads: Arc::new(Semaphore::new(THREADS)) }
    }

    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    ) -> Answer<'_, T> {
        let (store, threads) = (Arc::clone(&self.store), Arc::clone(&self.threads));
        Box::pin(async move {
            let permit = threads.acquire_owned().await;
            let work = move || {
                // Given back when the thread is free, not when the reader has had enough.
                let _permit = permit;
                let answer = question(&store);
                // It may have been about a value.
                wipe_stack();
                answer
            };
            match tokio::task::spawn_blocking(work).await {
                Ok(answer) => answer,
                // A panic in a parser, or the runtime is shutting down.
                Err(_) => Err(Error::new(ErrorKind::Malformed, "reading the folder was broken off")),
            }
        })
    }
}

impl Provider for Local {
    fn kind(&self) -> &'static str {
        "local"
    }

    fn predicts(&self) -> bool {
        false
    }

    fn list(&self) -> Answer<'_, Listing> {
        self.ask(Store::list)
    }

    fn look<'a>(&'a self, name: &'a SecretName) -> Answer<'a, Presence> {
        let name = name.clone();
        self.ask(move |store| store.look(name.as_str()))
    }

    fn fetch<'a>(&'a self, name: &'a SecretName, version: &'a VersionSelector) -> Answer<'a, Fetched> {
        let (name, version) = (name.clone(), version.clone());
        self.ask(move |store| store.fetch(name.as_str(), &version))
    }

    fn whoami(&self) -> Answer<'_, String> {
        self.ask(Store::whoami)
    }
}
