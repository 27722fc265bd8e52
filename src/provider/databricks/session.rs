//! The token in use: when it is renewed, and when another is needed.
//!
//! There is one login at a time, and whoever needs a token meanwhile waits for that one, also for its failure.
//! It goes on when they leave.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};
use serde::Deserialize;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::auth::{self, Credential};
use super::{Shared, error};
use crate::provider::rest::{Client, Plan, Reply, Stamp, are_what_they_were, as_word, clean, object};
use crate::provider::{Error, ErrorKind};
use crate::secret::Secret;

/// A token is replaced when so much of its life is left, and at the latest this long before its end.
const LEFT_AT_RENEWAL: f64 = 0.25;
const RENEWED_BEFORE: Duration = Duration::from_secs(300);

/// Room for the listing of a whole workspace.
const LARGEST_LISTING: u64 = 8 << 20;

/// Empty until the first call.
#[derive(Default)]
pub(super) struct Sessions {
    current: Mutex<Option<Arc<Session>>>,
    login: tokio::sync::Mutex<Failed>,
    /// Logins that have ended, well or not.
    ended: AtomicU64,
}

/// The last login, if it failed: its number among those that have ended, and why.
type Failed = Option<(u64, Error)>;

/// A token and the connections that it is used on.
struct Session {
    host: String,
    token: Secret,
    client: Arc<Client>,
    /// None: nobody knows when it ends.
    life: Option<Life>,
    /// Where it came from.
    files: Vec<(PathBuf, Stamp)>,
}

struct Life {
    /// From then on another is wanted.
    due: Instant,
    /// From then on this one is of no use.
    end: Instant,
}

impl Session {
    fn is_fresh(&self) -> bool {
        self.life.as_ref().is_none_or(|life| Instant::now() < life.due)
    }

    fn is_over(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.end <= Instant::now())
    }

    async fn get(&self, call: &str, path: &str, query: &[(&str, &str)]) -> Result<Reply, Error> {
        let mut request = Request::new(Method::GET, url(&self.host, path, query)?);
        request.headers_mut().insert(AUTHORIZATION, sensitive("Bearer ", self.token.expose())?);
        let mut reply = self.client.ask(call, request).await?;
        if !reply.is_success() {
            reply.conceal(self.token.expose());
        }
        Ok(reply)
    }
}

/// Asks with the token in use; a reply of any status but a refused token is an answer. Where the token was refused,
/// another is tried, once.
pub(super) async fn get(shared: &Arc<Shared>, call: &str, path: &str, query: &[(&str, &str)]) -> Result<Reply, Error> {
    let session = usable(shared).await?;
    let reply = session.get(call, path, query).await?;
    let Some(refusal) = refusal(call, &reply) else { return Ok(reply) };
    shared.sessions.give_up(&session);
    let another = usable(shared).await?;
    if another.token.expose() == session.token.expose() {
        return Err(refusal);
    }
    let reply = another.get(call, path, query).await?;
    match self::refusal(call, &reply) {
        None => Ok(reply),
        Some(refusal) => {
            shared.sessions.give_up(&another);
            Err(refusal)
        }
    }
}

/// Where the workspace is that secrets come from.
pub(super) async fn host(shared: &Arc<Shared>) -> Result<String, Error> {
    Ok(usable(shared).await?.host.clone())
}

/// Is it the token that was refused, and not what was asked for with it?
fn refusal(call: &str, reply: &Reply) -> Option<Error> {
    if reply.is_success() {
        return None;
    }
    Some(error::from_reply(call, reply)).filter(|error| error.kind == ErrorKind::CredentialsRejected)
}

