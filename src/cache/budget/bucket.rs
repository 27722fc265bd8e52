//! So many calls in such a time, and as many at once.

use std::time::Duration;

use crate::config::Rate;

/// A token bucket: it holds a rate's number of calls when full, and fills within the rate's time. Calls may be taken
/// ahead of time, each for the moment at which there will be one.
#[derive(Debug)]
pub struct Bucket {
    rate: Rate,
    /// When it is full, if nobody takes any more.
    full_at: Duration,
}

impl Bucket {
    /// A full one.
    pub fn new(rate: Rate) -> Self {
        Self { rate, full_at: Duration::ZERO }
    }

    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// How long until there is a call to take.
    pub fn wait(&self, now: Duration) -> Duration {
        self.missing(now).saturating_add(self.each()).saturating_sub(self.rate.per())
    }

    /// Takes the call that is there after [`Bucket::wait`].
    pub fn take(&mut self, now: Duration) {
        self.full_at = self.full_at.max(now).saturating_add(self.each());
    }

    /// Calls that could be taken now.
    pub fn left(&self, now: Duration) -> u32 {
        let there = self.rate.per().saturating_sub(self.missing(now)).as_nanos();
        // A rate has at least a microsecond for each.
        u32::try_from(there / self.each().as_nanos().max(1))
            .map_or(self.rate.calls(), |left| left.min(self.rate.calls()))
    }

    /// From when on it is at least half full.
    pub fn half_full_at(&self) -> Duration {
        self.full_at.saturating_sub(self.rate.per() / 2)
    }

    /// The time in which what is missing comes.
    fn missing(&self, now: Duration) -> Duration {
        self.full_at.saturating_sub(now)
    }

    /// The time in which one comes.
    fn each(&self) -> Duration {
        self.rate.per() / self.rate.calls().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(calls: u32, seconds: u64) -> Bucket {
        Bucket::new(Rate::new(calls, Duration::from_secs(seconds)).unwrap())
    }

    #[test]
    fn all_are_there_at_once_and_then_they_come_evenly() {
        let (mut bucket, now) = (bucket(40, 1), Duration::from_secs(1000));
        for left in (1..=40).rev() {
            assert_eq!((bucket.left(now), bucket.wait(now)), (left, Duration::ZERO));
            bucket.take(now);
        }
        assert_eq!((bucket.left(now), bucket.wait(now)), (0, Duration::from_millis(25)));
        bucket.take(now);
        assert_eq!(bucket.wait(now), Duration::from_millis(50), "who comes later waits longer");
        assert_eq!(bucket.left(now + Duration::from_millis(550)), 21);
        assert_eq!(bucket.left(now + Duration::from_secs(60)), 40, "it holds no more than that");
    }

    #[test]
    fn it_is_half_full_after_half_its_time() {
        let (mut bucket, now) = (bucket(10, 10), Duration::from_secs(50));
        assert!(bucket.half_full_at() <= now);
        for _ in 0..10 {
            bucket.take(now);
        }
        assert_eq!(bucket.half_full_at(), now + Duration::from_secs(5));
    }

    mod properties {
        use super::*;

        proptest::proptest! {
            #[test]
            fn in_any_time_there_are_no_more_than_it_holds_and_what_comes_meanwhile(
                calls in 1_u32..500,
                seconds in 1_u64..100,
                steps in proptest::collection::vec(0_u64..3_000, 1..300),
            ) {
                let mut bucket = bucket(calls, seconds);
                let (mut now, mut taken) = (Duration::from_secs(9), Vec::new());
                for step in steps {
                    now += Duration::from_millis(step);
                    taken.push(now + bucket.wait(now));
                    bucket.take(now);
                }
                for (first, from) in taken.iter().enumerate() {
                    for (last, to) in taken.iter().enumerate().skip(first) {
                        let comes = (*to - *from).as_secs_f64() * f64::from(calls) / seconds as f64;
                        proptest::prop_assert!((last - first + 1) as f64 <= f64::from(calls) + comes + 1.01);
                    }
                }
            }
        }
    }
}
