//! Everything that an engine has lent us and not taken back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::super::Shared;
use super::super::session::{self, Session};
use super::lease::Lease;
use crate::provider::Error;

/// Revocations that are under way at the same time.
const AT_ONCE: usize = 16;

/// Names that are remembered before those are looked for that brought nothing: anybody may ask for any name.
const ENOUGH: usize = 1024;

/// What is lent, by role.
#[derive(Default)]
pub(in super::super) struct Leases(Mutex<HashMap<String, Arc<Slot>>>);

/// One role's; locked while the server is asked for it, so that there is one question at a time.
pub(super) type Slot = tokio::sync::Mutex<Role>;

#[derive(Default)]
pub(super) struct Role {
    pub(super) current: Option<Lease>,
    /// Replaced, and perhaps still used by who has read them.
    pub(super) earlier: Vec<Lease>,
    /// Was it a static role when it was last asked for?
    pub(super) is_fixed: bool,
}

impl Role {
    /// Puts other credentials in the place of the current ones.
    pub(super) fn replace(&mut self, lease: Lease) {
        self.retire();
        self.current = Some(lease);
    }

    pub(super) fn retire(&mut self) {
        self.earlier.extend(self.current.take());
        self.earlier.retain(|lease| !lease.left().is_zero());
    }

    fn is_of_use(&mut self) -> bool {
        self.earlier.retain(|lease| !lease.left().is_zero());
        self.is_fixed || !self.earlier.is_empty() || self.current.as_ref().is_some_and(|lease| !lease.left().is_zero())
    }

    pub(super) fn find(&mut self, version: &str) -> Option<&mut Lease> {
        self.current.iter_mut().chain(&mut self.earlier).find(|lease| lease.version == version)
    }
}

impl Leases {
    pub(super) fn slot(&self, role: &str) -> Arc<Slot> {
        let mut roles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if roles.len() >= ENOUGH && !roles.contains_key(role) {
            roles.retain(|_, slot| slot.try_lock().map_or(true, |mut role| role.is_of_use()));
        }
        Arc::clone(roles.entry(role.to_owned()).or_default())
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_values().collect()
    }
}

/// Gives back all that was lent, and the tokens that we have logged in for.
pub(in super::super) async fn close(shared: &Arc<Shared>) -> Result<(), Error> {
    let mut leases = Vec::new();
    for slot in shared.leases.slots() {
        // Whoever is asking for credentials just now has them before we look.
        let mut role = slot.lock().await;
        role.retire();
        leases.append(&mut role.earlier);
    }
    let mut sessions: Vec<Arc<Session>> = Vec::new();
    for session in leases.iter().map(|lease| &lease.session).chain(&shared.sessions.take()) {
        if !sessions.iter().any(|known| Arc::ptr_eq(known, session)) {
            sessions.push(Arc::clone(session));
        }
    }
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut work = JoinSet::new();
    for session in sessions {
        let (mine, others) = leases.into_iter().partition(|lease| Arc::ptr_eq(&lease.session, &session));
        leases = others;
        work.spawn(give_back(session, mine, Arc::clone(&permits)));
    }
    let mut failed = None;
    while let Some(done) = work.join_next().await {
        if let Ok(Err(error)) = done {
            failed.get_or_insert(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// With a token go all its leases; one that is not ours to revoke loses them one by one.
async fn give_back(session: Arc<Session>, leases: Vec<Lease>, permits: Arc<Semaphore>) -> Result<(), Error> {
    let mut failed = None;
    if session.is_ours {
        match session::revoke(&session).await {
            Ok(()) => return Ok(()),
            Err(error) => failed = Some(error),
        }
    }
    let mut work = JoinSet::new();
    for lease in leases {
        let permits = Arc::clone(&permits);
        work.spawn(async move {
            let _permit = permits.acquire().await;
            lease.revoke().await
        });
    }
    while let Some(done) = work.join_next().await {
        if let Ok(Err(error)) = done {
            failed.get_or_insert(error);
        }
    }
    failed.map_or(Ok(()), Err)
}
