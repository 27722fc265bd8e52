//! How long an answer may be used: the rules, without the machinery.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::CacheSettings;
use crate::provider::{Error, ErrorKind};

/// The first wait after an outage; it doubles with every further failure up to `negative_ttl`.
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// The longest wait that a provider may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);
/// How long it is remembered that there was a good answer, once that has been wiped.
const EXPIRED_FOR: Duration = Duration::from_secs(24 * 3600);

/// How long answers of one kind, of one scope, are used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    pub ttl: Duration,
    /// Share of `ttl` after which an answer in use is refreshed in the background.
    pub refresh_ahead: f64,
    pub max_stale: Duration,
    /// How long a refusal is remembered.
    pub negative_ttl: Duration,
    /// The longest that one call to the provider may take.
    pub timeout: Duration,
    /// While the provider is known to be out of reach, is it asked again behind the readers' backs, who
    /// get the last answer at once? Not for values: the next answer may be that they are revoked.
    pub retry_behind: bool,
    /// Are there calls to spare, so that answers in use are refreshed ahead of time?
    pub has_spare: bool,
}

/// How long a provider is left in peace that asks for it, within reason.
pub(super) fn asked_pause(asked: Option<Duration>) -> Option<Duration> {
    asked.map(|asked| asked.clamp(FIRST_RETRY, LONGEST_RETRY_AFTER))
}

impl Policy {
    /// For values.
    pub fn of_values(settings: &CacheSettings) -> Self {
        Self {
            ttl: settings.ttl,
            refresh_ahead: settings.refresh_ahead,
            max_stale: settings.max_stale,
            negative_ttl: settings.negative_ttl,
            timeout: settings.timeout,
            retry_behind: false,
            has_spare: true,
        }
    }

    /// For listings and for what is known of single names.
    pub fn of_names(settings: &CacheSettings) -> Self {
        Self { ttl: settings.list_ttl, retry_behind: true, ..Self::of_values(settings) }
    }
}

/// A good answer and when it came.
pub struct Good<V> {
    pub value: Arc<V>,
    /// On the cache's clock.
    pub fetched: Duration,
    /// On the calendar.
    pub fetched_wall: SystemTime,
    /// When to refresh it if it is still read: `refresh_ahead` of its ttl, less some jitter.
    pub refresh_at: Duration,
    /// When the value ends by itself, on the cache's clock: no use after that.
    pub ends: Option<Duration>,
    /// The provider has told that there is another one: of use only while that cannot be had.
    pub outdated: bool,
}

impl<V> Good<V> {
    /// Until when it is served without asking, on the cache's clock. A value that ends by itself is asked for again
    /// when half of its life is over: that may make it live longer, or brings another while it still serves.
    pub fn fresh_until(&self, policy: &Policy) -> Duration {
        let until = self.fetched.saturating_add(policy.ttl);
        self.ends.map_or(until, |ends| until.min(self.fetched.saturating_add(ends.saturating_sub(self.fetched) / 2)))
    }

    /// Until when it may be served where the provider cannot be asked.
    fn stale_until(&self, policy: &Policy) -> Duration {
        let until = self.fetched.saturating_add(policy.ttl).saturating_add(policy.max_stale);
        self.ends.map_or(until, |ends| until.min(ends))
    }

    /// When it is past any use. What ends by itself is kept to its end: the provider may say that it is still the
    /// value.
    fn useless_at(&self, policy: &Policy) -> Duration {
        self.ends.unwrap_or_else(|| self.stale_until(policy))
    }
}

impl<V> Clone for Good<V> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), ..*self }
    }
}

/// The last failure, and until when it is the answer.
#[derive(Debug, Clone)]
pub struct Bad {
    pub error: Error,
    /// When it was, on the cache's clock.
    pub at: Duration,
    pub until: Duration,
    /// Failures in a row.
    pub count: u32,
}

/// What is remembered under one key.
pub struct Kept<V> {
    pub good: Option<Good<V>>,
    pub bad: Option<Bad>,
    /// When the good answer was fetched that has been wiped because it was past any use.
    pub expired: Option<Duration>,
}

/// What to do with something remembered, as time passes.
pub enum Tidy<V> {
    Keep,
    /// Remember this instead: the value is past any use.
    Wipe(Kept<V>),
    Forget,
}

/// Why there is no answer.
#[derive(Debug, Clone)]
pub enum Failure {
    /// The provider said so, or could not be asked.
    Provider(Error),
    /// The last good answer is past `max_stale`, and the provider cannot be asked.
    Expired(Error),
    /// The caller's time is up; the fetch goes on.
    Deadline,
}

