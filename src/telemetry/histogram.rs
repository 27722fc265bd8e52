//! Durations, counted without a lock: what a read adds costs two atomic additions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in microseconds: from a read that memory answers to the longest wait.
const BOUNDS: [u64; 15] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 25_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];

/// How many durations fell into each bucket since the start, and their sum.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One for each bound, and one for what is longer.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

/// What a histogram held at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The upper bound of each bucket in seconds, the last of which is infinite, and what is in this one alone.
    pub buckets: Vec<(f64, u64)>,
    /// In seconds.
    pub sum: f64,
    pub count: u64,
}

impl Histogram {
    pub fn observe(&self, duration: Duration) {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let index = BOUNDS.partition_point(|bound| *bound < microseconds);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    pub fn read(&self) -> Reading {
        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> =
            bounds.zip(self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed))).collect();
        // Of the buckets as they were read: counted by itself it could differ from them.
        let count = buckets.iter().map(|(_, count)| count).sum();
        Reading { buckets, sum: self.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let histogram = Histogram::default();
        for microseconds in [0, 50, 51, 1_000, 10_000_000, 10_000_001] {
            histogram.observe(Duration::from_micros(microseconds));
        }
        let Reading { buckets, sum, count } = histogram.read();
        let filled: Vec<(f64, u64)> = buckets.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(filled, [(0.00005, 2), (0.0001, 1), (0.001, 1), (10.0, 1), (f64::INFINITY, 1)]);
        assert_eq!(count, 6);
        assert_eq!(histogram.count(), 6);
        assert!((sum - 20.001_102).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn the_longest_duration_there_is_does_no_harm() {
        let histogram = Histogram::default();
        histogram.observe(Duration::MAX);
        assert_eq!(histogram.count(), 1);
    }
}
