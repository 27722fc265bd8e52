//! What hushfs remembers: values, listings, and what is known of single names.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::budget::About;
use super::clock::Clock;
use super::crowd::is_crowded;
use super::freshness::{Failure, Good, Kept, Policy, Verdict};
use super::predictions::Predictions;
use super::source::{Generation, Source};
use super::sources::Sources;
use super::store::{Held, Hooks, OnChange, Remembered, Store};
use crate::config::ScopeName;
use crate::provider::{Change, ErrorKind, Identity, Known, Presence, VersionSelector};
use crate::tree::{Document, Index, KeyNames, SecretNode, SecretPath};

/// Memory for names, beside that for values. Names are not secret and are not counted in `max_bytes`.
const NAME_BYTES: u64 = 64 << 20;

/// A version of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ValueKey {
    pub generation: Generation,
    /// The secret, as the identity sees it that it was fetched with.
    pub at: SecretNode,
    pub version: VersionSelector,
}

/// A listing: what an identity was told of a scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListingKey {
    pub generation: Generation,
    pub scope: ScopeName,
    pub identity: Identity,
}

/// A name: what an identity was told of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NameKey {
    pub generation: Generation,
    pub at: SecretNode,
}

/// A secret whose value is now another, or gone, or has come.
pub struct ValueChange {
    pub key: ValueKey,
    /// The version that memory has now.
    pub version: Option<String>,
    /// It had another one before, or has none any more.
    pub is_change: bool,
    /// The keys that were there and are not any more.
    pub vanished: Vec<String>,
    /// When it was learnt.
    pub at: std::time::Instant,
}

/// The caches of all scopes; `max_bytes` is shared by their values.
pub struct Memory {
    pub(super) values: Arc<Store<ValueKey, Document>>,
    pub(super) listings: Arc<Store<ListingKey, Index>>,
    /// A name may be a secret, a directory of secrets, both or neither.
    pub(super) presences: Arc<Store<NameKey, Presence>>,
    pub(super) key_names: Arc<Store<NameKey, KeyNames>>,
    pub predictions: Arc<Predictions>,
}

impl Remembered for Presence {
    fn weight(&self) -> usize {
        size_of::<Self>()
    }
}

