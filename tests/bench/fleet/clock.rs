//! Virtual time: it stands still while anybody has something to do, and then goes on to when somebody wants to be woken.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, SystemTime};

use hushfs::cache::{Clock, Sleep};

#[derive(Default)]
pub struct Virtual(Arc<Mutex<Hands>>);

#[derive(Default)]
struct Hands {
    now: Duration,
    /// By the time of waking, and by who came first.
    asleep: BinaryHeap<Reverse<(Duration, u64, Sleeper)>>,
    sleepers: u64,
    dice: Dice,
}

/// Empty once its sleep is over or given up.
#[derive(Clone, Default)]
struct Sleeper(Arc<Mutex<Option<Waker>>>);

impl PartialEq for Sleeper {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Sleeper {}

impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sleeper {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().take();
    }
}

/// Takes the waker away with the future.
struct Given(Sleeper);

impl Virtual {
    /// On to the next moment at which somebody wants to be woken. To be called when nobody has anything to do.
    pub fn advance(&self) {
        let mut due = Vec::new();
        {
            let mut hands = self.0.lock().unwrap();
            while due.is_empty() {
                let Some(Reverse((at, ..))) = hands.asleep.peek() else { return };
                let at = *at;
                hands.now = at;
                while hands.asleep.peek().is_some_and(|Reverse((next, ..))| *next == at) {
                    let Some(Reverse((.., sleeper))) = hands.asleep.pop() else { break };
                    due.extend(sleeper.0.lock().unwrap().take());
                }
            }
        }
        due.into_iter().for_each(Waker::wake);
    }
}

impl Clock for Virtual {
    fn now(&self) -> Duration {
        self.0.lock().unwrap().now
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.now()
    }

    fn sleep(&self, time: Duration) -> Sleep {
        let sleeper = Sleeper::default();
        let mut hands = self.0.lock().unwrap();
        let until = hands.now + time;
        hands.sleepers += 1;
        let number = hands.sleepers;
        hands.asleep.push(Reverse((until, number, sleeper.clone())));
        let given = Given(sleeper);
        let clock = Arc::clone(&self.0);
        Box::pin(std::future::poll_fn(move |context| {
            if clock.lock().unwrap().now >= until {
                return Poll::Ready(());
            }
            *given.0.0.lock().unwrap() = Some(context.waker().clone());
            Poll::Pending
        }))
    }

    fn chance(&self) -> f64 {
        self.0.lock().unwrap().dice.throw()
    }
}

/// Always the same numbers (xorshift64*).
pub struct Dice(u64);

impl Default for Dice {
    fn default() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }
}

impl Dice {
    /// 0..1.
    pub fn throw(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
