//! What hushfs remembers: values, listings, and what is known of single names.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::clock::Clock;
use super::freshness::{Failure, Good};
use super::source::Source;
use super::store::{Held, Hooks, OnChange, Store, Weigh};
use crate::config::ScopeName;
use crate::provider::{Presence, VersionSelector};
use crate::tree::{Document, Index, SecretPath};

/// Memory for names, beside that for values. Names are not secret and are not counted in `max_bytes`.
const NAME_BYTES: u64 = 64 << 20;

/// A version of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ValueKey {
    pub scope: ScopeName,
    pub path: SecretPath,
    pub version: VersionSelector,
}

/// A name that may be a secret, a directory of secrets, both or neither.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NameKey {
    pub scope: ScopeName,
    pub path: SecretPath,
}

/// A secret whose value is now another, or gone.
pub struct ValueChange {
    pub key: ValueKey,
    /// The keys that were there and are not any more.
    pub vanished: Vec<String>,
    /// When it was learnt.
    pub at: std::time::Instant,
}

/// The caches of all scopes; `max_bytes` is shared by their values.
pub struct Memory {
    values: Arc<Store<ValueKey, Document>>,
    listings: Arc<Store<ScopeName, Index>>,
    presences: Arc<Store<NameKey, Presence>>,
}

impl Weigh for Presence {
    fn weight(&self) -> usize {
        size_of::<Self>()
    }
}

impl Memory {
    /// `changed` is told of every value that is replaced or taken away; it must not block.
    pub fn new(
        max_bytes: u64,
        clock: &Arc<dyn Clock>,
        runtime: &Handle,
        changed: impl Fn(ValueChange) + Send + Sync + 'static,
    ) -> Self {
        let on_change: OnChange<ValueKey, Document> = Box::new(move |key, old, new| {
            let Some(old) = old else { return };
            if new.is_some_and(|new| new.version == old.version) {
                return;
            }
            let still_there = |name: &crate::tree::FileName| new.is_some_and(|new| new.keys.get(name).is_some());
            let gone = old.keys.iter().filter(|key| !still_there(&key.file));
            let vanished = gone.map(|key| key.file.as_str().to_owned()).collect();
            changed(ValueChange { key: key.clone(), vanished, at: std::time::Instant::now() });
        });
        let hooks = Hooks { on_change: Some(on_change), keep_as: Some(superseded), falls_with: Some(of_refused) };
        Self {
            values: Arc::new(Store::new(max_bytes, Arc::clone(clock), runtime.clone(), hooks)),
            listings: Arc::new(Store::new(NAME_BYTES, Arc::clone(clock), runtime.clone(), Hooks::default())),
            presences: Arc::new(Store::new(NAME_BYTES, Arc::clone(clock), runtime.clone(), Hooks::default())),
        }
    }

    /// A version of a secret.
    pub async fn document(
        &self,
        source: &Arc<Source>,
        path: &SecretPath,
        version: &VersionSelector,
        deadline: Instant,
    ) -> Result<Held<Document>, Failure> {
        let scope = source.scope.name.clone();
        let key = ValueKey { scope, path: path.clone(), version: version.clone() };
        let policy = source.values();
        if let VersionSelector::Named(id) = version
            && let Some(good) = self.version_in_memory(&key, id, source)
        {
            return Ok(Held { good, stale: false });
        }
        let fetch = || Arc::clone(source).fetch(path.name().clone(), version.clone());
        self.values.get(&key, &policy, deadline, fetch).await
    }

    /// The listing of a scope.
    pub async fn listing(&self, source: &Arc<Source>, deadline: Instant) -> Result<Held<Index>, Failure> {
        let fetch = || Arc::clone(source).list();
        self.listings.get(&source.scope.name, &source.names(), deadline, fetch).await
    }

    /// What is at a name: from a fresh listing where it says, else asked for. That a listing does not
    /// have a name is believed for `negative_ttl`, so that a new secret can be read before the next one.
    pub async fn presence(
        &self,
        source: &Arc<Source>,
        path: &SecretPath,
        deadline: Instant,
    ) -> Result<Presence, Failure> {
        if let Some(presence) = self.listed(source, path) {
            return Ok(presence);
        }
        let fetch = || Arc::clone(source).look(path.name().clone());
        let answer = self.presences.get(&name_key(source, path), &source.names(), deadline, fetch).await;
        self.presence_of(source, path, answer)
    }