impl Memory {
    /// `changed` is told of every value that comes, is replaced or is taken away; it must not block.
    pub fn new(
        max_bytes: u64,
        clock: &Arc<dyn Clock>,
        runtime: &Handle,
        changed: impl Fn(ValueChange) + Send + Sync + 'static,
    ) -> Self {
        let on_change: OnChange<ValueKey, Document> = Box::new(move |key, old, new| {
            let version = new.map(|new| new.version.clone());
            let is_change = old.is_some_and(|old| version.as_ref() != Some(&old.version));
            if old.is_some() && !is_change {
                return;
            }
            let still_there = |name: &crate::tree::FileName| new.is_some_and(|new| new.keys.get(name).is_some());
            let keys = old.iter().flat_map(|old| old.keys.iter());
            let gone = keys.filter(|key| !still_there(&key.file));
            let vanished = gone.map(|key| key.file.as_str().to_owned()).collect();
            let at = std::time::Instant::now();
            changed(ValueChange { key: key.clone(), version, is_change, vanished, at });
        });
        let hooks = Hooks { on_change: Some(on_change), keep_as: Some(superseded), falls_with: Some(of_refused) };
        Self {
            values: Arc::new(Store::new(max_bytes, Arc::clone(clock), runtime.clone(), hooks)),
            listings: Arc::new(Store::new(NAME_BYTES, Arc::clone(clock), runtime.clone(), Hooks::default())),
            presences: Arc::new(Store::new(NAME_BYTES, Arc::clone(clock), runtime.clone(), Hooks::default())),
            key_names: Arc::new(Store::new(NAME_BYTES, Arc::clone(clock), runtime.clone(), Hooks::default())),
            predictions: Arc::new(Predictions::new(Arc::clone(clock), runtime.clone())),
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
        let key = value_key(source, path, version.clone());
        let policy = source.values();
        if let VersionSelector::Named(id) = version
            && let Some(good) = self.version_in_memory(&key, id, &policy)
        {
            return Ok(Held { good, stale: false });
        }
        // On the way here somebody has waited in vain to hear that the secret is there: nobody waits twice in one `open`.
        if self.presences.has_just_timed_out(&name_key(source, path))
            && let Some(stale) = self.values.get_unasked(&key, &policy)
        {
            return Ok(stale);
        }
        let fetch = || Arc::clone(source).fetch(path.name().clone(), version.clone());
        source.unless_held_back(About::Values, self.values.get(&key, &policy, deadline, fetch).await)
    }

    /// The listing of a scope.
    pub async fn listing(&self, source: &Arc<Source>, deadline: Instant) -> Result<Held<Index>, Failure> {
        let fetch = || Arc::clone(source).list();
        let answer = self.listings.get(&listing_key(source), &source.names(), deadline, fetch).await;
        source.unless_held_back(About::Names, answer)
    }

    /// The names of a secret's keys without its value. None where they are to be had only with it.
    pub async fn key_names(
        &self,
        source: &Arc<Source>,
        path: &SecretPath,
        deadline: Instant,
    ) -> Option<Held<KeyNames>> {
        if !source.names_keys(path.name()) {
            return None;
        }
        let fetch = || Arc::clone(source).keys(path.name().clone());
        let answer = self.key_names.get(&name_key(source, path), &source.names(), deadline, fetch).await;
        // The value has newer ones than what is stale.
        answer.ok().filter(|held| !held.stale)
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
        let is_asked = self.presences.verdict(&name_key(source, path), &source.names()).wants_a_call();
        if is_asked && let Some(presence) = self.listed_for_a_crowd(source, path, deadline).await {
            return Ok(presence);
        }
        let fetch = || Arc::clone(source).look(path.name().clone());
        let answer = self.presences.get(&name_key(source, path), &source.names(), deadline, fetch).await;
        self.presence_of(source, path, source.unless_held_back(About::Names, answer))
    }

    /// As [`Memory::presence`] for who has a fresh value to answer with and need not wait: what is known,
    /// be it stale, while the provider is asked in the background. None where nothing is known.
    pub fn presence_now(&self, source: &Arc<Source>, path: &SecretPath) -> Option<Result<Presence, Failure>> {
        if let Some(presence) = self.listed(source, path) {
            return Some(Ok(presence));
        }
        let verdict = self.presences.verdict(&name_key(source, path), &source.names());
        if verdict.wants_a_call() && is_crowded(source) {
            // A listing will tell who has to know.
            let good = self.presences.peek_servable(&name_key(source, path), &source.names())?;
            return Some(Ok(Presence::clone(&good.value)));
        }
        let fetch = || Arc::clone(source).look(path.name().clone());
        let answer = self.presences.get_now(&name_key(source, path), &source.names(), fetch)?;
        Some(self.presence_of(source, path, answer))
    }

    /// What is known of a name for who only passes it on the way to something else. A fresh value is proof of its secret,
    /// whenever the rest was said, and a folder is believed for as long as a value. Asks nobody; None where the provider is
    /// to be asked.
    pub fn presence_in_use(&self, source: &Source, path: &SecretPath) -> Option<Result<Presence, Failure>> {
        if let Some(presence) = self.listed(source, path) {
            return Some(Ok(presence));
        }
        let (key, names) = (name_key(source, path), source.names());
        if let Verdict::Refuse(failure) = self.presences.verdict(&key, &names)
            && !failure.is_outage()
        {
            return Some(self.presence_of(source, path, Err(failure)));
        }
        let known = self.presences.peek(&key).filter(|known| !known.outdated);
        if let Some(good) = self.fresh(source, path) {
            let proven = Presence::of_value(good.value.created);
            let known = known.map_or(proven, |known| Presence::clone(&known.value));
            return Some(Ok(Presence { secret: Known::Yes, ..known }));
        }
        let folder = known.filter(|known| known.value.is_mere_folder())?;
        let is_believed = self.presences.age(&folder) < names.ttl.max(source.scope.cache.ttl);
        is_believed.then(|| Ok(Presence::clone(&folder.value)))
    }

    /// What a fresh listing says of a name, if that is to be believed.
    pub(super) fn listed(&self, source: &Source, path: &SecretPath) -> Option<Presence> {
        let policy = source.names();
        let listing = self.listings.peek_fresh(&listing_key(source), &policy)?;
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
                let listing = self.listings.peek_servable(&listing_key(source), &source.names());
                let presence = listing.map(|listing| listing.value.presence(path));
                // A value that was fetched is younger than a listing that does not have it.
                let unlisted = |presence: &Presence| {
                    presence.is_nothing() && self.current(source.generation, &place(source, path)).is_some()
                };
                presence.filter(|presence| !unlisted(presence)).ok_or(failure)
            }
            Err(failure) => Err(failure),
        }
    }

    /// The current value, if memory holds one that is within its ttl.
    pub fn fresh(&self, source: &Source, path: &SecretPath) -> Option<Good<Document>> {
        self.values.peek_fresh(&value_key(source, path, VersionSelector::Current), &source.values())
    }

    /// The current value, if memory holds one.
    pub fn current(&self, generation: Generation, at: &SecretNode) -> Option<Good<Document>> {
        self.values.peek(&current(generation, at))
    }

    /// Does the provider give this version to the identity that it is seen by? As far as a fetch has told, and
    /// for as long as that is believed.
    pub fn is_readable(&self, key: &ValueKey, policy: &Policy) -> Known {
        match &key.version {
            VersionSelector::Named(id) if self.version_in_memory(key, id, policy).is_some() => Known::Yes,
            _ => told(&self.values, key, policy),
        }
    }

    /// As [`Memory::is_readable`], of listing the scope.
    pub fn is_listable(&self, key: &ListingKey, policy: &Policy) -> Known {
        told(&self.listings, key, policy)
    }

    /// When a value was last fetched, or refused, and what came of it: for people.
    pub fn last_fetch(&self, generation: Generation, at: &SecretNode) -> Option<Arc<Kept<Document>>> {
        self.values.last(&current(generation, at))
    }

    /// What is known of a name without asking anyone.
    pub fn known_presence(&self, source: &Source, path: &SecretPath) -> Option<Presence> {
        self.listed(source, path).or_else(|| {
            let known = self.presences.peek_fresh(&name_key(source, path), &source.names())?;
            Some(Presence::clone(&known.value))
        })
    }

    /// The listing, if memory holds one.
    pub fn known_listing(&self, source: &Source) -> Option<Good<Index>> {
        self.listings.peek(&listing_key(source))
    }

    /// The time on the cache's clock.
    pub fn now(&self) -> std::time::Duration {
        self.values.now()
    }

    /// Seconds and parts since an answer was fetched.
    pub fn age(&self, good: &Good<Document>) -> std::time::Duration {
        self.values.age(good)
    }

    /// Wipes what is past any use. To be called on a timer.
    pub fn sweep(&self, sources: &Sources) {
        let of = |generation, scope: &ScopeName, identity| {
            sources.known(scope, identity).filter(|source| source.generation == generation)
        };
        self.values.sweep(|key| of(key.generation, &key.at.scope, key.at.identity).map(|source| source.values()));
        self.listings.sweep(|key| of(key.generation, &key.scope, key.identity).map(|source| source.names()));
        self.presences.sweep(|key| of(key.generation, &key.at.scope, key.at.identity).map(|source| source.names()));
        self.key_names.sweep(|key| of(key.generation, &key.at.scope, key.at.identity).map(|source| source.names()));
        self.predictions.sweep(|generation, scope| {
            let own = of(generation, scope, Identity::Own);
            own.map(|source| source.scope.cache.iam_ttl)
        });
    }

    /// Forgets and wipes what nobody can ask for any more since another configuration holds, and what is on its way.
    pub fn retire(&self, sources: &Sources) {
        let is_of_now = |generation, scope: &ScopeName, identity| {
            let own = sources.own().get(scope).filter(|own| own.generation == generation);
            own.is_some() && sources.may_be_seen_by(scope, identity)
        };
        self.values.forget(|key, _| !is_of_now(key.generation, &key.at.scope, key.at.identity));
        self.listings.forget(|key, _| !is_of_now(key.generation, &key.scope, key.identity));
        self.presences.forget(|key, _| !is_of_now(key.generation, &key.at.scope, key.at.identity));
        self.key_names.forget(|key, _| !is_of_now(key.generation, &key.at.scope, key.at.identity));
        self.predictions.retire(is_of_now);
    }

    /// Forgets and wipes the values that these sources brought, and what is on its way from them: what is lent to one ends
    /// when that gives it back, also where another has come to stand for the same identity.
    pub fn forget_what_is_given_back(&self, lent: &[Arc<Source>]) {
        let is_of = |key: &ValueKey, source: &Source| {
            (key.generation, &key.at.scope, key.at.identity) == (source.generation, &source.scope.name, source.identity)
        };
        if !lent.is_empty() {
            self.values.forget(|key, _| lent.iter().any(|source| is_of(key, source)));
        }
    }

    /// A scope's provider has told of a change: what is remembered of it, under whichever identity, is asked for anew
    /// when somebody wants it. The values of it that are in memory are fetched now, so that who watches their files
    /// learns of it.
    pub fn outdate(&self, sources: &Sources, scope: &ScopeName, change: &Change) {
        let identities = [Identity::Own].into_iter().chain(sources.identities_in(scope));
        for source in identities.filter_map(|identity| sources.known(scope, identity)) {
            self.listings.outdate(&listing_key(&source));
            match change {
                Change::Secret(name) => {
                    let Some(path) = SecretPath::of(name) else { continue };
                    // What is in a folder makes the folder.
                    let above = path.as_str().match_indices('/').filter_map(|(end, _)| path.as_str().get(..end));
                    for above in above.filter_map(SecretPath::parse) {
                        self.presences.outdate(&name_key(&source, &above));
                    }
                    self.presences.outdate(&name_key(&source, &path));
                    self.key_names.outdate(&name_key(&source, &path));
                    self.fetch_again(&source, &path);
                }
                Change::All => {
                    let of = |generation, at: &SecretNode| {
                        generation == source.generation && at.scope == *scope && at.identity == source.identity
                    };
                    for key in self.presences.keys() {
                        if of(key.generation, &key.at) {
                            self.presences.outdate(&key);
                        }
                    }
                    for key in self.key_names.keys() {
                        if of(key.generation, &key.at) {
                            self.key_names.outdate(&key);
                        }
                    }
                    for key in self.values.keys() {
                        if of(key.generation, &key.at) && key.version == VersionSelector::Current {
                            self.fetch_again(&source, &key.at.path);
                        }
                    }
                }
            }
        }
    }

    fn fetch_again(&self, source: &Arc<Source>, path: &SecretPath) {
        self.values.outdate(&value_key(source, path, VersionSelector::Previous));
        let key = value_key(source, path, VersionSelector::Current);
        self.values.outdate(&key);
        if self.values.peek(&key).is_some() {
            let fetch = || Arc::clone(source).fetch(path.name().clone(), VersionSelector::Current);
            let _ = self.values.get_now(&key, &source.values(), fetch);
        }
    }

    /// How many bytes of values may be kept from now on; what is too much goes.
    pub fn limit(&self, max_bytes: u64) {
        self.values.limit(max_bytes);
    }

    pub fn max_bytes(&self) -> u64 {
        self.values.max_bytes()
    }

    /// Forgets and wipes everything.
    pub fn clear(&self) {
        self.values.clear();
        self.listings.clear();
        self.presences.clear();
        self.key_names.clear();
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
    fn version_in_memory(&self, key: &ValueKey, id: &str, policy: &Policy) -> Option<Good<Document>> {
        [VersionSelector::Current, VersionSelector::Previous].into_iter().find_map(|version| {
            let known = ValueKey { version, ..key.clone() };
            self.values.peek_fresh(&known, policy).filter(|good| good.value.version == id)
        })
    }
}

