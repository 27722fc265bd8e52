//! In the manner of `fsx`: whatever read(2) and its kin get from an open file, at any place, is what was there when it was
//! opened, while a writer replaces the value. What the kernel keeps by inode is another matter: see the end of
//! `docs/semantics.md`.

use std::fs::File;
use std::io::{IoSliceMut, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::{ALWAYS_ANEW, JUST_OPENED, SHORT, number_of, numbered, place};

const OPERATIONS: u64 = 6_000;
const READERS: u64 = 4;
/// So many values at least are there one after the other.
const WRITTEN: u64 = 11;

/// A linear congruential generator with Knuth's numbers: the same places in each run.
struct Places(u64);

impl Places {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most.max(1)
    }
}

/// Some operations on one open file; how many.
fn on_one_open_file(path: &Path, places: &mut Places) -> u64 {
    let start = Instant::now();
    let mut file = File::open(path).unwrap();
    let size = file.metadata().unwrap().len() as usize;
    if start.elapsed() >= JUST_OPENED {
        return 0;
    }
    let mut whole = vec![0; size];
    file.read_exact_at(&mut whole, 0).unwrap();
    assert!(whole == numbered(number_of(&whole)));
    for _ in 0..30 {
        let (at, length) = (places.below(size + 5000), places.below(9000));
        let expected = &whole[at.min(size)..(at + length).min(size).max(at.min(size))];
        let got = match places.below(4) {
            0 => {
                let mut bytes = vec![0; length];
                let got = file.read_at(&mut bytes, at as u64).unwrap();
                bytes.truncate(got);
                bytes
            }
            1 => {
                file.seek(SeekFrom::Start(at as u64)).unwrap();
                let mut bytes = Vec::new();
                Read::by_ref(&mut file).take(length as u64).read_to_end(&mut bytes).unwrap();
                bytes
            }
            2 => {
                let (mut bytes, mut more) = (vec![0; length / 2], vec![0; length - length / 2]);
                let mut copy = file.try_clone().unwrap();
                copy.seek(SeekFrom::Start(at as u64)).unwrap();
                let parts = &mut [IoSliceMut::new(&mut bytes), IoSliceMut::new(&mut more)];
                let got = file.read_vectored(parts).unwrap();
                let mut bytes = [bytes, more].concat();
                bytes.truncate(got);
                bytes
            }
            _ => {
                let told = file.metadata().unwrap().len();
                assert!(start.elapsed() >= JUST_OPENED || told == size as u64, "{told} of {size}");
                continue;
            }
        };
        assert!(got == expected, "{} bytes at {at}, of {size}: {} came", length, got.len());
    }
    31
}

fn readers_at_any_place_and_a_writer(settings: &str) {
    let (place, store) = place();
    store.put("db", &numbered(0));
    let _daemon = place.mount(&(settings.to_owned() + &store.scope("prod")));
    let (path, done, written) = (place.mnt().join("prod/db/value"), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                let (path, done, written) = (&path, &done, &written);
                scope.spawn(move || {
                    let mut places = Places(reader);
                    while done.load(Ordering::Relaxed) < OPERATIONS || written.load(Ordering::Relaxed) < WRITTEN {
                        done.fetch_add(on_one_open_file(path, &mut places), Ordering::Relaxed);
                    }
                })
            })
            .collect();
        while readers.iter().any(|reader| !reader.is_finished()) {
            let number = written.load(Ordering::Relaxed) + 1;
            store.put("db", &numbered(number));
            written.store(number, Ordering::Relaxed);
        }
    });
}

#[test]
fn whatever_is_read_from_an_open_file_is_of_its_snapshot_while_each_open_asks_the_provider() {
    readers_at_any_place_and_a_writer(ALWAYS_ANEW);
}

#[test]
fn whatever_is_read_from_an_open_file_is_of_its_snapshot_while_memory_is_refreshed() {
    readers_at_any_place_and_a_writer(SHORT);
}
