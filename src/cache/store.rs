//! Get or fetch: memory in front of a provider, with one fetch however many ask.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use super::clock::Clock;
use super::freshness::{Bad, Failure, Good, Kept, Policy, Tidy, Verdict};
use super::lru::Lru;
use crate::provider::{Error, ErrorKind};

/// How long a reader takes from one part of a path to the next. No longer: what cannot be asked for under one key may
/// be had under another.
const A_MOMENT: Duration = Duration::from_millis(500);

/// What remembering costs besides the value, in bytes, roughly.
const OVERHEAD: usize = 256;

/// What there is to know of an answer to remember it.
pub trait Remembered {
    /// How much room it takes, in bytes, roughly.
    fn weight(&self) -> usize;

    /// For an answer that ends by itself: how long it is good for, counted from when it was asked for.
    fn valid_for(&self) -> Option<Duration> {
        None
    }
}

/// Told what a key held before and holds now, whenever a good answer comes, goes or is replaced.
pub type OnChange<K, V> = Box<dyn Fn(&K, Option<&Arc<V>>, Option<&Arc<V>>) + Send + Sync>;

/// Where a good answer goes that another one has replaced, if it should still be found: the key, what was
/// there and what is there now.
pub type KeepAs<K, V> = fn(&K, &V, &V) -> Option<K>;

/// Is the second key's answer forgotten when the first one's has been refused?
pub type FallsWith<K> = fn(&K, &K) -> bool;

/// What a store does besides remembering.
pub struct Hooks<K, V> {
    pub on_change: Option<OnChange<K, V>>,
    pub keep_as: Option<KeepAs<K, V>>,
    pub falls_with: Option<FallsWith<K>>,
}

impl<K, V> Default for Hooks<K, V> {
    fn default() -> Self {
        Self { on_change: None, keep_as: None, falls_with: None }
    }
}

/// An answer on its way to a reader.
pub struct Held<V> {
    pub good: Good<V>,
    /// Served although its ttl is over, because the provider cannot be reached.
    pub stale: bool,
}

impl<V> std::ops::Deref for Held<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.good.value
    }
}

/// Counts since the start.
#[derive(Default)]
pub struct Counters {
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    pub stale: AtomicU64,
}

type Outcome<V> = Result<Good<V>, Failure>;

/// A fetch that is under way.
struct Flight<V> {
    landed: watch::Receiver<Option<Outcome<V>>>,
    started: Instant,
    /// The provider has told of a change since: what comes may be what was there before.
    outdated: Arc<AtomicBool>,
    /// Whoever waits for it may have its answer, which is not remembered: its key has been forgotten meanwhile.
    is_void: Arc<AtomicBool>,
}

impl<V> Clone for Flight<V> {
    fn clone(&self) -> Self {
        Self {
            landed: self.landed.clone(),
            started: self.started,
            outdated: Arc::clone(&self.outdated),
            is_void: Arc::clone(&self.is_void),
        }
    }
}

impl<V> Flight<V> {
    fn is_outdated(&self) -> bool {
        self.outdated.load(Ordering::Acquire)
    }

    async fn landed(&mut self) -> Outcome<V> {
        match self.landed.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(Failure::Deadline)),
            // The fetch panicked: its sender is gone without a word.
            Err(_) => Err(Failure::Provider(Error::new(ErrorKind::Malformed, "the fetch failed inside hushfs"))),
        }
    }
}

/// What is known without waiting.
enum Known<V> {
    Answer(Result<Held<V>, Failure>),
    /// The answer is on its way. `fallback` may be served if it does not come.
    Flying {
        flight: Flight<V>,
        fallback: Option<Good<V>>,
    },
}

/// Answers by key. The freshness rules are those of [`Kept`]; this is the machinery around them.
pub struct Store<K, V> {
    kept: Lru<K, Kept<V>>,
    flights: Mutex<HashMap<K, Flight<V>>>,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    hooks: Hooks<K, V>,
    pub counters: Counters,
}

impl<K, V> Store<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Remembered + Send + Sync + 'static,
{
    /// `max_bytes`: the least recently used go first when there is more.
    pub fn new(max_bytes: u64, clock: Arc<dyn Clock>, runtime: Handle, hooks: Hooks<K, V>) -> Self {
        let flights = Mutex::new(HashMap::new());
        Self { kept: Lru::new(max_bytes), flights, clock, runtime, hooks, counters: Counters::default() }
    }