    /// As [`Memory::presence`] for who has a fresh value to answer with and need not wait: what is known,
    /// be it stale, while the provider is asked in the background. None where nothing is known.
    pub fn presence_now(&self, source: &Arc<Source>, path: &SecretPath) -> Option<Result<Presence, Failure>> {
        if let Some(presence) = self.listed(source, path) {
            return Some(Ok(presence));
        }
        let fetch = || Arc::clone(source).look(path.name().clone());
        let answer = self.presences.get_now(&name_key(source, path), &source.names(), fetch)?;
        Some(self.presence_of(source, path, answer))
    }

    /// What a fresh listing says of a name, if that is to be believed.
    fn listed(&self, source: &Source, path: &SecretPath) -> Option<Presence> {
        let policy = source.names();
        let listing = self.listings.peek_fresh(&source.scope.name, &policy)?;
        let presence = listing.value.presence(path);
        (!presence.is_nothing() || self.listings.age(&listing) < policy.negative_ttl).then_some(presence)
    }

    fn presence_of(
        &self,
        source: &Source,
        path: &SecretPath,
        answer: Result<Held<Presence>, Failure>,
    ) -> Result<Presence, Failure> {
        match answer {
            Ok(held) => Ok(Presence::clone(&held)),
            Err(failure) if failure.is_not_found() => Ok(Presence::NOTHING),
            Err(failure) if failure.is_outage() => {
                let listing = self.listings.peek_servable(&source.scope.name, &source.names());
                let presence = listing.map(|listing| listing.value.presence(path));
                // A value that was fetched is younger than a listing that does not have it.
                let unlisted =
                    |presence: &Presence| presence.is_nothing() && self.current(&source.scope.name, path).is_some();
                presence.filter(|presence| !unlisted(presence)).ok_or(failure)
            }
            Err(failure) => Err(failure),
        }
    }

    /// The current value, if memory holds one that is within its ttl.
    pub fn fresh(&self, source: &Source, path: &SecretPath) -> Option<Good<Document>> {
        let key = ValueKey { scope: source.scope.name.clone(), path: path.clone(), version: VersionSelector::Current };
        self.values.peek_fresh(&key, &source.values())
    }

    /// The current value, if memory holds one.
    pub fn current(&self, scope: &ScopeName, path: &SecretPath) -> Option<Good<Document>> {
        let version = VersionSelector::Current;
        self.values.peek(&ValueKey { scope: scope.clone(), path: path.clone(), version })
    }

    /// The listing, if memory holds one.
    pub fn known_listing(&self, scope: &ScopeName) -> Option<Good<Index>> {
        self.listings.peek(scope)
    }

    /// Seconds and parts since an answer was fetched.
    pub fn age(&self, good: &Good<Document>) -> std::time::Duration {
        self.values.age(good)
    }

    /// Wipes what is past any use. To be called on a timer.
    pub fn sweep(&self, sources: &HashMap<ScopeName, Arc<Source>>) {
        self.values.sweep(|key| sources.get(&key.scope).map(|source| source.values()));
        self.listings.sweep(|scope| sources.get(scope).map(|source| source.names()));
        self.presences.sweep(|key| sources.get(&key.scope).map(|source| source.names()));
    }

    /// Forgets and wipes everything.
    pub fn clear(&self) {
        self.values.clear();
        self.listings.clear();
        self.presences.clear();
    }

    pub fn counters(&self) -> &super::store::Counters {
        &self.values.counters
    }

    /// Every value in memory with its key.
    pub fn values(&self) -> Vec<(ValueKey, Good<Document>)> {
        let entries = self.values.entries().into_iter();
        entries.filter_map(|(key, kept)| Some((key, kept.good.clone()?))).collect()
    }

    /// A version asked for by its id that memory holds as the current or the previous one.
    fn version_in_memory(&self, key: &ValueKey, id: &str, source: &Source) -> Option<Good<Document>> {
        [VersionSelector::Current, VersionSelector::Previous].into_iter().find_map(|version| {
            let known = ValueKey { version, ..key.clone() };
            self.values.peek_fresh(&known, &source.values()).filter(|good| good.value.version == id)
        })
    }
}

fn name_key(source: &Source, path: &SecretPath) -> NameKey {
    NameKey { scope: source.scope.name.clone(), path: path.clone() }
}

/// Whoever resolved `@current` a moment ago may go on reading that version's keys.
fn superseded(key: &ValueKey, old: &Document, new: &Document) -> Option<ValueKey> {
    let replaced = key.version == VersionSelector::Current && old.version != new.version;
    replaced.then(|| ValueKey { version: VersionSelector::Named(old.version.clone()), ..key.clone() })
}

/// Who may not have the current version any more does not get an older one from memory.
fn of_refused(refused: &ValueKey, other: &ValueKey) -> bool {
    let current = refused.version == VersionSelector::Current && other.version != VersionSelector::Current;
    current && refused.scope == other.scope && refused.path == other.path
}