/// What the memory says about a key at a moment.
pub enum Verdict<V> {
    /// Serve it. `refresh`: and fetch it anew in the background.
    Fresh { good: Good<V>, refresh: bool },
    /// The provider cannot be reached; serve it, marked stale. `retry`: and ask again in the background.
    Stale { good: Good<V>, retry: bool },
    /// Do not ask again yet.
    Refuse(Failure),
    /// Ask the provider. `fallback` may be served if it does not answer.
    Fetch { fallback: Option<Good<V>> },
}

impl<V> Verdict<V> {
    /// Should the provider be asked, be it in the background?
    pub fn wants_a_call(&self) -> bool {
        match self {
            Self::Fresh { refresh: due, .. } | Self::Stale { retry: due, .. } => *due,
            Self::Refuse(_) => false,
            Self::Fetch { .. } => true,
        }
    }
}

impl<V> Kept<V> {
    pub fn judge(&self, policy: &Policy, now: Duration) -> Verdict<V> {
        let waiting = self.bad.as_ref().filter(|bad| now < bad.until);
        if let Some(good) = &self.good
            && !good.outdated
            && now < good.fresh_until(policy)
        {
            let refresh = policy.has_spare && waiting.is_none() && now >= good.refresh_at;
            return Verdict::Fresh { good: good.clone(), refresh };
        }
        match waiting {
            None => match self.servable_stale(policy, now) {
                Some(good) if policy.retry_behind && self.in_outage(policy, now) => {
                    Verdict::Stale { good, retry: true }
                }
                fallback => Verdict::Fetch { fallback },
            },
            Some(bad) if bad.error.kind.is_outage() => match self.servable_stale(policy, now) {
                Some(good) => Verdict::Stale { good, retry: false },
                None => Verdict::Refuse(self.outage(bad.error.clone())),
            },
            Some(bad) => Verdict::Refuse(Failure::Provider(bad.error.clone())),
        }
    }

    /// The last good answer, if it may still be served while the provider cannot be reached.
    fn servable_stale(&self, policy: &Policy, now: Duration) -> Option<Good<V>> {
        let may = |good: &&Good<V>| !policy.max_stale.is_zero() && now < good.stale_until(policy);
        self.good.as_ref().filter(may).cloned()
    }

    /// Was the provider out of reach when last asked, and is that recent enough to be believed?
    fn in_outage(&self, policy: &Policy, now: Duration) -> bool {
        let failed = self.bad.as_ref().filter(|bad| bad.error.kind.is_outage());
        failed.is_some_and(|bad| now < bad.until.saturating_add(policy.ttl))
    }

    /// There was a good answer and it is too old: that is another thing than never having had one.
    pub fn outage(&self, error: Error) -> Failure {
        let had_one = self.good.is_some() || self.expired.is_some();
        if had_one { Failure::Expired(error) } else { Failure::Provider(error) }
    }

    /// What to remember after a good answer. `ends`: when it does by itself. `jitter` in 0..1 spreads refreshes over a
    /// tenth of the ttl.
    pub fn after_success(
        value: Arc<V>,
        ends: Option<Duration>,
        policy: &Policy,
        now: Duration,
        wall: SystemTime,
        jitter: f64,
    ) -> Self {
        let mut good = Good { value, fetched: now, fetched_wall: wall, refresh_at: now, ends, outdated: false };
        let share = policy.refresh_ahead - 0.1 * jitter * policy.refresh_ahead;
        let ttl = good.fresh_until(policy).saturating_sub(now);
        good.refresh_at = now.saturating_add(ttl.mul_f64(share.clamp(0.0, 1.0)));
        Self { good: Some(good), bad: None, expired: None }
    }

    /// What to remember after a failure. A refusal replaces the value; an outage keeps it for `max_stale`.
    pub fn after_failure(previous: Option<&Self>, error: Error, policy: &Policy, now: Duration) -> Self {
        if !error.kind.is_outage() {
            return Self {
                good: None,
                bad: Some(Bad { error, at: now, until: now.saturating_add(policy.negative_ttl), count: 1 }),
                expired: None,
            };
        }
        let count = previous.and_then(|kept| kept.bad.as_ref()).map_or(0, |bad| bad.count).saturating_add(1);
        let doubled = FIRST_RETRY.saturating_mul(1_u32.checked_shl(count - 1).unwrap_or(u32::MAX));
        let pause = doubled.min(policy.negative_ttl);
        let wait = asked_pause(error.retry_after).unwrap_or(pause);
        Self {
            good: previous.and_then(|kept| kept.good.clone()),
            bad: Some(Bad { error, at: now, until: now.saturating_add(wait), count }),
            expired: previous.and_then(|kept| kept.expired),
        }
    }