    /// The answer for `key`: from memory, from the fetch in flight, or from a new one made with `fetch`.
    ///
    /// Ready at the first poll where memory can answer. Otherwise waits, but not past `deadline`. The
    /// fetch itself belongs to no caller: it runs on when the caller gives up.
    pub async fn get<F>(
        self: &Arc<Self>,
        key: &K,
        policy: &Policy,
        deadline: Instant,
        fetch: impl Fn() -> F,
    ) -> Result<Held<V>, Failure>
    where
        F: Future<Output = Result<V, Error>> + Send + 'static,
    {
        let (mut flight, fallback) = loop {
            let (mut flight, fallback) = match self.ask(key, policy, &fetch) {
                Known::Answer(answer) => return answer,
                Known::Flying { flight, fallback } => (flight, fallback),
            };
            // It began before a change that was there when we came: its answer is not for us.
            if !flight.is_outdated() {
                break (flight, fallback);
            }
            if tokio::time::timeout_at(deadline, flight.landed.wait_for(Option::is_some)).await.is_err() {
                break (flight, fallback);
            }
        };
        // A fetch that has kept one reader waiting in vain keeps no other who can have the last answer.
        let patience = flight.started + policy.timeout;
        let until = if fallback.is_some() { deadline.min(patience) } else { deadline };
        let landed = tokio::time::timeout_at(until, flight.landed());
        let outcome = landed.await.unwrap_or(Err(Failure::Deadline));
        match (outcome, fallback) {
            (Ok(good), _) => Ok(Held { good, stale: false }),
            (Err(Failure::Deadline), Some(good)) => Ok(self.stale(good)),
            (Err(Failure::Provider(error) | Failure::Expired(error)), Some(good)) if error.kind.is_outage() => {
                Ok(self.stale(good))
            }
            (Err(failure), _) => Err(failure),
        }
    }

    /// As [`Store::get`] for who cannot wait: a fetch that is due is started, and what memory may serve
    /// until it lands is the answer. None where that is nothing.
    pub fn get_now<F>(
        self: &Arc<Self>,
        key: &K,
        policy: &Policy,
        fetch: impl Fn() -> F,
    ) -> Option<Result<Held<V>, Failure>>
    where
        F: Future<Output = Result<V, Error>> + Send + 'static,
    {
        match self.ask(key, policy, &fetch) {
            Known::Answer(answer) => Some(answer),
            Known::Flying { fallback, .. } => fallback.map(|good| Ok(self.stale(good))),
        }
    }

    /// As [`Store::get`] for who has waited for the provider in vain already: what is served where nobody answers.
    /// None where memory has nothing for that, or needs not ask.
    pub fn get_unasked(&self, key: &K, policy: &Policy) -> Option<Held<V>> {
        match self.judge(key, policy) {
            Verdict::Fetch { fallback } => fallback.map(|good| self.stale(good)),
            Verdict::Fresh { .. } | Verdict::Stale { .. } | Verdict::Refuse(_) => None,
        }
    }

    /// Has a fetch of this key run out of time a moment ago?
    pub fn has_just_timed_out(&self, key: &K) -> bool {
        let now = self.clock.now();
        let is_new = |bad: &Bad| bad.error.kind == ErrorKind::TimedOut && now < bad.at.saturating_add(A_MOMENT);
        self.kept.get(key).is_some_and(|kept| kept.bad.as_ref().is_some_and(is_new))
    }

    /// What memory holds, fresh or not, without asking anyone.
    pub fn peek(&self, key: &K) -> Option<Good<V>> {
        self.kept.get(key).and_then(|kept| kept.good.clone())
    }

    /// What came of asking last, whatever it is worth now.
    pub fn last(&self, key: &K) -> Option<Arc<Kept<V>>> {
        self.kept.get(key)
    }

    /// As [`Store::peek`], only while it is within its ttl.
    pub fn peek_fresh(&self, key: &K, policy: &Policy) -> Option<Good<V>> {
        match self.kept.get(key)?.judge(policy, self.clock.now()) {
            Verdict::Fresh { good, .. } => Some(good),
            Verdict::Stale { .. } | Verdict::Refuse(_) | Verdict::Fetch { .. } => None,
        }
    }

