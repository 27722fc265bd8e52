//! How fast cached reads are, as a ratio to a file on tmpfs, taken in turns in one run: `make bench`.
//!
//! One operation is open, fstat, read to the end, close of a 32-byte file two directories deep. Absolute
//! times depend on the machine and its neighbours; the ratio is what can be compared.

#[path = "../support/mod.rs"]
mod support;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use support::daemon::Place;

const ROUNDS: usize = 21;
const ROUND: Duration = Duration::from_millis(200);

fn main() {
    let place = Place::new();
    let store = place.path().join("store");
    fs::create_dir_all(&store).unwrap();
    fs::write(store.join("secret.json"), r#"{"KEY":"0123456789abcdef0123456789abcdef"}"#).unwrap();
    let daemon =
        place.mount(&format!("[scopes.dev]\nprovider = \"local\"\npath = {store:?}\nallow_plaintext = true\n"));
    let mounted = place.mnt().join("dev/secret/KEY");
    let on_tmpfs = tempfile::tempdir_in("/dev/shm").expect("a tmpfs at /dev/shm");
    let plain = on_tmpfs.path().join("dev/secret/KEY");
    fs::create_dir_all(plain.parent().unwrap()).unwrap();
    fs::copy(&mounted, &plain).unwrap();
    assert_eq!(fs::read(&plain).unwrap(), fs::read(&mounted).unwrap());

    for clients in [1, 8] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(reads_per_second(&mounted, clients));
            theirs.push(reads_per_second(&plain, clients));
        }
        let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| theirs / ours).collect();
        println!(
            "{clients} client(s): {:.0} cached reads a second, {:.0} on tmpfs; tmpfs is {:.1} times as fast (median of {ROUNDS})",
            median(ours),
            median(theirs),
            median(ratios),
        );
    }
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    let rss = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    println!("the daemon's memory: {}", rss.split_whitespace().skip(1).collect::<Vec<_>>().join(" "));
}

fn reads_per_second(path: &Path, clients: usize) -> f64 {
    let start = Instant::now();
    let reads: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(|| read_for_a_round(path))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    reads as f64 / start.elapsed().as_secs_f64()
}

fn read_for_a_round(path: &Path) -> usize {
    let (start, mut reads) = (Instant::now(), 0);
    while start.elapsed() < ROUND {
        let mut file = File::open(path).unwrap();
        let size = file.metadata().unwrap().len() as usize;
        let mut value = Vec::with_capacity(size + 1);
        assert_eq!(file.read_to_end(&mut value).unwrap(), size);
        reads += 1;
    }
    reads
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