fn url(host: &str, path: &str, query: &[(&str, &str)]) -> Result<Url, Error> {
    let mut url = Url::parse(&format!("{host}{path}"))
        .map_err(|_| Error::new(ErrorKind::Malformed, format!("`{}` is no URL", clean(host))))?;
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

/// A header that no log shows.
fn sensitive(scheme: &str, rest: &[u8]) -> Result<HeaderValue, Error> {
    let text = Zeroizing::new([scheme.as_bytes(), rest].concat());
    let mut value = HeaderValue::from_bytes(&text).map_err(|_| {
        Error::new(ErrorKind::CredentialsRejected, "the credential has characters that no HTTP header can hold")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The session in use; a new one if there is none, if it is due, or if its files have changed.
async fn usable(shared: &Arc<Shared>) -> Result<Arc<Session>, Error> {
    let sessions = &shared.sessions;
    if let Some(session) = sessions.fresh().await {
        return Ok(session);
    }
    let ended_before = sessions.ended.load(Ordering::SeqCst);
    let task = {
        let shared = Arc::clone(shared);
        async move { log_in(&shared, ended_before).await }
    };
    match tokio::spawn(task).await {
        Ok(session) => session,
        // A panic in a parser, or the runtime is shutting down.
        Err(_) => Err(Error::new(ErrorKind::Unreachable, "logging in at Databricks was broken off")),
    }
}

async fn log_in(shared: &Shared, ended_before: u64) -> Result<Arc<Session>, Error> {
    let sessions = &shared.sessions;
    let mut failed = sessions.login.lock().await;
    if let Some(session) = sessions.fresh().await {
        return Ok(session);
    }
    // A login that was under way when we came counts for us too.
    if let Some((number, error)) = &*failed
        && *number > ended_before
    {
        return sessions.while_it_lasts(error.clone());
    }
    let made = open(shared).await;
    let number = sessions.ended.fetch_add(1, Ordering::SeqCst) + 1;
    match made {
        Ok(session) => {
            *failed = None;
            let session = Arc::new(session);
            *lock(&sessions.current) = Some(Arc::clone(&session));
            Ok(session)
        }
        Err(error) => {
            *failed = Some((number, error.clone()));
            sessions.while_it_lasts(error)
        }
    }
}

impl Sessions {
    async fn fresh(&self) -> Option<Arc<Session>> {
        let session = lock(&self.current).clone().filter(|session| session.is_fresh())?;
        are_what_they_were(&session.files).await.then_some(session)
    }

    /// The old token does while there is no way to get another.
    fn while_it_lasts(&self, error: Error) -> Result<Arc<Session>, Error> {
        let old = lock(&self.current).clone();
        old.filter(|session| error.kind.is_outage() && !session.is_over()).ok_or(error)
    }

    fn give_up(&self, session: &Arc<Session>) {
        let mut current = lock(&self.current);
        if current.as_ref().is_some_and(|it| Arc::ptr_eq(it, session)) {
            *current = None;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one assignment: a panic leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A new session with what the files and the environment hold now.
async fn open(shared: &Shared) -> Result<Session, Error> {
    let settings = &shared.settings;
    let entry = auth::find(&settings.auth, settings.host.as_deref()).await?;
    let plan = Plan {
        encrypted: entry.host.starts_with("https://"),
        proxied: true,
        ca_file: settings.ca_file.clone(),
        identity: None,
        deadline: shared.deadline,
        // One value, in base64.
        limit: shared.max_secret_bytes.saturating_mul(2).max(LARGEST_LISTING),
    };
    let connections = Arc::clone(&shared.connections);
    let client = match tokio::task::spawn_blocking(move || plan.build(&connections)).await {
        Ok(client) => Arc::new(client?),
        Err(_) => return Err(Error::new(ErrorKind::Malformed, "setting up TLS was broken off")),
    };
    let (token, life) = match entry.credential {
        Credential::Token(token) => (token, None),
        Credential::Client { id, secret } => exchange(&client, &entry.host, &id, &secret).await?,
    };
    Ok(Session { host: entry.host, token, client, life, files: entry.files })
}

/// A service principal's secret for a token.
async fn exchange(client: &Client, host: &str, id: &str, secret: &Secret) -> Result<(Secret, Option<Life>), Error> {
    #[derive(Deserialize)]
    struct Granted<'a> {
        #[serde(borrow)]
        access_token: std::borrow::Cow<'a, str>,
        expires_in: Option<u64>,
    }
    let call = "login (oidc/v1/token)";
    let asked = Instant::now();
    let mut request = Request::new(Method::POST, url(host, "/oidc/v1/token", &[])?);
    let pair = Zeroizing::new([id.as_bytes(), b":", secret.expose()].concat());
    let pair = Zeroizing::new(STANDARD.encode(&*pair));
    request.headers_mut().insert(AUTHORIZATION, sensitive("Basic ", pair.as_bytes())?);
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    *request.body_mut() = Some("grant_type=client_credentials&scope=all-apis".into());
    let mut reply = client.ask(call, request).await?;
    if !reply.is_success() {
        reply.conceal(secret.expose());
        reply.conceal(pair.as_bytes());
        return Err(no_token(call, id, &reply));
    }
    let granted: Granted<'_> = object(&reply.body).ok_or_else(|| error::not_understood(call))?;
    let token = as_word(granted.access_token.as_bytes()).ok_or_else(|| error::not_understood(call))?;
    Ok((Secret::copy_from(token)?, granted.expires_in.and_then(|seconds| life(asked, Duration::from_secs(seconds)))))
}

/// None where it ends in no time that matters.
fn life(from: Instant, length: Duration) -> Option<Life> {
    let early = length.mul_f64(LEFT_AT_RENEWAL).min(RENEWED_BEFORE);
    Some(Life { due: from.checked_add(length - early)?, end: from.checked_add(length)? })
}

/// OAuth has errors of its own form.
fn no_token(call: &str, id: &str, reply: &Reply) -> Error {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
        #[serde(default)]
        error_description: String,
    }
    let mut told = error::from_reply(call, reply);
    if matches!(reply.status, 400 | 401 | 403)
        && let Some(Refusal { error, error_description }) = object(&reply.body)
    {
        told.kind = ErrorKind::CredentialsRejected;
        told.detail = format!(
            "{call}: Databricks refuses the OAuth secret of {}: {}: {}",
            clean(id),
            clean(&error),
            clean(&error_description)
        );
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_due_before_it_ends_however_short_it_lives() {
        let now = Instant::now();
        for (seconds, due) in [(3600, 3300), (100, 75), (0, 0)] {
            let life = life(now, Duration::from_secs(seconds)).unwrap();
            assert_eq!(life.due - now, Duration::from_secs(due));
            assert_eq!(life.end - now, Duration::from_secs(seconds));
        }
        assert!(life(now, Duration::from_secs(u64::MAX)).is_none());
    }
}
