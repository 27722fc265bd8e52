//! The token in use, and when another is needed.
//!
//! There is one login at a time, and whoever needs a token meanwhile waits for that one, also for its failure.
//! It goes on when they leave: a wrapped secret id can be unwrapped only once.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;
use vaultrs::api::token::requests::RevokeTokenSelfRequest;

use super::auth::Lease;
use super::secret_id::Unwrapped;
use super::transport::{Repeat, Transport};
use super::{Shared, error, keeper};
use crate::provider::rest::{self, Plan, Reply, Stamp};
use crate::provider::{Error, ErrorKind};
use crate::secret::Secret;

/// Empty until the first call.
#[derive(Default)]
pub(super) struct Sessions {
    current: Mutex<Option<Arc<Session>>>,
    login: tokio::sync::Mutex<Logins>,
    /// Logins that have ended, well or not.
    ended: AtomicU64,
}

#[derive(Default)]
struct Logins {
    unwrapped: Option<Unwrapped>,
    /// The last login, if it failed: its number among those that have ended, and why.
    failed: Option<(u64, Error)>,
}

/// A token and the connections that it is used on.
pub(super) struct Session {
    pub(super) token: Secret,
    pub(super) transport: Transport,
    /// Did we log in for it? Then it is ours to revoke.
    pub(super) is_ours: bool,
    life: Mutex<Life>,
    /// The file that it was read from.
    file: Option<(PathBuf, Option<Stamp>)>,
    keeper: OnceLock<AbortHandle>,
}

#[derive(Clone, Copy, Default)]
struct Life {
    /// When it ends; None: never, or nobody knows.
    end: Option<Instant>,
    /// Can it be made longer no more?
    is_last: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.abort();
        }
    }
}

impl Session {
    pub(super) fn is_over(&self) -> bool {
        self.end().is_some_and(|end| end <= Instant::now())
    }

    /// When the token ends unless it is renewed, as far as anybody knows.
    pub(super) fn end(&self) -> Option<Instant> {
        lock(&self.life).end
    }

    /// When it ends for good; None while it can still be renewed.
    pub(super) fn last_end(&self) -> Option<Instant> {
        let life = *lock(&self.life);
        life.end.filter(|_| life.is_last)
    }

    /// `first`: what was granted at first. The server gives less when there is no more to give.
    pub(super) fn lives(&self, lease: Lease, first: Lease) {
        *lock(&self.life) = Life { end: end(lease), is_last: !lease.renewable || lease.seconds < first.seconds };
    }

    /// Is it still what its file says?
    async fn is_current(&self) -> bool {
        match &self.file {
            None => true,
            // A file that has gone takes nothing away from the token.
            Some((path, stamp)) => rest::stamp(path).await.is_none_or(|now| Some(now) == *stamp),
        }
    }

    /// A refusal is of the token itself, not of what was asked for with it.
    ///
    /// Everybody may ask for the mounts that they may see; only with a token that is none is that refused.
    pub(super) async fn is_refused(&self) -> Result<bool, Error> {
        let call = "look at whether the token is valid";
        let request = VisibleMounts {};
        let reply = self.transport.ask(call, Some(&self.token), request).await?;
        match reply.status {
            401 | 403 => Ok(true),
            429 | 472 | 473 | 500..=599 => Err(error::from_reply(call, &reply)),
            _ => Ok(false),
        }
    }
}

/// What `sys/internal/ui/mounts` lists.
#[derive(rustify_derive::Endpoint)]
#[endpoint(path = "sys/internal/ui/mounts")]
struct VisibleMounts {}

/// Asks with the token in use. A reply that is no success is an error; where the token was refused, another
/// one is tried, once.
pub(super) async fn ask<E: rustify::Endpoint>(
    shared: &Arc<Shared>,
    call: &str,
    endpoint: impl Fn() -> E,
) -> Result<Reply, Error> {
    match attempt(shared, call, endpoint).await? {
        reply if reply.is_success() => Ok(reply),
        reply => Err(error::from_reply(call, &reply)),
    }
}

/// As [`ask`], but that a reply of any status other than a refusal is an answer.
pub(super) async fn attempt<E: rustify::Endpoint>(
    shared: &Arc<Shared>,
    call: &str,
    endpoint: impl Fn() -> E,
) -> Result<Reply, Error> {
    attempt_with(shared, call, Repeat::IfStale, endpoint).await.map(|(_, reply)| reply)
}

/// As [`attempt`], for what has an effect although it is a read; and with whose token it was asked.
pub(super) async fn attempt_once<E: rustify::Endpoint>(
    shared: &Arc<Shared>,
    call: &str,
    endpoint: impl Fn() -> E,
) -> Result<(Arc<Session>, Reply), Error> {
    attempt_with(shared, call, Repeat::Never, endpoint).await
}

