//! Files of which the kernel may have values in its page cache.
//!
//! read(2) puts nothing there. What mmap(2), sendfile(2) and splice(2) read stays there until the kernel is told to drop
//! it, or the file is opened again. It is told once nobody has the file open any more ([`Handles`](super::handles)), which
//! is noted here as often as it happens and asked for by the thread that tells.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The files, by inode: never more than are open, and were closed a moment ago.
#[derive(Default)]
pub struct Pages {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Something of them was read into the page cache.
    filled: BTreeSet<u64>,
    /// Of those, the ones that were closed since the last were asked for; each once, however often.
    closed: BTreeSet<u64>,
    is_over: bool,
}

impl Pages {
    /// The kernel reads something of a file into its page cache, or has done so.
    pub fn fill(&self, ino: u64) {
        self.lock().filled.insert(ino);
    }

    /// May the kernel have something of the file?
    pub fn are_of(&self, ino: u64) -> bool {
        self.lock().filled.contains(&ino)
    }

    /// Nobody has a file open any more.
    pub fn close(&self, ino: u64) {
        let mut state = self.lock();
        if state.filled.contains(&ino) && state.closed.insert(ino) {
            self.changed.notify_one();
        }
    }

    /// The kernel is being told to drop what it has of a file.
    pub fn empty(&self, ino: u64) {
        self.lock().filled.remove(&ino);
    }

    /// Waits for files that were closed. None once nobody serves the kernel any more.
    pub fn closed(&self) -> Option<BTreeSet<u64>> {
        let mut state = self.lock();
        while !state.is_over {
            if !state.closed.is_empty() {
                return Some(std::mem::take(&mut state.closed));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    /// Nobody serves the kernel any more.
    pub fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_asked_for_once_however_often_it_was_closed_and_never_if_nothing_of_it_was_read() {
        let pages = Pages::default();
        pages.fill(5);
        for _ in 0..1000 {
            pages.close(5);
            pages.close(6);
        }
        assert_eq!(pages.closed(), Some(BTreeSet::from([5])));
        // Still there: it may have been opened meanwhile, and then nobody is told.
        assert!(pages.are_of(5));
        pages.close(5);
        assert_eq!(pages.closed(), Some(BTreeSet::from([5])));
        pages.empty(5);
        pages.close(5);
        pages.end();
        assert_eq!(pages.closed(), None);
    }

    #[test]
    fn who_waits_for_a_file_is_woken_by_it_and_by_the_end() {
        let pages = Pages::default();
        std::thread::scope(|threads| {
            let waiting = threads.spawn(|| (pages.closed(), pages.closed()));
            pages.fill(7);
            pages.close(7);
            while !pages.lock().closed.is_empty() {
                std::thread::yield_now();
            }
            pages.end();
            assert_eq!(waiting.join().unwrap(), (Some(BTreeSet::from([7])), None));
        });
    }
}
