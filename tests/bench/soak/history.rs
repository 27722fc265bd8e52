//! What was written when, and so what a reader may get at a moment.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A version, or that the secret was deleted, under the next number.
#[derive(Clone, Copy)]
struct Write {
    began: Instant,
    /// None while it is under way.
    done: Option<Instant>,
    is_gone: bool,
}

/// All that was ever done to one secret; the version is the place in the list.
pub struct Secret {
    pub scope: &'static str,
    pub name: String,
    writes: Mutex<Vec<Write>>,
}

impl Secret {
    pub fn new(scope: &'static str, name: String) -> Self {
        Self { scope, name, writes: Mutex::default() }
    }

    /// `scope/name`.
    pub fn place(&self) -> String {
        format!("{}/{}", self.scope, self.name)
    }

    /// Writes the next version, or deletes the secret, with `write`.
    pub fn write(&self, is_gone: bool, write: impl FnOnce(u64)) {
        let version = {
            let mut writes = self.writes();
            writes.push(Write { began: Instant::now(), done: None, is_gone });
            writes.len() - 1
        };
        write(version as u64);
        self.writes()[version].done = Some(Instant::now());
    }

    /// The newest version that was there for sure at a moment.
    pub fn newest_done(&self, at: Instant) -> u64 {
        let writes = self.writes();
        writes.iter().rposition(|write| write.done.is_some_and(|done| done <= at)).unwrap_or(0) as u64
    }

    /// The newest that may have been there at a moment.
    pub fn newest_begun(&self, at: Instant) -> u64 {
        self.writes().iter().rposition(|write| write.began <= at).unwrap_or(0) as u64
    }

    /// May it have been deleted at some time between these?
    pub fn may_be_gone(&self, from: Instant, to: Instant) -> bool {
        let writes = self.writes();
        writes.iter().enumerate().rev().any(|(at, write)| {
            let ended = writes.get(at + 1).map_or(Some(to), |next| next.done).unwrap_or(to);
            write.is_gone && write.began <= to && ended >= from
        })
    }

    pub fn is_gone(&self) -> bool {
        self.writes().last().is_none_or(|write| write.is_gone)
    }

    /// Versions written so far.
    pub fn written(&self) -> usize {
        self.writes().len()
    }

    fn writes(&self) -> MutexGuard<'_, Vec<Write>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A moment before another; the first one that there is where there is none.
pub fn before(at: Instant, by: Duration) -> Instant {
    at.checked_sub(by).unwrap_or(at)
}