    /// As [`Store::peek`], only while it may be served, if need be as stale.
    pub fn peek_servable(&self, key: &K, policy: &Policy) -> Option<Good<V>> {
        let kept = self.kept.get(key)?;
        match kept.judge(policy, self.clock.now()) {
            Verdict::Fresh { good, .. } | Verdict::Stale { good, .. } => Some(good),
            Verdict::Fetch { fallback } => fallback,
            Verdict::Refuse(_) => None,
        }
    }

    /// The time on this store's clock.
    pub fn now(&self) -> std::time::Duration {
        self.clock.now()
    }

    /// Age of an answer on this store's clock.
    pub fn age(&self, good: &Good<V>) -> std::time::Duration {
        self.clock.now().saturating_sub(good.fetched)
    }

    /// Drops what is past any use, and wipes it.
    pub fn sweep(&self, policy_of: impl Fn(&K) -> Option<Policy>) {
        let now = self.clock.now();
        let tidy = |key: &K, kept: &Kept<V>| policy_of(key).map_or(Tidy::Forget, |policy| kept.tidy(&policy, now));
        for (key, _) in self.kept.entries(|key, kept| !matches!(tidy(key, kept), Tidy::Keep)) {
            // Held to the end: a fetch that lands meanwhile must not have its answer undone.
            let flights = self.flights();
            if flights.contains_key(&key) {
                continue;
            }
            // Again, since one may have landed before.
            match self.kept.get(&key).map(|kept| tidy(&key, &kept)) {
                None | Some(Tidy::Keep) => {}
                Some(Tidy::Wipe(rest)) => self.keep(key, rest),
                Some(Tidy::Forget) => self.kept.remove(&key),
            }
        }
    }

    /// Has whoever asks next ask the provider, which has told of a change; until that answers, what there is counts as
    /// after its ttl.
    pub fn outdate(&self, key: &K) {
        let flights = self.flights();
        if let Some(flight) = flights.get(key) {
            flight.outdated.store(true, Ordering::Release);
        }
        self.outdate_kept(key);
        drop(flights);
    }

    fn outdate_kept(&self, key: &K) {
        match self.kept.get(key).map(|kept| kept.outdated()) {
            None => {}
            Some(Some(kept)) => self.keep(key.clone(), kept),
            Some(None) => self.kept.remove(key),
        }
    }

    /// Fetches anew, whatever memory holds, and waits for it. A fetch that is under way may have been answered
    /// before whatever it is that is to be seen, so it does not count. What memory holds is replaced by a good
    /// answer and taken away by a refusal; when nobody answers it stays.
    ///
    /// # Errors
    /// What the provider says, or that it says nothing.
    pub async fn refresh<F>(self: &Arc<Self>, key: &K, policy: &Policy, fetch: impl Fn() -> F) -> Outcome<V>
    where
        F: Future<Output = Result<V, Error>> + Send + 'static,
    {
        let asked = Instant::now();
        loop {
            let mut flight = {
                let flights = self.flights();
                match flights.get(key) {
                    Some(flight) => flight.clone(),
                    None => self.start(flights, key, policy, &fetch),
                }
            };
            let is_new = flight.started >= asked;
            let outcome = flight.landed().await;
            if is_new {
                return outcome;
            }
        }
    }

    /// Forgets and wipes what is under these keys, and what is on its way to them. `wanted` is also given what is
    /// remembered, if anything is. Gives what was forgotten.
    pub fn forget(&self, wanted: impl Fn(&K, Option<&Kept<V>>) -> bool) -> Vec<(K, Arc<Kept<V>>)> {
        // Held to the end: no answer lands meanwhile.
        let mut flights = self.flights();
        flights.retain(|key, flight| {
            let is_wanted = wanted(key, self.kept.get(key).as_deref());
            if is_wanted {
                flight.is_void.store(true, Ordering::Relaxed);
            }
            !is_wanted
        });
        let forgotten = self.kept.entries(|key, kept| wanted(key, Some(kept)));
        for (key, kept) in &forgotten {
            self.kept.remove(key);
            if let (Some(on_change), Some(old)) = (&self.hooks.on_change, &kept.good) {
                on_change(key, Some(&old.value), None);
            }
        }
        forgotten
    }

