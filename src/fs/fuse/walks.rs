//! One call of a program's is several requests, one for each part of its path: what the first of them has waited is not
//! given to the next anew.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{OsStr, OsString};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::fs::operations::GRACE;

/// So soon after one request the kernel sends the next of the same call, also on a busy machine.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Who has waited a moment ago, and may be on the way to something else.
#[derive(Default)]
pub struct Walks {
    steps: Mutex<Steps>,
    /// Read without the lock, by every request.
    are_there: AtomicBool,
}

#[derive(Default)]
struct Steps {
    by_thread: HashMap<u32, Step>,
    /// When those that did not go on were last dropped.
    tidied: Option<Instant>,
}

/// From where a call may go on.
#[derive(Debug, PartialEq, Eq)]
pub enum At {
    Node(u64),
    /// What was looked for in a directory and refused: what the kernel had known before, it looks for once more.
    Refused(u64, OsString),
}

impl At {
    fn node(&self) -> u64 {
        match self {
            Self::Node(node) | Self::Refused(node, _) => *node,
        }
    }

    fn is_followed_by(&self, node: u64, name: Option<&OsStr>) -> bool {
        match self {
            Self::Node(at) => *at == node,
            Self::Refused(at, refused) => *at == node && Some(refused.as_os_str()) == name,
        }
    }
}

struct Step {
    at: At,
    deadline: Instant,
    until: Instant,
}

impl Walks {
    /// By when a request of this thread about `node`, or a name in it, must have its answer, which is `whole` where it
    /// begins a call.
    pub fn deadline(&self, thread: u32, node: u64, name: Option<&OsStr>, whole: Instant) -> Instant {
        if self.are_there.load(Ordering::Relaxed) {
            self.deadline_at(Instant::now(), thread, (node, name), whole)
        } else {
            whole
        }
    }

    fn deadline_at(&self, now: Instant, thread: u32, (node, name): (u64, Option<&OsStr>), whole: Instant) -> Instant {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = match steps.by_thread.get(&thread) {
            Some(step) if now < step.until && step.at.is_followed_by(node, name) => Some(step.deadline),
            Some(_) => {
                steps.by_thread.remove(&thread);
                None
            }
            None => None,
        };
        if steps.tidied.is_none_or(|tidied| now.saturating_duration_since(tidied) >= AT_ONCE) {
            steps.tidied = Some(now);
            steps.by_thread.retain(|_, step| now < step.until);
        }
        self.are_there.store(!steps.by_thread.is_empty(), Ordering::Relaxed);
        begun.map_or(whole, |begun| begun.min(whole))
    }

    /// A thread that had waited was told at once what it asked about `from`: it has got to `at`, or its call is over.
    pub fn has_gone(&self, thread: u32, from: u64, at: Option<At>) {
        if self.are_there.load(Ordering::Relaxed) {
            let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
            if let Entry::Occupied(mut step) = steps.by_thread.entry(thread)
                && step.get().at.node() == from
            {
                match at {
                    Some(at) => step.get_mut().at = at,
                    None => drop(step.remove()),
                }
            }
        }
    }

    /// A thread has waited, has got to `at`, and may go on from there.
    pub fn may_go_on(&self, thread: u32, at: At, deadline: Instant) {
        self.may_go_on_at(Instant::now(), thread, at, deadline);
    }

    fn may_go_on_at(&self, now: Instant, thread: u32, at: At, deadline: Instant) {
        // Nobody, as far as we can see: it may be anybody.
        if thread == 0 {
            return;
        }
        // Who asks again and again, and has no time left, begins anew soon after.
        let until = (now + AT_ONCE).min(deadline + GRACE + AT_ONCE);
        let step = Step { at, deadline, until };
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.by_thread.insert(thread, step);
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
        let at = |now, thread, node| walks.deadline_at(now, thread, (node, Some(OsStr::new("name"))), whole);
        let waits = |now, node| walks.may_go_on_at(now, 7, At::Node(node), first);
        assert_eq!(walks.deadline(7, 1, None, first), first);
        waits(then, 2);
        // The access control list on the way, and then the next part.
        for _ in 0..2 {
            assert_eq!(at(then, 7, 2), first);
        }
        // A part that is known, and another's.
        walks.has_gone(8, 2, Some(At::Node(3)));
        walks.has_gone(7, 9, Some(At::Node(4)));
        walks.has_gone(7, 2, Some(At::Node(3)));
        assert_eq!(at(then, 7, 3), first);
        walks.has_gone(7, 3, None);
        assert_eq!(at(then, 7, 3), whole, "its call was over");
        waits(then, 2);
        assert_eq!(at(then, 8, 2), whole, "another thread");
        assert_eq!(at(then, 7, 9), whole, "another place");
        assert_eq!(at(then, 7, 2), whole, "and so it has not gone on");
        waits(then, 2);
        assert_eq!(at(then + AT_ONCE, 7, 2), whole, "much later");
        assert!(!walks.are_there.load(Ordering::Relaxed));
    }

    #[test]
    fn what_was_refused_has_no_more_time_at_once_and_all_of_it_soon_after() {
        let walks = Walks::default();
        let deadline = Instant::now();
        let (late, whole) = (deadline + GRACE, deadline + Duration::from_secs(5));
        let refused = |now| walks.may_go_on_at(now, 7, At::Refused(2, "db".into()), deadline);
        let at = |now, name: &str| walks.deadline_at(now, 7, (2, Some(OsStr::new(name))), whole);
        refused(late);
        assert_eq!(at(late, "db"), deadline);
        assert_eq!(at(late, "other"), whole, "that is another call");
        refused(late);
        let later = late + AT_ONCE / 2;
        assert_eq!(at(later, "db"), deadline);
        refused(later);
        assert_eq!(at(later + AT_ONCE / 2, "db"), whole, "whoever asks again and again");
    }

    #[test]
    fn who_never_goes_on_is_forgotten() {
        let walks = Walks::default();
        let now = Instant::now();
        for thread in 1..=200 {
            walks.may_go_on_at(now, thread, At::Node(2), now);
        }
        assert!(walks.are_there.load(Ordering::Relaxed));
        walks.deadline_at(now + GRACE + AT_ONCE, 1, (2, None), now);
        assert!(walks.steps.lock().unwrap().by_thread.is_empty() && !walks.are_there.load(Ordering::Relaxed));
    }
}