    /// What to remember once the provider has told that something has changed: whoever asks next has it asked. None
    /// where nothing is left. That it was out of reach counts on.
    pub fn outdated(&self) -> Option<Self> {
        let good = self.good.clone().map(|good| Good { outdated: true, ..good });
        let bad = self.bad.clone().filter(|bad| bad.error.kind.is_outage());
        let is_left = good.is_some() || bad.is_some() || self.expired.is_some();
        is_left.then_some(Self { good, bad, expired: self.expired })
    }

    pub fn tidy(&self, policy: &Policy, now: Duration) -> Tidy<V> {
        let last_use = |fetched: Duration| fetched.saturating_add(policy.ttl).saturating_add(policy.max_stale);
        match &self.good {
            Some(good) if now < good.useless_at(policy) => Tidy::Keep,
            Some(good) => Tidy::Wipe(Self { good: None, bad: self.bad.clone(), expired: Some(good.fetched) }),
            None => {
                let bad = self.bad.as_ref().is_some_and(|bad| now < bad.forgotten_at(policy));
                let expired = self.expired.is_some_and(|at| now < last_use(at).saturating_add(EXPIRED_FOR));
                if bad || expired { Tidy::Keep } else { Tidy::Forget }
            }
        }
    }
}

impl Bad {
    /// After an outage not at once: how often it failed decides how long the next pause is.
    fn forgotten_at(&self, policy: &Policy) -> Duration {
        let longer = if self.error.kind.is_outage() { policy.negative_ttl } else { Duration::ZERO };
        self.until.saturating_add(longer)
    }
}

