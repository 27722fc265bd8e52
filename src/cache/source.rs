//! One scope at run time, as one identity sees it: its provider, with limits and counts around it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Semaphore;

use super::budget::{About, Budget};
use super::clock::within;
use super::freshness::{Failure, Policy};
use super::traffic::{Call, Served, Traffic};
use crate::config::{ActsAs, Format, Scope};
use crate::provider::{
    Answer, Change, Closing, Error, ErrorKind, Identity, Permission, Presence, Provider, SecretName, VersionSelector,
};
use crate::secret::wipe_stack;
use crate::tree::{Document, Index, KeyNames};

/// Calls to one provider at a time. More wait in line, within their deadline: a provider that hangs can
/// then not collect connections and tasks without end.
const CALLS_AT_A_TIME: usize = 64;

/// Calls and errors since the start.
#[derive(Default)]
pub struct Calls {
    pub list: AtomicU64,
    pub look: AtomicU64,
    pub fetch: AtomicU64,
    /// Questions about permissions.
    pub iam: AtomicU64,
    pub errors: AtomicU64,
    whoami: AtomicU64,
}

impl Calls {
    fn made(&self, call: Call) -> &AtomicU64 {
        match call {
            Call::List => &self.list,
            Call::Look => &self.look,
            Call::Fetch => &self.fetch,
            Call::Permissions => &self.iam,
            Call::Whoami => &self.whoami,
        }
    }
}

/// The last thing that went wrong.
#[derive(Debug, Clone)]
pub struct LastError {
    pub error: Error,
    pub at: SystemTime,
}

/// A scope for as long as its provider would give the same. Everything that is remembered is remembered of one: when
/// a configuration makes something else of the scope, nothing of before can be taken for an answer of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A scope and its provider.
#[derive(Clone)]
pub struct Source {
    pub scope: Scope,
    /// As whom the provider is asked.
    pub identity: Identity,
    pub generation: Generation,
    provider: Arc<dyn Provider>,
    permits: Arc<Semaphore>,
    /// The scope's, shared by all its identities.
    pub budget: Arc<Budget>,
    pub calls: Arc<Calls>,
    pub traffic: Arc<Traffic>,
    /// That of all users together, where the provider is asked as one identity for each user.
    of_all_users: Option<Arc<Traffic>>,
    /// Questions about single names under way.
    looking: Arc<AtomicUsize>,
    last_error: Arc<Mutex<Option<LastError>>>,
    /// When the provider last answered, also with a refusal.
    last_answer: Arc<Mutex<Option<SystemTime>>>,
}

impl Source {
    /// Of a generation of its own.
    pub fn new(scope: Scope, identity: Identity, provider: Arc<dyn Provider>, budget: Arc<Budget>) -> Self {
        Self {
            scope,
            identity,
            generation: Generation::next(),
            provider,
            permits: Arc::new(Semaphore::new(CALLS_AT_A_TIME)),
            budget,
            calls: Arc::default(),
            traffic: Arc::default(),
            of_all_users: None,
            looking: Arc::default(),
            last_error: Arc::default(),
            last_answer: Arc::default(),
        }
    }

    /// The same scope as another identity sees it.
    pub fn seen_by(&self, identity: Identity, provider: Arc<dyn Provider>) -> Self {
        let budget = Arc::clone(&self.budget);
        Self { generation: self.generation, ..Self::new(self.scope.clone(), identity, provider, budget) }
    }

    /// The same provider, asked and counted as before, under other rules of freshness.
    pub fn under(&self, scope: Scope, budget: Arc<Budget>) -> Self {
        Self { scope, budget, ..self.clone() }
    }

