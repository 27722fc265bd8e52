//! Does a thread that serves the kernel hang? Each is either waiting for a message, and then the kernel wakes it, or
//! taking one, which takes none of them long.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the threads leave for somebody who looks after them.
pub struct Pulse {
    /// For each, how often it has begun and ended to take a message: odd while it takes one.
    threads: Vec<AtomicU64>,
}

/// What was seen at a look.
#[derive(Debug, Default)]
pub struct Look(Vec<u64>);

impl Pulse {
    pub fn new(threads: usize) -> Self {
        Self { threads: (0..threads).map(|_| AtomicU64::new(0)).collect() }
    }

    /// A thread takes a message until what is returned is dropped.
    #[must_use]
    pub fn taking(&self, thread: usize) -> Taking<'_> {
        Taking::begin(self.threads.get(thread))
    }

    pub fn look(&self) -> Look {
        Look(self.threads.iter().map(|thread| thread.load(Ordering::Relaxed)).collect())
    }
}

impl Look {
    /// A thread that takes the very message that it took at the earlier look: such a thread waits for something, which
    /// none ever does.
    pub fn stuck_since(&self, earlier: &Self) -> Option<usize> {
        self.0.iter().zip(&earlier.0).position(|(now, then)| now == then && now % 2 == 1)
    }
}

/// A message being taken.
pub struct Taking<'a>(Option<&'a AtomicU64>);

impl<'a> Taking<'a> {
    fn begin(thread: Option<&'a AtomicU64>) -> Self {
        let taking = Self(thread);
        taking.count();
        taking
    }

    fn count(&self) {
        if let Some(thread) = self.0 {
            thread.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        self.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_stuck_if_it_takes_one_message_at_two_looks() {
        let pulse = Pulse::new(2);
        let at_rest = pulse.look();
        assert_eq!(pulse.look().stuck_since(&at_rest), None, "nothing to do is no trouble");
        let taking = pulse.taking(1);
        let busy = pulse.look();
        assert_eq!(busy.stuck_since(&at_rest), None, "it has only begun");
        assert_eq!(pulse.look().stuck_since(&busy), Some(1));
        drop(taking);
        assert_eq!(pulse.look().stuck_since(&busy), None, "it has ended");
        let _another = pulse.taking(1);
        assert_eq!(pulse.look().stuck_since(&busy), None, "it takes another message");
    }

    #[test]
    fn a_message_whose_taking_panics_is_over() {
        let pulse = Pulse::new(2);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _taking = pulse.taking(0);
            panic!("as a defect would");
        }));
        assert!(caught.is_err());
        let look = pulse.look();
        assert_eq!(pulse.look().stuck_since(&look), None);
    }
}