impl Failure {
    /// Is it silence, rather than an answer that we do not like?
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Deadline | Self::Expired(_) => true,
            Self::Provider(error) => error.kind.is_outage(),
        }
    }

    /// Does the provider say that there is no such thing?
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Provider(error) if error.kind == ErrorKind::NotFound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        ttl: Duration::from_secs(300),
        refresh_ahead: 0.8,
        max_stale: Duration::from_secs(3600),
        negative_ttl: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
        retry_behind: false,
        has_spare: true,
    };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn good_at(seconds: u64) -> Kept<u8> {
        Kept::after_success(Arc::new(1), None, &POLICY, at(seconds), SystemTime::UNIX_EPOCH, 0.0)
    }

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, "test")
    }

    #[test]
    fn within_its_ttl_a_value_is_served_and_refreshed_only_near_the_end() {
        let kept = good_at(1000);
        assert!(matches!(kept.judge(&POLICY, at(1239)), Verdict::Fresh { refresh: false, .. }));
        assert!(matches!(kept.judge(&POLICY, at(1240)), Verdict::Fresh { refresh: true, .. }));
        assert!(matches!(kept.judge(&POLICY, at(1300)), Verdict::Fetch { fallback: Some(_) }));
    }

    #[test]
    fn values_that_came_together_are_refreshed_at_different_times() {
        let refresh_at = |jitter| {
            let kept = Kept::after_success(Arc::new(1), None, &POLICY, at(1000), SystemTime::UNIX_EPOCH, jitter);
            kept.good.unwrap().refresh_at
        };
        assert_eq!([0.0, 0.5, 1.0].map(refresh_at), [1240, 1228, 1216].map(at));
    }

    #[test]
    fn nothing_is_refreshed_ahead_of_time_while_there_are_no_calls_to_spare() {
        let (kept, scarce) = (good_at(1000), Policy { has_spare: false, ..POLICY });
        assert!(matches!(kept.judge(&scarce, at(1299)), Verdict::Fresh { refresh: false, .. }));
        // Past its ttl a reader needs it.
        assert!(matches!(kept.judge(&scarce, at(1300)), Verdict::Fetch { fallback: Some(_) }));
    }

    #[test]
    fn an_outdated_value_is_served_only_while_the_new_one_cannot_be_had() {
        let kept = good_at(0).outdated().unwrap();
        assert!(matches!(kept.judge(&POLICY, at(1)), Verdict::Fetch { fallback: Some(_) }));
        let kept = Kept::after_failure(Some(&kept), error(ErrorKind::Unreachable), &POLICY, at(1));
        assert!(matches!(kept.judge(&POLICY, at(1)), Verdict::Stale { .. }));
        // The outage is not forgotten with it, a refusal is.
        assert!(matches!(kept.outdated().unwrap().judge(&POLICY, at(1)), Verdict::Stale { .. }));
        assert!(Kept::<u8>::after_failure(None, error(ErrorKind::NotFound), &POLICY, at(0)).outdated().is_none());
    }

    #[test]
    fn an_outage_keeps_the_value_for_max_stale_and_then_says_expired() {
        let kept = Kept::after_failure(Some(&good_at(0)), error(ErrorKind::Unreachable), &POLICY, at(3899));
        assert!(matches!(kept.judge(&POLICY, at(3899)), Verdict::Stale { .. }));
        let kept = Kept::after_failure(Some(&good_at(0)), error(ErrorKind::Unreachable), &POLICY, at(3900));
        assert!(matches!(kept.judge(&POLICY, at(3900)), Verdict::Refuse(Failure::Expired(_))));
    }

    #[test]
    fn with_max_stale_zero_nothing_stale_is_served() {
        let policy = Policy { max_stale: Duration::ZERO, ..POLICY };
        let kept = Kept::after_failure(Some(&good_at(0)), error(ErrorKind::TimedOut), &policy, at(300));
        assert!(matches!(kept.judge(&policy, at(300)), Verdict::Refuse(Failure::Expired(_))));
        // Nor is one within its ttl that is known to be an old one.
        let kept = good_at(0).outdated().unwrap();
        assert!(matches!(kept.judge(&policy, at(1)), Verdict::Fetch { fallback: None }));
    }

    #[test]
    fn a_refusal_takes_the_value_away_at_once_even_within_its_ttl() {
        for kind in [ErrorKind::Denied, ErrorKind::NotFound, ErrorKind::CredentialsRejected, ErrorKind::Malformed] {
            let kept = Kept::after_failure(Some(&good_at(0)), error(kind), &POLICY, at(10));
            assert!(matches!(kept.judge(&POLICY, at(19)), Verdict::Refuse(Failure::Provider(_))));
            assert!(matches!(kept.judge(&POLICY, at(20)), Verdict::Fetch { fallback: None }));
        }
    }

    #[test]
    fn failures_in_a_row_are_retried_ever_later_up_to_negative_ttl() {
        let mut kept = Kept::<u8>::after_failure(None, error(ErrorKind::Unreachable), &POLICY, at(0));
        let mut waits = vec![kept.bad.as_ref().unwrap().until];
        for _ in 0..40 {
            kept = Kept::after_failure(Some(&kept), error(ErrorKind::Unreachable), &POLICY, at(0));
            waits.push(kept.bad.as_ref().unwrap().until);
        }
        assert!(waits.is_sorted());
        assert_eq!(waits[0], FIRST_RETRY);
        assert_eq!(waits[40], POLICY.negative_ttl);
    }

    #[test]
    fn the_providers_retry_after_is_honoured() {
        let error = Error { retry_after: Some(at(42)), ..error(ErrorKind::Throttled) };
        let kept = Kept::<u8>::after_failure(None, error, &POLICY, at(0));
        assert!(matches!(kept.judge(&POLICY, at(41)), Verdict::Refuse(Failure::Provider(_))));
        assert!(matches!(kept.judge(&POLICY, at(42)), Verdict::Fetch { .. }));
    }

    #[test]
    fn a_retry_after_is_bounded_on_both_sides() {
        for (asked, waited) in [(Duration::ZERO, FIRST_RETRY), (Duration::MAX, LONGEST_RETRY_AFTER)] {
            let error = Error { retry_after: Some(asked), ..error(ErrorKind::Throttled) };
            let kept = Kept::<u8>::after_failure(None, error, &POLICY, at(0));
            assert_eq!(kept.bad.unwrap().until, waited);
        }
    }

    #[test]
    fn a_value_past_any_use_is_wiped_and_its_absence_is_still_called_expired() {
        let kept = good_at(0);
        assert!(matches!(kept.tidy(&POLICY, at(3899)), Tidy::Keep));
        let Tidy::Wipe(kept) = kept.tidy(&POLICY, at(3900)) else { panic!("kept or forgotten") };
        assert!(kept.good.is_none());
        assert!(matches!(kept.judge(&POLICY, at(3900)), Verdict::Fetch { fallback: None }));
        let kept = Kept::after_failure(Some(&kept), error(ErrorKind::Unreachable), &POLICY, at(4000));
        assert!(matches!(kept.judge(&POLICY, at(4000)), Verdict::Refuse(Failure::Expired(_))));
        assert!(matches!(kept.tidy(&POLICY, at(4000 + 25 * 3600)), Tidy::Forget));
    }

    #[test]
    fn a_failed_refresh_does_not_keep_a_value_beyond_its_use() {
        let error = Error { retry_after: Some(at(200)), ..error(ErrorKind::Throttled) };
        let kept = Kept::after_failure(Some(&good_at(0)), error, &POLICY, at(3899));
        assert!(matches!(kept.tidy(&POLICY, at(3900)), Tidy::Wipe(Kept { good: None, bad: Some(_), .. })));
    }

    #[test]
    fn how_often_a_provider_failed_is_remembered_longer_than_the_pause() {
        let kept = Kept::<u8>::after_failure(None, error(ErrorKind::Unreachable), &POLICY, at(0));
        assert!(matches!(kept.tidy(&POLICY, at(5)), Tidy::Keep));
        assert!(matches!(kept.tidy(&POLICY, at(11)), Tidy::Forget));
        let kept = Kept::<u8>::after_failure(None, error(ErrorKind::Denied), &POLICY, at(0));
        assert!(matches!(kept.tidy(&POLICY, at(10)), Tidy::Forget));
    }

    #[test]
    fn in_an_outage_names_are_asked_for_behind_the_readers_backs_and_values_are_not() {
        let kept = Kept::after_failure(Some(&good_at(0)), error(ErrorKind::TimedOut), &POLICY, at(300));
        assert!(matches!(kept.judge(&POLICY, at(302)), Verdict::Fetch { fallback: Some(_) }));
        let names = Policy { retry_behind: true, ..POLICY };
        assert!(matches!(kept.judge(&names, at(302)), Verdict::Stale { retry: true, .. }));
        // Long ago: it may be back, so it is asked first.
        assert!(matches!(kept.judge(&names, at(700)), Verdict::Fetch { fallback: Some(_) }));
    }

    #[test]
    fn what_ends_by_itself_is_asked_for_again_halfway_and_never_served_past_its_end() {
        let leased =
            |ends: u64| Kept::after_success(Arc::new(1), Some(at(ends)), &POLICY, at(0), SystemTime::UNIX_EPOCH, 0.0);
        let kept = leased(100);
        assert!(matches!(kept.judge(&POLICY, at(39)), Verdict::Fresh { refresh: false, .. }));
        assert!(matches!(kept.judge(&POLICY, at(40)), Verdict::Fresh { refresh: true, .. }));
        assert!(matches!(kept.judge(&POLICY, at(50)), Verdict::Fetch { fallback: Some(_) }));
        let failed = Kept::after_failure(Some(&kept), error(ErrorKind::Unreachable), &POLICY, at(99));
        assert!(matches!(failed.judge(&POLICY, at(99)), Verdict::Stale { .. }));
        let failed = Kept::after_failure(Some(&kept), error(ErrorKind::Unreachable), &POLICY, at(100));
        assert!(matches!(failed.judge(&POLICY, at(100)), Verdict::Refuse(Failure::Expired(_))));
        assert!(matches!(kept.judge(&POLICY, at(100)), Verdict::Fetch { fallback: None }));
        assert!(matches!(kept.tidy(&POLICY, at(99)), Tidy::Keep));
        assert!(matches!(kept.tidy(&POLICY, at(100)), Tidy::Wipe(_)));
        // A long life makes nothing fresher, and keeps what would otherwise have been wiped.
        let kept = leased(100_000);
        assert!(matches!(kept.judge(&POLICY, at(300)), Verdict::Fetch { fallback: Some(_) }));
        assert!(matches!(kept.judge(&POLICY, at(3900)), Verdict::Fetch { fallback: None }));
        assert!(matches!(kept.tidy(&POLICY, at(99_999)), Tidy::Keep));
    }

    #[test]
    fn a_clock_at_its_end_overflows_nothing() {
        let kept = good_at(u64::MAX);
        let _ = kept.judge(&Policy { ttl: Duration::MAX, max_stale: Duration::MAX, ..POLICY }, Duration::MAX);
        let _ = Kept::<u8>::after_failure(Some(&kept), error(ErrorKind::Unreachable), &POLICY, Duration::MAX);
    }
}