async fn attempt_with<E: rustify::Endpoint>(
    shared: &Arc<Shared>,
    call: &str,
    repeat: Repeat,
    endpoint: impl Fn() -> E,
) -> Result<(Arc<Session>, Reply), Error> {
    let session = get(shared).await?;
    let reply = session.transport.ask_as(call, repeat, Some(&session.token), endpoint()).await?;
    if !matches!(reply.status, 401 | 403) {
        return Ok((session, reply));
    }
    if !session.is_refused().await? {
        return Err(error::from_reply(call, &reply));
    }
    shared.sessions.give_up(&session);
    let another = get(shared).await?;
    let rejected = |why: &str| {
        let text = format!("{call}: Vault refuses our token as invalid or expired, {why}");
        Err(Error::new(ErrorKind::CredentialsRejected, text))
    };
    if another.token.expose() == session.token.expose() {
        return rejected("and there is no other; put a new one where this one came from");
    }
    let reply = another.transport.ask_as(call, repeat, Some(&another.token), endpoint()).await?;
    if matches!(reply.status, 401 | 403) {
        if another.is_refused().await? {
            return rejected("also after a new login");
        }
        return Err(error::from_reply(call, &reply));
    }
    Ok((another, reply))
}

/// Has the server forget the token, and take back what was lent to it.
pub(super) async fn revoke(session: &Session) -> Result<(), Error> {
    let call = "revocation of our token";
    let reply = session.transport.ask(call, Some(&session.token), RevokeTokenSelfRequest {}).await?;
    // One that is refused has ended already.
    if reply.is_success() || (matches!(reply.status, 401 | 403) && session.is_refused().await?) {
        return Ok(());
    }
    Err(error::from_reply(call, &reply))
}

/// The session in use; a new one if there is none, if it is over, or if its file has changed.
pub(super) async fn get(shared: &Arc<Shared>) -> Result<Arc<Session>, Error> {
    let sessions = &shared.sessions;
    if let Some(session) = sessions.usable().await {
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
        Err(_) => Err(Error::new(ErrorKind::Unreachable, "logging in was broken off")),
    }
}

async fn log_in(shared: &Arc<Shared>, ended_before: u64) -> Result<Arc<Session>, Error> {
    let sessions = &shared.sessions;
    let mut logins = sessions.login.lock().await;
    if let Some(session) = sessions.usable().await {
        return Ok(session);
    }
    // A login that was under way when we came counts for us too.
    if let Some((number, error)) = &logins.failed
        && *number > ended_before
    {
        return Err(error.clone());
    }
    let made = open(shared, &mut logins.unwrapped).await;
    let number = sessions.ended.fetch_add(1, Ordering::SeqCst) + 1;
    match made {
        Ok((session, lease)) => {
            logins.failed = None;
            let session = Arc::new(session);
            let keeper = tokio::spawn(keeper::keep(Arc::downgrade(&session), lease));
            let _ = session.keeper.set(keeper.abort_handle());
            *lock(&sessions.current) = Some(Arc::clone(&session));
            Ok(session)
        }
        Err(error) => {
            logins.failed = Some((number, error.clone()));
            Err(error)
        }
    }
}

/// A new session with what the files hold now.
async fn open(shared: &Shared, unwrapped: &mut Option<Unwrapped>) -> Result<(Session, Option<Lease>), Error> {
    let settings = &shared.settings;
    let plan = Plan {
        proxied: true,
        encrypted: settings.address.starts_with("https://"),
        ca_file: settings.ca_file.clone(),
        identity: shared.login.tls_identity().await?,
        deadline: shared.deadline,
        // Room for one value, each byte escaped as `\u00XX` at worst, and for the listing of a large folder.
        limit: shared.max_secret_bytes.saturating_mul(6).saturating_add(8 << 20),
    };
    let connections = Arc::clone(&shared.connections);
    let client = match tokio::task::spawn_blocking(move || plan.build(&connections)).await {
        Ok(client) => client?,
        Err(_) => return Err(Error::new(ErrorKind::Malformed, "setting up TLS was broken off")),
    };
    let transport = Transport { client, address: settings.address.clone(), namespace: settings.namespace.clone() };
    let granted = shared.login.log_in(&transport, unwrapped, shared.deadline).await?;
    let session = Session {
        token: granted.token,
        transport,
        is_ours: granted.lease.is_some(),
        life: Mutex::new(Life::default()),
        file: granted.file,
        keeper: OnceLock::new(),
    };
    if let Some(lease) = granted.lease {
        session.lives(lease, lease);
    }
    Ok((session, granted.lease))
}

impl Sessions {
    async fn usable(&self) -> Option<Arc<Session>> {
        let session = lock(&self.current).clone().filter(|session| !session.is_over())?;
        session.is_current().await.then_some(session)
    }

    /// The session in use; the next call begins another.
    pub(super) fn take(&self) -> Option<Arc<Session>> {
        lock(&self.current).take()
    }

    pub(super) fn give_up(&self, session: &Arc<Session>) {
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

/// When a lease that starts now ends; None: not in any time that matters.
fn end(lease: Lease) -> Option<Instant> {
    (lease.seconds > 0).then(|| Instant::now().checked_add(Duration::from_secs(lease.seconds))).flatten()
}
