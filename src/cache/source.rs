//! One scope at run time, as one identity sees it: its provider, with limits and counts around it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;

use super::freshness::Policy;
use crate::config::{ActsAs, Format, Scope};
use crate::provider::{
    Answer, Change, Error, ErrorKind, Identity, Known, Permission, Presence, Provider, SecretName, VersionSelector,
};
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
    pub calls: Arc<Calls>,
    last_error: Arc<Mutex<Option<LastError>>>,
    /// When the provider last answered, also with a refusal.
    last_answer: Arc<Mutex<Option<SystemTime>>>,
}

impl Source {
    /// Of a generation of its own.
    pub fn new(scope: Scope, identity: Identity, provider: Arc<dyn Provider>) -> Self {
        Self {
            scope,
            identity,
            generation: Generation::next(),
            provider,
            permits: Arc::new(Semaphore::new(CALLS_AT_A_TIME)),
            calls: Arc::default(),
            last_error: Arc::default(),
            last_answer: Arc::default(),
        }
    }

    /// The same scope as another identity sees it.
    pub fn seen_by(&self, identity: Identity, provider: Arc<dyn Provider>) -> Self {
        Self { generation: self.generation, ..Self::new(self.scope.clone(), identity, provider) }
    }

    /// The same provider, asked and counted as before, under other rules of freshness.
    pub fn under(&self, scope: Scope) -> Self {
        Self { scope, ..self.clone() }
    }

    /// Is it the same provider, and not only one that is like it?
    pub fn shares_provider_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.provider, &other.provider)
    }

    pub fn values(&self) -> Policy {
        Policy::of_values(&self.scope.cache)
    }

    pub fn names(&self) -> Policy {
        Policy::of_names(&self.scope.cache)
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
        self.calls.list.fetch_add(1, Ordering::Relaxed);
        // A listing may take many pages, so it may take longer than a reader waits: readers that come
        // after it find it in memory.
        let patience = self.scope.cache.timeout.saturating_mul(12);
        self.call(patience, self.provider.list()).await.map(Index::of)
    }

    pub async fn look(self: Arc<Self>, name: SecretName) -> Result<Presence, Error> {
        self.calls.look.fetch_add(1, Ordering::Relaxed);
        match self.call(self.patience(), self.provider.look(&name)).await {
            // As an error, so that it is remembered for `negative_ttl` and no longer.
            Ok(presence) if presence.is_nothing() => {
                Err(Error::new(ErrorKind::NotFound, format!("there is no `{name}`")))
            }
            Err(error) if error.kind == ErrorKind::Denied => {
                Ok(Presence { secret: Known::Unknown, children: Known::Unknown, changed: None })
            }
            other => other,
        }
    }

    pub async fn fetch(self: Arc<Self>, name: SecretName, version: VersionSelector) -> Result<Document, Error> {
        self.calls.fetch.fetch_add(1, Ordering::Relaxed);
        let fetched = self.call(self.patience(), self.provider.fetch(&name, &version)).await?;
        let (length, most) = (fetched.payload.raw.len() as u64, self.scope.cache.max_secret_bytes);
        let split = if length > most {
            let detail = format!("`{name}` is {length} bytes, more than max_secret_bytes = {most}");
            Err(Error::new(ErrorKind::TooLarge, detail))
        } else {
            Document::split(fetched, self.scope.format)
        };
        if let Err(error) = &split {
            self.note(error);
        }
        split
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
        self.calls.look.fetch_add(1, Ordering::Relaxed);
        let permitted = async {
            let _permit = self.permits.acquire().await;
            answer.await
        };
        let patience = self.patience();
        let answer = tokio::time::timeout(patience, permitted).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::TimedOut, format!("no answer from {} within {patience:?}", self.kind())))
        })?;
        self.heard();
        Ok(KeyNames::of(&answer))
    }

    /// What the provider's IAM is expected to say to an identity, one answer for each name.
    pub async fn permissions(
        self: Arc<Self>,
        identity: Option<ActsAs>,
        names: Vec<SecretName>,
    ) -> Result<Vec<Permission>, Error> {
        self.calls.iam.fetch_add(1, Ordering::Relaxed);
        // Nobody waits for it but people.
        let patience = self.scope.cache.timeout.saturating_mul(12);
        let asked = tokio::time::timeout(patience, self.provider.permissions(identity.as_ref(), &names)).await;
        match asked {
            Ok(Ok(answers)) if answers.len() == names.len() => Ok(answers),
            Ok(Ok(_)) => Err(Error::new(ErrorKind::Malformed, "not one answer for each secret")),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::new(ErrorKind::TimedOut, format!("no answer about permissions within {patience:?}"))),
        }
    }

    /// As [`Provider::watch`].
    pub fn watch<'a>(&'a self, heard: &'a (dyn Fn(Change) + Send + Sync)) -> Option<Answer<'a, Infallible>> {
        self.provider.watch(heard)
    }

    /// Who the provider takes us for.
    pub async fn whoami(&self) -> Result<String, Error> {
        self.call(self.patience(), self.provider.whoami()).await
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

    async fn call<T>(&self, patience: Duration, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let permitted = async {
            let _permit = self.permits.acquire().await;
            answer.await
        };
        let result = tokio::time::timeout(patience, permitted).await.unwrap_or_else(|_| {
            let detail = format!("no answer from {} within {patience:?}", self.kind());
            Err(Error::new(ErrorKind::TimedOut, detail))
        });
        match &result {
            Ok(_) => self.heard(),
            Err(error) => self.note(error),
        }
        result
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
