//! Time and chance, as things that tests can turn.

use std::pin::Pin;
use std::time::{Duration, SystemTime};

/// Ends when some time is over.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where the cache reads the time and throws its dice.
pub trait Clock: Send + Sync + 'static {
    /// Time since some fixed point; never goes backwards, and counts time asleep.
    fn now(&self) -> Duration;

    /// The calendar's time, for people. May jump; nothing is decided by it.
    fn wall(&self) -> SystemTime;

    /// Ends when `time` has passed; on the machine's clocks later where it has been asleep meanwhile.
    fn sleep(&self, time: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(time))
    }

    /// 0..1, different at every call; spreads what hosts would otherwise do at the same moment, decides nothing that
    /// matters.
    fn chance(&self) -> f64 {
        use std::hash::{BuildHasher, RandomState};
        let random = RandomState::new().hash_one(0_u8);
        (random >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What comes of `work`; None where that takes longer than `time`.
pub async fn within<T>(clock: &dyn Clock, time: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = clock.sleep(time) => None,
    }
}

/// The machine's clocks.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        // CLOCK_BOOTTIME starts at zero, so neither part is ever negative.
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A time for people and machines: RFC 3339 in UTC, to the second. Before 1970 it is the epoch, since the
/// formatter has nothing earlier.
pub fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time.max(SystemTime::UNIX_EPOCH)).to_string()
}

#[cfg(test)]
pub mod turned {
    //! A clock that stands where a test has turned it.

    use std::sync::{Arc, Mutex};
    use std::task::{Poll, Waker};

    use super::*;

    #[derive(Default)]
    pub struct Turned(Arc<Mutex<Hands>>);

    #[derive(Default)]
    struct Hands {
        now: Duration,
        asleep: Vec<Waker>,
    }

    impl Turned {
        /// Further on by `time`; who slept till then is woken.
        pub fn turn(&self, time: Duration) {
            let mut hands = self.0.lock().unwrap();
            hands.now += time;
            hands.asleep.drain(..).for_each(Waker::wake);
        }
    }

    impl Clock for Turned {
        fn now(&self) -> Duration {
            self.0.lock().unwrap().now
        }

        fn wall(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + self.now()
        }

        fn sleep(&self, time: Duration) -> Sleep {
            let (hands, until) = (Arc::clone(&self.0), self.now() + time);
            Box::pin(std::future::poll_fn(move |context| {
                let mut hands = hands.lock().unwrap();
                if hands.now >= until {
                    return Poll::Ready(());
                }
                hands.asleep.push(context.waker().clone());
                Poll::Pending
            }))
        }
    }
}
