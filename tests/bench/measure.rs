//! What the benchmarks share: an operation, how often it can be done, and the median of several tries.
#![allow(dead_code)]

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Opens, stats, reads to the end and closes.
pub fn read(path: &Path) {
    let mut file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let size = file.metadata().unwrap().len() as usize;
    let mut value = Vec::with_capacity(size + 1);
    assert_eq!(file.read_to_end(&mut value).unwrap(), size);
}

/// Reads of a file a second, by several threads at once.
pub fn reads_per_second(path: &Path, clients: usize, round: Duration) -> f64 {
    let start = Instant::now();
    let reads: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(|| times(round, || read(path)))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    reads as f64 / start.elapsed().as_secs_f64()
}

/// How often an operation is done a second, by this thread.
pub fn per_second(round: Duration, operation: impl FnMut()) -> f64 {
    let start = Instant::now();
    times(round, operation) as f64 / start.elapsed().as_secs_f64()
}

fn times(round: Duration, mut operation: impl FnMut()) -> usize {
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed() < round {
        operation();
        done += 1;
    }
    done
}

/// How many times as long each takes as the first, by the median of what was taken in turns: `rates[n]` are
/// the rates of the n-th.
pub fn times_as_long(rates: &[Vec<f64>]) -> Vec<f64> {
    let ratios = |of: &Vec<f64>| of.iter().zip(&rates[0]).map(|(rate, first)| first / rate).collect();
    rates.iter().map(|of| median(ratios(of))).collect()
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
