//! How often a scope's provider is called: the limit that is set, and the pauses that the provider asks for.
//!
//! One for a scope, whoever its provider is asked as: what a provider counts is calls to the account, the project, the
//! vault or the workspace. Some count questions about names apart from those for values; then a pause for the one is none
//! for the other. Readers come first: while less than half of the limit is left, or the provider is being
//! asked with care, nothing is refreshed ahead of time.

mod bucket;
mod throttle;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use self::bucket::Bucket;
use self::throttle::Throttle;
use super::clock::{Clock, rfc3339};
use crate::config::{Rate, ScopeName};
use crate::provider::{Error, ErrorKind};

/// How often the log says that calls are held back.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// Instead of a time: until further notice.
const FOR_NOW: u64 = u64::MAX;

/// Calls that a scope may make.
pub struct Budget {
    scope: ScopeName,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// A call has ended.
    ended: Notify,
    /// Until when nothing is refreshed ahead of time, in nanoseconds, for each lane; read without the lock, by every reader.
    scarce_until: [AtomicU64; 2],
    refused: AtomicU64,
    counts_names_apart: bool,
}

struct State {
    bucket: Option<Bucket>,
    /// That of values, and that of names where they are counted apart.
    lanes: [Lane; 2],
    told: Option<Duration>,
}

/// Calls that the provider counts together.
#[derive(Default, Clone)]
struct Lane {
    throttle: Throttle,
    under_way: u32,
}

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    Values,
    Names,
}

/// A call that may be made; it is over when this is dropped.
pub struct Turn<'a> {
    budget: &'a Budget,
    lane: usize,
    began: Duration,
}

/// What there is to tell of a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetReport {
    /// None: no limit.
    pub rate: Option<Rate>,
    /// Calls that could be made at once.
    pub left: Option<u32>,
    /// Calls that were not made, since the start.
    pub refused: u64,
    /// The provider has asked for a pause until then.
    pub throttled_until: Option<SystemTime>,
    /// After a pause calls are made one by one, and then a few at a time.
    pub is_careful: bool,
}

/// What holds a call back.
enum Held {
    /// The provider wants a pause until then.
    Provider(Duration),
    /// The limit lets the next one go then.
    Limit(Rate, Duration),
    /// Others go first, after a pause.
    Others,
}

impl Budget {
    /// `rate`: None for no limit; the provider's pauses are kept all the same.
    pub fn new(scope: ScopeName, rate: Option<Rate>, clock: Arc<dyn Clock>) -> Self {
        let state = State { bucket: rate.map(Bucket::new), lanes: Default::default(), told: None };
        let (scarce_until, refused) = (<[AtomicU64; 2]>::default(), AtomicU64::new(0));
        let (state, ended) = (Mutex::new(state), Notify::new());
        Self { scope, clock, state, ended, scarce_until, refused, counts_names_apart: false }
    }

    /// As the provider does: see [`Provider::counts_names_apart`](crate::provider::Provider::counts_names_apart).
    #[must_use]
    pub fn counting_names_apart(self, counts_names_apart: bool) -> Self {
        Self { counts_names_apart, ..self }
    }

    pub fn counts_names_apart(&self) -> bool {
        self.counts_names_apart
    }

    /// The same from now on at another rate: the provider's pauses are kept as before.
    #[must_use]
    pub fn at(&self, rate: Option<Rate>) -> Self {
        let throttles = self.state().lanes.each_ref().map(|lane| lane.throttle.clone());
        let budget = Self::new(self.scope.clone(), rate, Arc::clone(&self.clock));
        let budget = budget.counting_names_apart(self.counts_names_apart);
        let mut state = budget.state();
        state.lanes = throttles.map(|throttle| Lane { throttle, under_way: 0 });
        budget.note_scarcity(&state);
        drop(state);
        budget
    }

    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Are there calls to spare for what nobody waits for?
    pub fn has_spare(&self, about: About) -> bool {
        match self.scarce_until[self.lane(about)].load(Ordering::Relaxed) {
            0 => true,
            FOR_NOW => false,
            until => self.clock.now() >= Duration::from_nanos(until),
        }
    }

    /// Takes a call that no reader waits for, if there are any to spare. It is no turn, and what comes of it is not told:
    /// another service with another quota may answer, and at its leisure.
    ///
    /// # Errors
    /// [`Throttled`](ErrorKind::Throttled) where there are none.
    pub fn spare(&self) -> Result<(), Error> {
        if !self.has_spare(About::Values) {
            let text = "not asked: calls to the provider are scarce at present, and are for readers";
            return Err(Error::new(ErrorKind::Throttled, text));
        }
        let mut state = self.state();
        if let Some(bucket) = &mut state.bucket {
            bucket.take(self.clock.now());
        }
        self.note_scarcity(&state);
        Ok(())
    }