    /// As in [`Store::new`].
    pub fn limit(&self, max_bytes: u64) {
        self.kept.limit(max_bytes);
    }

    pub fn max_bytes(&self) -> u64 {
        self.kept.most()
    }

    /// Forgets everything and wipes it.
    pub fn clear(&self) {
        self.kept.clear();
    }

    /// Every key with what is remembered under it.
    pub fn entries(&self) -> Vec<(K, Arc<Kept<V>>)> {
        self.kept.entries(|_, _| true)
    }

    /// Every key that something is remembered under or on its way to.
    pub fn keys(&self) -> HashSet<K> {
        // In this order: what lands meanwhile is among the second.
        let mut keys: HashSet<K> = self.flights().keys().cloned().collect();
        keys.extend(self.entries().into_iter().map(|(key, _)| key));
        keys
    }

    fn stale(&self, good: Good<V>) -> Held<V> {
        self.counters.stale.fetch_add(1, Ordering::Relaxed);
        Held { good, stale: true }
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<K, Flight<V>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What memory says, with the fetch started that it asks for.
    fn ask<F>(self: &Arc<Self>, key: &K, policy: &Policy, fetch: &impl Fn() -> F) -> Known<V>
    where
        F: Future<Output = Result<V, Error>> + Send + 'static,
    {
        loop {
            match self.judge(key, policy) {
                Verdict::Fresh { good, refresh } => {
                    if refresh {
                        self.join_or_start(key, policy, fetch);
                    }
                    self.counters.hits.fetch_add(1, Ordering::Relaxed);
                    return Known::Answer(Ok(Held { good, stale: false }));
                }
                Verdict::Stale { good, retry } => {
                    if retry {
                        self.join_or_start(key, policy, fetch);
                    }
                    return Known::Answer(Ok(self.stale(good)));
                }
                Verdict::Refuse(failure) => return Known::Answer(Err(failure)),
                Verdict::Fetch { fallback } => {
                    if let Some(flight) = self.join_or_start(key, policy, fetch) {
                        self.counters.misses.fetch_add(1, Ordering::Relaxed);
                        return Known::Flying { flight, fallback };
                    }
                }
            }
        }
    }

    /// What memory would say, without asking anyone.
    pub fn verdict(&self, key: &K, policy: &Policy) -> Verdict<V> {
        self.judge(key, policy)
    }

    fn judge(&self, key: &K, policy: &Policy) -> Verdict<V> {
        let kept = self.kept.get(key);
        kept.map_or(Verdict::Fetch { fallback: None }, |kept| kept.judge(policy, self.clock.now()))
    }

    /// The fetch in flight, or a new one. None where one has landed since memory was asked, and memory
    /// now has the answer.
    fn join_or_start<F>(self: &Arc<Self>, key: &K, policy: &Policy, fetch: &impl Fn() -> F) -> Option<Flight<V>>
    where
        F: Future<Output = Result<V, Error>> + Send + 'static,
    {
        let flights = self.flights();
        if let Some(flight) = flights.get(key) {
            return Some(flight.clone());
        }
        // A flight is taken off the list only after its answer is in memory, so this sees it.
        if !self.judge(key, policy).wants_a_call() {
            return None;
        }
        Some(self.start(flights, key, policy, fetch))
    }

    /// A new fetch, where none is in flight.
    fn start<F>(
        self: &Arc<Self>,
        mut flights: MutexGuard<'_, HashMap<K, Flight<V>>>,
        key: &K,
        policy: &Policy,
        fetch: &impl Fn() -> F,
    ) -> Flight<V>
    where
        F: Future<Output = Result<V, Error>> + Send + 'static,
    {
        let (landing, landed) = watch::channel(None);
        let flight = Flight { landed, started: Instant::now(), outdated: Arc::default(), is_void: Arc::default() };
        flights.insert(key.clone(), flight.clone());
        drop(flights);
        let listed = Listed {
            store: Arc::clone(self),
            key: key.clone(),
            outdated: Arc::clone(&flight.outdated),
            is_void: Arc::clone(&flight.is_void),
        };
        let (policy, fetch) = (*policy, fetch());
        self.runtime.spawn(async move {
            let answer = fetch.await;
            let outcome = listed.land(answer, &policy);
            // Off the list before it lands, so that whoever comes next sees the memory and not this flight.
            drop(listed);
            landing.send_replace(Some(outcome));
        });
        flight
    }

    fn keep(&self, key: K, kept: Kept<V>) {
        let value = kept.good.as_ref().map_or(0, |good| good.value.weight());
        self.kept.insert(key, kept, (value + OVERHEAD) as u64);
    }

    fn record(&self, key: &K, answer: Result<V, Error>, policy: &Policy) -> Outcome<V> {
        let now = self.clock.now();
        let previous = self.kept.get(key);
        let (kept, outcome) = match answer {
            Ok(value) => {
                let ends = value.valid_for().map(|valid| now.saturating_add(valid));
                let kept =
                    Kept::after_success(Arc::new(value), ends, policy, now, self.clock.wall(), self.clock.chance());
                let outcome = kept.good.clone().ok_or(Failure::Deadline);
                (kept, outcome)
            }
            Err(error) => {
                let kept = Kept::after_failure(previous.as_deref(), error.clone(), policy, now);
                let failure = if error.kind.is_outage() { kept.outage(error) } else { Failure::Provider(error) };
                (kept, Err(failure))
            }
        };
        let old = previous.as_ref().and_then(|kept| kept.good.as_ref()).map(|good| Arc::clone(&good.value));
        let new = kept.good.clone();
        self.keep(key.clone(), kept);
        if let (Some(keep_as), Some(old), Some(new)) = (self.hooks.keep_as, &old, &new)
            && let Some(key) = keep_as(key, old, &new.value)
        {
            // It was good until this moment, and the answer just given proves that we may still have it.
            let ends = previous.as_ref().and_then(|kept| kept.good.as_ref()).and_then(|good| good.ends);
            let good = Good { value: Arc::clone(old), ends, ..*new };
            self.keep(key, Kept { good: Some(good), bad: None, expired: None });
        }
        // Only a refusal takes a good answer away: what else it covers must be asked for again.
        if let (Some(falls_with), Some(_), None) = (self.hooks.falls_with, &old, &new) {
            for (other, _) in self.kept.entries(|other, _| falls_with(key, other)) {
                self.kept.remove(&other);
            }
        }
        if let Some(on_change) = &self.hooks.on_change
            && (old.is_some() || new.is_some())
        {
            on_change(key, old.as_ref(), new.as_ref().map(|new| &new.value));
        }
        outcome
    }
}

/// Takes a fetch off the list of flights when it ends, also by a panic.
struct Listed<K: Hash + Eq, V> {
    store: Arc<Store<K, V>>,
    key: K,
    outdated: Arc<AtomicBool>,
    is_void: Arc<AtomicBool>,
}

impl<K, V> Listed<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Remembered + Send + Sync + 'static,
{
    /// Remembers the answer, unless its key has been forgotten.
    fn land(&self, answer: Result<V, Error>, policy: &Policy) -> Outcome<V> {
        // Held meanwhile, as by whoever forgets and by whoever tells of a change: one of the two sees the other.
        let _flights = self.store.flights();
        if !self.is_void.load(Ordering::Relaxed) {
            let outcome = self.store.record(&self.key, answer, policy);
            if self.outdated.load(Ordering::Acquire) {
                self.store.outdate_kept(&self.key);
            }
            return outcome;
        }
        let (now, wall) = (self.store.clock.now(), self.store.clock.wall());
        let value = answer.map_err(Failure::Provider)?;
        let ends = value.valid_for().map(|valid| now.saturating_add(valid));
        let kept = Kept::after_success(Arc::new(value), ends, policy, now, wall, 0.0);
        kept.good.ok_or(Failure::Deadline)
    }
}

impl<K: Hash + Eq, V> Drop for Listed<K, V> {
    fn drop(&mut self) {
        let mut flights = self.store.flights.lock().unwrap_or_else(PoisonError::into_inner);
        // Where it is void, another may be under its key.
        if flights.get(&self.key).is_some_and(|flight| Arc::ptr_eq(&flight.is_void, &self.is_void)) {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod interleaving_tests;
#[cfg(test)]
mod tests;
