//! Changes that providers tell of: followed for as long as the mount lives.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};

use super::clock::{Clock, SystemClock};
use super::freshness::asked_pause;
use super::source::Source;
use super::sources::Sources;
use crate::config::ScopeName;
use crate::provider::{Change, ErrorKind};

/// The first wait before another attempt; it doubles with each that fails.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The wait where the provider does not let us: somebody may give us the right.
const REFUSED_WAIT: Duration = Duration::from_secs(300);
/// What went on for so long has not failed at once.
const GOOD: Duration = Duration::from_secs(60);

/// Told of what has changed in a scope; must not block.
pub type Heard = dyn Fn(&ScopeName, Change) + Send + Sync;

/// Follows what the providers of all scopes tell of, as the scopes' own identities, until it is dropped.
pub struct Followers {
    heard: Arc<Heard>,
    followed: HashMap<ScopeName, (Arc<Source>, AbortHandle)>,
    tasks: JoinSet<()>,
}

impl Followers {
    pub fn new(heard: Arc<Heard>) -> Self {
        Self { heard, followed: HashMap::new(), tasks: JoinSet::new() }
    }

    /// These scopes and no others from now on. A provider that is followed already misses nothing.
    pub fn follow(&mut self, sources: &Sources) {
        self.followed.retain(|scope, (followed, task)| {
            let is_same = sources.own().get(scope).is_some_and(|source| source.shares_provider_with(followed));
            if !is_same {
                task.abort();
            }
            is_same
        });
        for (scope, source) in sources.own() {
            if !self.followed.contains_key(scope) {
                let task = self.tasks.spawn(of_one(Arc::clone(source), Arc::clone(&self.heard)));
                self.followed.insert(scope.clone(), (Arc::clone(source), task));
            }
        }
        // Those that have ended, or been ended.
        while self.tasks.try_join_next().is_some() {}
    }
}

async fn of_one(source: Arc<Source>, told: Arc<Heard>) {
    let scope = &source.scope.name;
    let heard = |change: Change| told(scope, change);
    let (mut wait, mut is_told) = (FIRST_WAIT, false);
    loop {
        let Some(watch) = source.watch(&heard) else { return };
        let began = tokio::time::Instant::now();
        let Err(error) = watch.await;
        if began.elapsed() >= GOOD {
            (wait, is_told) = (FIRST_WAIT, false);
        }
        // Once, and not at each attempt: what is served is right without it, only later.
        if !is_told {
            is_told = true;
            let detail = error.detail.replace(char::is_control, " ");
            tracing::warn!(%scope, kind = error.kind.as_str(), "changes show only after ttl and list_ttl: {detail}");
        }
        let pause = match error.kind {
            ErrorKind::Denied | ErrorKind::NotFound => REFUSED_WAIT,
            ErrorKind::CredentialsRejected
            | ErrorKind::Throttled
            | ErrorKind::Unreachable
            | ErrorKind::TimedOut
            | ErrorKind::TooLarge
            | ErrorKind::Malformed
            | ErrorKind::NoMemory => asked_pause(error.retry_after).unwrap_or_default().max(wait),
        };
        tokio::time::sleep(pause.mul_f64(0.75 + 0.5 * SystemClock.chance())).await;
        wait = wait.saturating_mul(2).min(LONGEST_WAIT);
    }
}
