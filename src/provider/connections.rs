//! When connections are closed. What belongs to one, in HTTP and in TLS, holds what was read through it last until it is
//! freed, and then it is wiped: so an idle connection is a copy of a value.
//!
//! No library closes its connections when it is told to, but all close them with the client that they belong to. So the
//! client is let go of, and the next call makes another.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::Closing;

/// An idle connection is closed after so long.
const IDLE: Duration = Duration::from_secs(5);
/// The longest that a connection in use is kept, if it is ever so busy: a long answer may have left what shorter ones
/// after it do not cover.
const LONGEST: Duration = Duration::from_secs(60);

/// What a client that closes idle connections itself is told to close them after.
#[cfg_attr(not(any(feature = "aws", feature = "rest")), allow(dead_code, reason = "not every client can"))]
pub fn idle() -> Duration {
    if keeps_worn() { Duration::from_secs(60 * 60) } else { IDLE }
}

/// Is no connection closed for having been idle, or busy, for long? Never in a release build; for
/// `tests/e2e/as_root/left_in_memory.rs`, which could not tell otherwise what a flush closes from what time does.
fn keeps_worn() -> bool {
    cfg!(debug_assertions) && std::env::var_os("HUSHFS_TEST_KEEPS_WORN_CONNECTIONS").is_some()
}

/// Who closes the idle connections of a client?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleOnes {
    /// The client, after [`IDLE`].
    #[cfg_attr(not(any(feature = "aws", feature = "rest")), allow(dead_code, reason = "not every client can"))]
    ByTheClient,
    /// We: it cannot be told to.
    #[cfg_attr(not(feature = "gcp"), allow(dead_code, reason = "most clients can be told to"))]
    ByUs,
}

/// All clients of one provider.
#[derive(Default)]
pub struct Connections(Mutex<Vec<Weak<dyn Close>>>);

trait Close: Send + Sync {
    fn close(&self, which: Closing, now: Instant);
}

/// A client, as long as its connections may be used.
pub struct Kept<C> {
    idle_ones: IdleOnes,
    client: Mutex<Option<InUse<C>>>,
}

struct InUse<C> {
    client: C,
    /// Since when there has been no pause in which all connections were closed.
    busy_since: Instant,
    used: Instant,
}

impl Connections {
    /// A place for a client, empty at first.
    pub fn keep<C: Clone + Send + 'static>(&self, idle_ones: IdleOnes) -> Arc<Kept<C>> {
        let kept = Arc::new(Kept { idle_ones, client: Mutex::new(None) });
        let mut all = lock(&self.0);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(&kept) as Weak<dyn Close>);
        kept
    }

    pub fn close(&self, which: Closing) {
        let now = Instant::now();
        let all: Vec<_> = lock(&self.0).iter().filter_map(Weak::upgrade).collect();
        all.iter().for_each(|kept| kept.close(which, now));
    }
}

impl<C: Clone> Kept<C> {
    /// For a call that begins now; None where a client must be made first.
    pub fn get(&self) -> Option<C> {
        self.get_at(Instant::now())
    }

    fn get_at(&self, now: Instant) -> Option<C> {
        let mut client = lock(&self.client);
        let in_use = client.as_mut()?;
        if in_use.is_idle(now) {
            in_use.busy_since = now;
        }
        in_use.used = now;
        Some(in_use.client.clone())
    }

    /// For the calls from now on.
    pub fn put(&self, client: &C) {
        self.put_at(client, Instant::now());
    }

    fn put_at(&self, client: &C, now: Instant) {
        *lock(&self.client) = Some(InUse { client: client.clone(), busy_since: now, used: now });
    }
}

impl<C> InUse<C> {
    fn is_idle(&self, now: Instant) -> bool {
        // Twice: clients look for idle connections no more often than that.
        now.saturating_duration_since(self.used) > IDLE * 2
    }

    fn is_worn(&self, now: Instant, idle_ones: IdleOnes) -> bool {
        match idle_ones {
            _ if keeps_worn() => false,
            IdleOnes::ByUs if now.saturating_duration_since(self.used) >= IDLE => true,
            IdleOnes::ByUs | IdleOnes::ByTheClient => {
                !self.is_idle(now) && now.saturating_duration_since(self.busy_since) >= LONGEST
            }
        }
    }
}

impl<C: Send> Close for Kept<C> {
    fn close(&self, which: Closing, now: Instant) {
        let mut client = lock(&self.client);
        let closes = |in_use: &InUse<C>| which == Closing::All || in_use.is_worn(now, self.idle_ones);
        let closed = client.take_if(|in_use| closes(in_use));
        // Closing takes a while, and calls need not wait for it.
        drop(client);
        drop(closed);
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one assignment: a panic leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn all_clients_of_a_provider_are_let_go_of_and_made_anew() {
        let connections = Connections::default();
        let (one, other) = (connections.keep(IdleOnes::ByTheClient), connections.keep(IdleOnes::ByUs));
        one.put(&"one");
        other.put(&2);
        connections.close(Closing::Worn);
        assert_eq!((one.get(), other.get()), (Some("one"), Some(2)), "both were used a moment ago");
        connections.close(Closing::All);
        assert_eq!((one.get(), other.get()), (None, None));
        one.put(&"another");
        assert_eq!(one.get(), Some("another"));
    }

    #[test]
    fn a_client_is_let_go_of_while_it_is_idle_where_it_does_not_close_connections_itself() {
        let start = Instant::now();
        let connections = Connections::default();
        for (idle_ones, left) in [(IdleOnes::ByUs, None), (IdleOnes::ByTheClient, Some(()))] {
            let kept = connections.keep(idle_ones);
            kept.put_at(&(), start);
            kept.close(Closing::Worn, start + IDLE - seconds(1));
            assert_eq!(kept.get_at(start), Some(()));
            kept.close(Closing::Worn, start + IDLE);
            assert_eq!(kept.get_at(start), left);
        }
    }

    #[test]
    fn connections_that_are_always_busy_do_not_live_for_ever_and_those_with_pauses_are_left_alone() {
        let start = Instant::now();
        let connections = Connections::default();
        for (pause, left) in [(seconds(2), None), (IDLE * 3, Some(()))] {
            let kept = connections.keep(IdleOnes::ByTheClient);
            kept.put_at(&(), start);
            let mut now = start;
            while now < start + LONGEST {
                assert_eq!(kept.get_at(now), Some(()));
                kept.close(Closing::Worn, now);
                now += pause;
            }
            kept.close(Closing::Worn, start + LONGEST);
            assert_eq!(kept.get_at(now), left);
        }
    }
}
