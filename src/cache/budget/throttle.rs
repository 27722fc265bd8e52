//! A provider that says "too many": how long it is left in peace, and how calls start again after that.

use std::time::Duration;

use crate::cache::freshness::asked_pause;

/// The first pause where the provider names none; the longest possible one doubles each time it says so again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The shortest, however the dice fall.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// So many calls at a time are as good as any number.
const WIDE: u32 = 64;

/// Rules without machinery: times are those of the cache's clock.
#[derive(Debug, Clone, Default)]
pub struct Throttle {
    /// No calls until then.
    until: Duration,
    /// When the provider last said so, to a call that began after it had said so before.
    said: Option<Duration>,
    /// How often it has said so without enough good answers between.
    times: u32,
    /// The most calls under way; None: any number.
    width: Option<u32>,
}

impl Throttle {
    /// No calls until then, where that is in the future.
    pub fn until(&self, now: Duration) -> Option<Duration> {
        (now < self.until).then_some(self.until)
    }

    /// May one more call begin, besides those under way?
    pub fn has_room(&self, under_way: u32) -> bool {
        self.width.is_none_or(|width| under_way < width)
    }

    /// Is the provider still being asked with care?
    pub fn is_careful(&self) -> bool {
        self.width.is_some()
    }

    /// The provider says "too many" to a call that began then. `asked`: how long it wants us to wait. `jitter` in 0..1
    /// spreads hosts: over a quarter more than was asked, or over the whole of a pause that was not.
    pub fn said_too_many(&mut self, began: Duration, now: Duration, asked: Option<Duration>, jitter: f64) {
        // Calls that were under way together are told together: that is once.
        let is_news = self.said.is_none_or(|said| began >= said);
        if is_news {
            self.said = Some(now);
            self.times = self.times.saturating_add(1);
        }
        self.width = Some(1);
        let pause = match asked_pause(asked) {
            Some(asked) => asked.saturating_add(asked.mul_f64(0.25 * jitter.clamp(0.0, 1.0))),
            None if !is_news => return,
            None => {
                let doubled =
                    FIRST_PAUSE.saturating_mul(1_u32.checked_shl(self.times.saturating_sub(1)).unwrap_or(u32::MAX));
                doubled.min(LONGEST_PAUSE).mul_f64(jitter.clamp(0.0, 1.0)).max(SHORTEST_PAUSE)
            }
        };
        self.until = self.until.max(now.saturating_add(pause));
    }

    /// The provider has answered a call that began then: one more may be under way.
    pub fn answered(&mut self, began: Duration) {
        let Some(width) = self.width else { return };
        if self.said.is_some_and(|said| began < said) {
            return;
        }
        self.width = Some(width.saturating_add(1)).filter(|width| *width < WIDE);
        if self.width.is_none() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_the_provider_asks_for_is_what_it_gets_and_a_little_more() {
        for (jitter, until) in [(0.0, at(1010)), (1.0, at(1012) + Duration::from_millis(500))] {
            let mut throttle = Throttle::default();
            throttle.said_too_many(at(1000), at(1000), Some(at(10)), jitter);
            assert_eq!(throttle.until(at(1000)), Some(until));
            assert_eq!(throttle.until(until), None);
        }
    }

    #[test]
    fn a_provider_that_asks_for_a_year_is_asked_again_after_five_minutes() {
        let mut throttle = Throttle::default();
        throttle.said_too_many(at(0), at(0), Some(at(365 * 86_400)), 0.0);
        assert_eq!(throttle.until(at(0)), Some(at(300)));
        throttle = Throttle::default();
        throttle.said_too_many(at(0), at(0), Some(Duration::MAX), 1.0);
        assert_eq!(throttle.until(at(0)), Some(at(375)));
        throttle = Throttle::default();
        throttle.said_too_many(at(0), at(0), Some(Duration::ZERO), 0.0);
        assert_eq!(throttle.until(at(0)), Some(Duration::from_millis(500)));
    }

    #[test]
    fn without_a_wish_of_the_provider_the_longest_pause_doubles_up_to_a_minute() {
        let (mut throttle, mut now) = (Throttle::default(), at(0));
        let mut pauses = Vec::new();
        for _ in 0..100 {
            throttle.said_too_many(now, now, None, 1.0);
            let until = throttle.until(now).unwrap();
            pauses.push((until - now).as_secs());
            now = until;
        }
        assert_eq!(pauses[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(pauses[8..].iter().all(|pause| *pause == 60));
    }

    #[test]
    fn a_storm_of_calls_that_were_under_way_together_counts_once() {
        let mut throttle = Throttle::default();
        for _ in 0..64 {
            throttle.said_too_many(at(10), at(11), None, 1.0);
        }
        assert_eq!(throttle.until(at(11)), Some(at(12)));
        // What was answered meanwhile had begun before.
        throttle.answered(at(10));
        assert!(throttle.has_room(0) && !throttle.has_room(1));
    }

    #[test]
    fn after_a_pause_one_call_goes_alone_and_each_answer_lets_one_more_go() {
        let mut throttle = Throttle::default();
        throttle.said_too_many(at(10), at(10), None, 1.0);
        for under_way in 1..WIDE {
            assert!(throttle.is_careful() && throttle.has_room(under_way - 1) && !throttle.has_room(under_way));
            throttle.answered(at(12));
        }
        assert!(!throttle.is_careful() && throttle.has_room(1_000_000));
        // All is forgotten: the next pause is a first one.
        throttle.said_too_many(at(20), at(20), None, 1.0);
        assert_eq!(throttle.until(at(20)), Some(at(21)));
    }

    #[test]
    fn said_again_before_all_is_well_the_pause_is_longer() {
        let mut throttle = Throttle::default();
        throttle.said_too_many(at(10), at(10), None, 1.0);
        throttle.answered(at(12));
        throttle.said_too_many(at(13), at(13), None, 1.0);
        assert_eq!(throttle.until(at(13)), Some(at(15)));
        assert!(!throttle.has_room(1));
    }
}
