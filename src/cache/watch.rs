//! Changes that providers tell of: followed for as long as the mount lives.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::memory::Memory;
use super::source::Source;
use super::sources::Sources;
use super::store::jitter;
use crate::provider::{Change, ErrorKind};

/// The first wait before another attempt; it doubles with each that fails.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The wait where the provider does not let us: somebody may give us the right.
const REFUSED_WAIT: Duration = Duration::from_secs(300);
/// What went on for so long has not failed at once.
const GOOD: Duration = Duration::from_secs(60);

/// Follows what the providers of all scopes tell of, as the scopes' own identities. Ends when the set is dropped.
pub fn follow(sources: &Arc<Sources>, memory: &Arc<Memory>) -> JoinSet<()> {
    let mut followers = JoinSet::new();
    for source in sources.own().values() {
        followers.spawn(of_one(Arc::clone(source), Arc::clone(sources), Arc::clone(memory)));
    }
    followers
}

async fn of_one(source: Arc<Source>, sources: Arc<Sources>, memory: Arc<Memory>) {
    let scope = &source.scope.name;
    let heard = |change: Change| memory.outdate(&sources, scope, &change);
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
            | ErrorKind::NoMemory => error.retry_after.unwrap_or_default().max(wait),
        };
        tokio::time::sleep(pause.mul_f64(0.75 + 0.5 * jitter())).await;
        wait = wait.saturating_mul(2).min(LONGEST_WAIT);
    }
}