    /// Waits for the turn of a call, in the order of coming.
    ///
    /// # Errors
    /// [`Throttled`](ErrorKind::Throttled), at once, where that would take longer than `patience`; it names the reason
    /// and says when to come again.
    pub async fn turn(&self, about: About, patience: Duration) -> Result<Turn<'_>, Error> {
        let lane = self.lane(about);
        let deadline = self.clock.now().saturating_add(patience);
        self.wait_for_the_limit(lane, deadline).await?;
        loop {
            // Before the look, so that no end of a call is missed between.
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            let now = self.clock.now();
            let until = {
                let mut state = self.state();
                let Lane { throttle, under_way } = &mut state.lanes[lane];
                match throttle.until(now) {
                    Some(until) if until > deadline => return Err(self.refuse(state, now, Held::Provider(until))),
                    Some(until) => until,
                    None if throttle.has_room(*under_way) => {
                        *under_way = under_way.saturating_add(1);
                        return Ok(Turn { budget: self, lane, began: now });
                    }
                    None if now >= deadline => return Err(self.refuse(state, now, Held::Others)),
                    None => deadline,
                }
            };
            tokio::select! {
                () = ended => {}
                () = self.clock.sleep(until.saturating_sub(now)) => {}
            }
        }
    }

    async fn wait_for_the_limit(&self, lane: usize, deadline: Duration) -> Result<(), Error> {
        let wait = {
            let mut state = self.state();
            let now = self.clock.now();
            if let Some(until) = state.lanes[lane].throttle.until(now).filter(|until| *until > deadline) {
                return Err(self.refuse(state, now, Held::Provider(until)));
            }
            let Some(bucket) = &mut state.bucket else { return Ok(()) };
            let (wait, rate) = (bucket.wait(now), bucket.rate());
            let goes = now.saturating_add(wait);
            if goes > deadline {
                // From then on one who comes is in time.
                let worth_it = now.saturating_add(goes.saturating_sub(deadline));
                return Err(self.refuse(state, now, Held::Limit(rate, worth_it)));
            }
            bucket.take(now);
            self.note_scarcity(&state);
            wait
        };
        if !wait.is_zero() {
            self.clock.sleep(wait).await;
        }
        Ok(())
    }

    pub fn report(&self) -> BudgetReport {
        let now = self.clock.now();
        let state = self.state();
        let wall = |until: Duration| self.clock.wall().checked_add(until.saturating_sub(now));
        BudgetReport {
            rate: state.bucket.as_ref().map(Bucket::rate),
            left: state.bucket.as_ref().map(|bucket| bucket.left(now)),
            refused: self.refused.load(Ordering::Relaxed),
            throttled_until: state.lanes.iter().filter_map(|lane| lane.throttle.until(now)).max().and_then(wall),
            is_careful: state.lanes.iter().any(|lane| lane.throttle.is_careful()),
        }
    }

    fn refuse(&self, mut state: MutexGuard<'_, State>, now: Duration, held: Held) -> Error {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let wall = |until: Duration| {
            let wall = self.clock.wall().checked_add(until.saturating_sub(now));
            wall.map_or_else(|| "later".to_owned(), rfc3339)
        };
        let (text, again) = match held {
            Held::Provider(until) => {
                (format!("not asked: the provider throttles this scope, no call before {}", wall(until)), Some(until))
            }
            Held::Limit(rate, until) => {
                (format!("not asked: the scope's call budget, calls = \"{rate}\", is used up"), Some(until))
            }
            Held::Others => {
                ("not asked in time: the provider has throttled this scope, others go first".to_owned(), None)
            }
        };
        if state.told.is_none_or(|told| now.saturating_sub(told) >= TOLD_EVERY) {
            state.told = Some(now);
            drop(state);
            tracing::warn!(scope = %self.scope, "{text}; until that is over readers get the last good value, or EBUSY");
        }
        let retry_after = again.map(|until| until.saturating_sub(now));
        Error { retry_after, ..Error::new(ErrorKind::Throttled, text) }
    }

    fn note_scarcity(&self, state: &State) {
        let limit = state.bucket.as_ref().map_or(Duration::ZERO, Bucket::half_full_at);
        let nanos = u64::try_from(limit.as_nanos()).unwrap_or(FOR_NOW);
        for (until, lane) in self.scarce_until.iter().zip(&state.lanes) {
            until.store(if lane.throttle.is_careful() { FOR_NOW } else { nanos }, Ordering::Relaxed);
        }
    }

    /// Are such calls made one by one, or a few at a time, after a pause?
    pub fn is_careful(&self, about: About) -> bool {
        self.state().lanes[self.lane(about)].throttle.is_careful()
    }

    fn lane(&self, about: About) -> usize {
        usize::from(self.counts_names_apart && about == About::Names)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is a few numbers, and none of them can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// What has come of the call. One that is broken off says nothing.
    pub fn ended<T>(self, answer: &Result<T, Error>) {
        let kind = answer.as_ref().err().map(|error| error.kind);
        let mut state = self.budget.state();
        let throttle = &mut state.lanes[self.lane].throttle;
        match kind {
            Some(ErrorKind::Throttled) => {
                let asked = answer.as_ref().err().and_then(|error| error.retry_after);
                throttle.said_too_many(self.began, self.budget.clock.now(), asked, self.budget.clock.chance());
            }
            // Silence: not a word about how often we may ask.
            Some(ErrorKind::Unreachable | ErrorKind::TimedOut | ErrorKind::NoMemory) => {}
            None
            | Some(
                ErrorKind::NotFound
                | ErrorKind::Denied
                | ErrorKind::CredentialsRejected
                | ErrorKind::TooLarge
                | ErrorKind::Malformed,
            ) => throttle.answered(self.began),
        }
        self.budget.note_scarcity(&state);
        // Before this turn is over, which takes the lock too.
        drop(state);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        let under_way = &mut state.lanes[self.lane].under_way;
        *under_way = under_way.saturating_sub(1);
        drop(state);
        self.budget.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
