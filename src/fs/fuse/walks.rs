//! One call of a program's is several requests, one for each part of its path: what the first of them has waited is not
//! given to the next anew.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So soon after one request the kernel sends the next of the same call, also on a busy machine.
const AT_ONCE: Duration = Duration::from_millis(100);

/// From so many on those are dropped that did not go on.
const MANY: usize = 128;

/// Who has waited a moment ago, and may be on the way to something else.
#[derive(Default)]
pub struct Walks {
    steps: Mutex<HashMap<u32, Step>>,
    /// Read without the lock, by every request.
    are_there: AtomicBool,
}

struct Step {
    /// Where the thread has got to.
    at: u64,
    deadline: Instant,
    until: Instant,
}

impl Walks {
    /// By when a request of this thread about `ino` must have its answer, which is `whole` where it begins a call.
    pub fn deadline(&self, thread: u32, ino: u64, whole: Instant) -> Instant {
        if self.are_there.load(Ordering::Relaxed) {
            self.deadline_at(Instant::now(), thread, ino, whole)
        } else {
            whole
        }
    }

    fn deadline_at(&self, now: Instant, thread: u32, ino: u64, whole: Instant) -> Instant {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = match steps.get(&thread) {
            Some(step) if now < step.until && step.at == ino => Some(step.deadline),
            Some(_) => {
                steps.remove(&thread);
                None
            }
            None => None,
        };
        if steps.len() >= MANY {
            steps.retain(|_, step| now < step.until);
        }
        self.are_there.store(!steps.is_empty(), Ordering::Relaxed);
        begun.map_or(whole, |begun| begun.min(whole))
    }

    /// A thread has waited, has got to `at`, and may go on from there.
    pub fn may_go_on(&self, thread: u32, at: u64, deadline: Instant) {
        self.may_go_on_at(Instant::now(), thread, at, deadline);
    }

    fn may_go_on_at(&self, now: Instant, thread: u32, at: u64, deadline: Instant) {
        // Nobody, as far as we can see: it may be anybody.
        if thread == 0 {
            return;
        }
        let step = Step { at, deadline, until: now + AT_ONCE };
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.insert(thread, step);
        self.are_there.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_on_from_where_it_got_to_has_what_is_left_and_who_begins_has_all() {
        let walks = Walks::default();
        let began = Instant::now();
        let (first, then) = (began + Duration::from_secs(5), began + Duration::from_secs(3));
        let whole = then + Duration::from_secs(5);
        assert_eq!(walks.deadline(7, 1, first), first);
        walks.may_go_on_at(then, 7, 2, first);
        // The access control list on the way, and then the next part.
        for _ in 0..2 {
            assert_eq!(walks.deadline_at(then, 7, 2, whole), first);
        }
        assert_eq!(walks.deadline_at(then, 8, 2, whole), whole, "another thread");
        assert_eq!(walks.deadline_at(then, 7, 9, whole), whole, "another place");
        assert_eq!(walks.deadline_at(then, 7, 2, whole), whole, "and so it has not gone on");
        walks.may_go_on_at(then, 7, 2, first);
        assert_eq!(walks.deadline_at(then + AT_ONCE, 7, 2, whole), whole, "much later");
        assert!(!walks.are_there.load(Ordering::Relaxed));
    }

    #[test]
    fn who_never_goes_on_is_forgotten() {
        let walks = Walks::default();
        let now = Instant::now();
        for thread in 1..=200 {
            walks.may_go_on_at(now, thread, 2, now);
        }
        walks.deadline_at(now + AT_ONCE, 1, 2, now);
        assert!(walks.steps.lock().unwrap().is_empty());
    }
}