/// What the provider has told, and may still be believed.
fn told<K, V>(store: &Arc<Store<K, V>>, key: &K, policy: &Policy) -> Known
where
    K: std::hash::Hash + Eq + Clone + Send + Sync + 'static,
    V: Remembered + Send + Sync + 'static,
{
    match store.verdict(key, policy) {
        Verdict::Fresh { .. } | Verdict::Stale { .. } => Known::Yes,
        Verdict::Refuse(Failure::Provider(error)) if error.kind == ErrorKind::Denied => Known::No,
        Verdict::Refuse(_) | Verdict::Fetch { .. } => Known::Unknown,
    }
}

/// A path as the source's identity sees it.
fn place(source: &Source, path: &SecretPath) -> SecretNode {
    SecretNode { scope: source.scope.name.clone(), identity: source.identity, path: path.clone() }
}

fn listing_key(source: &Source) -> ListingKey {
    ListingKey { generation: source.generation, scope: source.scope.name.clone(), identity: source.identity }
}

fn name_key(source: &Source, path: &SecretPath) -> NameKey {
    NameKey { generation: source.generation, at: place(source, path) }
}

fn value_key(source: &Source, path: &SecretPath, version: VersionSelector) -> ValueKey {
    ValueKey { generation: source.generation, at: place(source, path), version }
}

fn current(generation: Generation, at: &SecretNode) -> ValueKey {
    ValueKey { generation, at: at.clone(), version: VersionSelector::Current }
}

/// Whoever resolved `@current` a moment ago may go on reading that version's keys.
fn superseded(key: &ValueKey, old: &Document, new: &Document) -> Option<ValueKey> {
    let replaced = key.version == VersionSelector::Current && old.version != new.version;
    replaced.then(|| ValueKey { version: VersionSelector::Named(old.version.clone()), ..key.clone() })
}

/// Who may not have the current version any more does not get an older one from memory.
fn of_refused(refused: &ValueKey, other: &ValueKey) -> bool {
    let current = refused.version == VersionSelector::Current && other.version != VersionSelector::Current;
    current && refused.generation == other.generation && refused.at == other.at
}