    /// Is it the same provider, and not only one that is like it?
    pub fn shares_provider_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.provider, &other.provider)
    }

    /// Counts there too what is counted here: for what outlives this source.
    pub fn with_traffic_of_all_users(mut self, traffic: Arc<Traffic>) -> Self {
        self.of_all_users = Some(traffic);
        self
    }

    /// Notes that somebody has opened a file of this scope, and how long that took.
    pub fn read(&self, served: Served, took: Duration) {
        self.each_traffic(|traffic| traffic.read(served, took));
    }

    fn each_traffic(&self, note: impl Fn(&Traffic)) {
        note(&self.traffic);
        if let Some(traffic) = &self.of_all_users {
            note(traffic);
        }
    }

    pub fn values(&self) -> Policy {
        Policy { has_spare: self.budget.has_spare(About::Values), ..Policy::of_values(&self.scope.cache) }
    }

    pub fn names(&self) -> Policy {
        Policy { has_spare: self.budget.has_spare(About::Names), ..Policy::of_names(&self.scope.cache) }
    }

    pub fn kind(&self) -> &'static str {
        self.provider.kind()
    }

    pub fn last_error(&self) -> Option<LastError> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn last_answer(&self) -> Option<SystemTime> {
        *self.last_answer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub async fn list(self: Arc<Self>) -> Result<Index, Error> {
        // A listing may take many pages, so it may take longer than a reader waits: readers that come
        // after it find it in memory.
        let patience = self.scope.cache.timeout.saturating_mul(12);
        self.call(Call::List, patience, self.provider.list()).await.map(Index::of)
    }

    /// As [`Provider::lists_many_in_a_call`].
    pub fn lists_many_in_a_call(&self) -> bool {
        self.provider.lists_many_in_a_call()
    }

    pub fn looks_under_way(&self) -> usize {
        self.looking.load(Ordering::Relaxed)
    }

    /// Counted from now on, and not from when the task begins that asks.
    pub fn look(self: Arc<Self>, name: SecretName) -> impl Future<Output = Result<Presence, Error>> + Send + 'static {
        self.looking.fetch_add(1, Ordering::Relaxed);
        let looking = Looking(self);
        async move {
            let source = &looking.0;
            match source.call(Call::Look, source.patience(), source.provider.look(&name)).await {
                // As an error, so that it is remembered for `negative_ttl` and no longer.
                Ok(presence) if presence.is_nothing() => {
                    Err(Error::new(ErrorKind::NotFound, format!("there is no `{name}`")))
                }
                Err(error) if error.kind == ErrorKind::Denied => Ok(Presence::UNKNOWN),
                other => other,
            }
        }
    }

    pub async fn fetch(self: Arc<Self>, name: SecretName, version: VersionSelector) -> Result<Document, Error> {
        let fetched = async {
            let fetched = self.provider.fetch(&name, &version).await?;
            self.heard();
            let (length, most) = (fetched.payload.raw.len() as u64, self.scope.cache.max_secret_bytes);
            if length > most {
                let detail = format!("`{name}` is {length} bytes, more than max_secret_bytes = {most}");
                return Err(Error::new(ErrorKind::TooLarge, detail));
            }
            Document::split(fetched, self.scope.format)
        };
        self.call(Call::Fetch, self.patience(), fetched).await
    }

    /// Can the provider name a secret's keys without its value, and are those its files?
    pub fn names_keys(&self, name: &SecretName) -> bool {
        self.scope.format != Format::Raw && self.provider.keys(name).is_some()
    }

    /// The names of a secret's keys. Where there is no answer, a fetch has it: so that is noted nowhere.
    pub async fn keys(self: Arc<Self>, name: SecretName) -> Result<KeyNames, Error> {
        let Some(answer) = self.provider.keys(&name) else {
            return Err(Error::new(ErrorKind::Denied, format!("{} names no keys without their values", self.kind())));
        };
        let answer = self.in_turn(Call::Look, self.patience(), answer).await??;
        self.heard();
        Ok(KeyNames::of(&answer))
    }

    /// What the provider's IAM is expected to say to an identity, one answer for each name.
    pub async fn permissions(
        self: Arc<Self>,
        identity: Option<ActsAs>,
        names: Vec<SecretName>,
    ) -> Result<Vec<Permission>, Error> {
        if !self.provider.predicts() {
            // No call, and so none that has failed.
            return self.provider.permissions(identity.as_ref(), &names).await;
        }
        self.budget.spare()?;
        self.calls.iam.fetch_add(1, Ordering::Relaxed);
        // Nobody waits for it but people.
        let patience = self.scope.cache.timeout.saturating_mul(12);
        let (clock, began) = (self.budget.clock(), Instant::now());
        let asked = self.provider.permissions(identity.as_ref(), &names);
        let answers = match within(clock, patience, asked).await {
            Some(Ok(answers)) if answers.len() == names.len() => Ok(answers),
            Some(Ok(_)) => Err(Error::new(ErrorKind::Malformed, "not one answer for each secret")),
            Some(Err(error)) => Err(error),
            None => Err(Error::new(ErrorKind::TimedOut, format!("no answer about permissions within {patience:?}"))),
        };
        let outcome = answers.as_ref().map(|_| ());
        self.each_traffic(|traffic| traffic.called(Call::Permissions, outcome, began.elapsed()));
        answers
    }

    /// As [`Provider::watch`].
    pub fn watch<'a>(&'a self, heard: &'a (dyn Fn(Change) + Send + Sync)) -> Option<Answer<'a, Infallible>> {
        self.provider.watch(heard)
    }

    /// Has connections to the provider closed, as their buffers may hold values.
    pub fn close_connections(&self, which: Closing) {
        if !crate::secret::leaves_copies() {
            self.provider.close_connections(which);
        }
    }

    /// Who the provider takes us for.
    pub async fn whoami(&self) -> Result<String, Error> {
        let began = Instant::now();
        let answer = within(self.budget.clock(), self.patience(), self.provider.whoami()).await;
        let answer = answer.unwrap_or_else(|| Err(self.silence(self.patience())));
        let outcome = answer.as_ref().map(|_| ());
        self.each_traffic(|traffic| traffic.called(Call::Whoami, outcome, began.elapsed()));
        answer
    }

    /// As [`Provider::uses_up`].
    pub fn uses_up(&self) -> Option<String> {
        self.provider.uses_up()
    }

    /// Gives back what the service has lent. Fails in the log.
    pub async fn close(&self) {
        if let Err(error) = self.provider.close().await {
            let scope = &self.scope.name;
            tracing::warn!(%scope, "what was lent to us could not be given back, and ends by itself: {}", error.detail);
        }
    }

    /// A little less than a reader waits, so that the reader still gets a stale value where there is one.
    fn patience(&self) -> Duration {
        let timeout = self.scope.cache.timeout;
        timeout - (timeout / 10).min(Duration::from_millis(250))
    }

    /// How long a call may wait for its turn, so that it still has a quarter of the time for itself.
    fn patience_for_a_turn(&self) -> Duration {
        self.patience() / 4 * 3
    }

    /// Makes a call, and notes what comes of it.
    async fn call<T>(
        &self,
        call: Call,
        patience: Duration,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        // That there was no turn is no word of the provider's.
        let result = self.in_turn(call, patience, answer).await?;
        // Whatever came of it: what was not understood was parsed as well, and a listing may have values beside its names.
        wipe_stack();
        match &result {
            Ok(_) => self.heard(),
            Err(error) => self.note(error),
        }
        result
    }

    /// Makes a call when it is its turn, and counts it. The outer error: there is no turn in time.
    async fn in_turn<T>(
        &self,
        call: Call,
        patience: Duration,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, Error>, Error> {
        let clock = self.budget.clock();
        let (began, asked) = (clock.now(), Instant::now());
        let about = if call == Call::Fetch { About::Values } else { About::Names };
        let turn = self.budget.turn(about, self.patience_for_a_turn()).await?;
        self.calls.made(call).fetch_add(1, Ordering::Relaxed);
        let permitted = async {
            let _permit = self.permits.acquire().await;
            answer.await
        };
        let left = patience.saturating_sub(clock.now().saturating_sub(began));
        let result = within(clock, left, permitted).await.unwrap_or_else(|| Err(self.silence(patience)));
        turn.ended(&result);
        self.each_traffic(|traffic| traffic.called(call, result.as_ref().map(|_| ()), asked.elapsed()));
        Ok(result)
    }

    /// Whoever's time is up while the provider is asked with care has most likely waited for others, and not for the
    /// provider.
    pub fn unless_held_back<T>(&self, about: About, answer: Result<T, Failure>) -> Result<T, Failure> {
        match answer {
            Err(Failure::Deadline) if self.budget.is_careful(about) => {
                let text = "no answer in time: the provider has throttled this scope, and is asked with care";
                Err(Failure::Provider(Error::new(ErrorKind::Throttled, text)))
            }
            answer => answer,
        }
    }

    fn silence(&self, patience: Duration) -> Error {
        Error::new(ErrorKind::TimedOut, format!("no answer from {} within {patience:?}", self.kind()))
    }

    fn heard(&self) {
        *self.last_answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(SystemTime::now());
    }

    fn note(&self, error: &Error) {
        if error.kind == ErrorKind::NotFound {
            return self.heard();
        }
        self.calls.errors.fetch_add(1, Ordering::Relaxed);
        let scope = &self.scope.name;
        // Names are made of whatever a provider or a caller likes; a line of the log is one line.
        tracing::warn!(%scope, kind = error.kind.as_str(), "{}", error.detail.replace(char::is_control, " "));
        let last = LastError { error: error.clone(), at: SystemTime::now() };
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }
}

/// A question about a single name, until it is answered or given up.
struct Looking(Arc<Source>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.looking.fetch_sub(1, Ordering::Relaxed);
    }
}
