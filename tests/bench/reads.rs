//! How fast cached reads are, as a ratio to a file on tmpfs, taken in turns in one run: `make bench`.
//!
//! One operation is open, fstat, read to the end, close of a 32-byte file two directories deep. Absolute
//! times depend on the machine and its neighbours; the ratio is what can be compared.

mod measure;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::time::Duration;

use measure::{median, reads_per_second, times_as_long};
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
            ours.push(reads_per_second(&mounted, clients, ROUND));
            theirs.push(reads_per_second(&plain, clients, ROUND));
        }
        println!(
            "{clients} client(s): {:.0} cached reads a second, {:.0} on tmpfs; tmpfs is {:.1} times as fast (median of {ROUNDS})",
            median(ours.clone()),
            median(theirs.clone()),
            times_as_long(&[theirs, ours])[1],
        );
    }
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    let rss = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    println!("the daemon's memory: {}", rss.split_whitespace().skip(1).collect::<Vec<_>>().join(" "));
}
