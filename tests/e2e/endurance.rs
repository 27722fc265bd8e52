//! Many operations of all kinds while the provider fails in all ways, again and again: nothing grows.
//!
//! `HUSHFS_OPERATIONS` says how many.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::support::child::Guarded;
use crate::support::daemon::{Daemon, Place, descriptors, eventually, limit};
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::gcp::Gcp;

const OPERATIONS: usize = 20_000;
const THREADS: usize = 8;
const SECRETS: usize = 60;

/// What the daemon has at a moment.
#[derive(Debug)]
struct Held {
    threads: u64,
    descriptors: usize,
    tasks: u64,
    inodes: u64,
    /// KiB
    resident: u64,
    locked: u64,
}

impl Held {
    fn of(place: &Place, daemon: &Daemon) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}"));
            line.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap()
        };
        let own = place.status();
        assert_eq!(own["open"], 0, "nothing is open");
        Self {
            threads: number("Threads:"),
            descriptors: descriptors(daemon),
            tasks: own["tasks"].as_u64().unwrap(),
            inodes: own["inodes"].as_u64().unwrap(),
            resident: number("VmRSS:"),
            // Of the kernel's count everything may be a part.
            locked: own["cache"]["memory_mapped"].as_u64().unwrap() / 1024,
        }
    }
}

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most as u64) as usize
    }
}

/// One system call or a few, whatever they answer; how many.
fn operate(mnt: &Path, numbers: &mut Numbers) -> usize {
    let scope = mnt.join("cloud");
    // Some are not there.
    let secret = scope.join(format!("s{}", numbers.below(SECRETS + 5)));
    match numbers.below(100) {
        0..20 => drop(secret.join("A").metadata()),
        20..40 => drop(secret.metadata()),
        40..65 => {
            return read(&secret.join(["A", "B", ".json", ".env", ".raw", "@current/A", "NOSUCH"][numbers.below(7)]));
        }
        65..75 => return list(&secret),
        75..80 => return list(&scope),
        80..90 => drop(rustix::fs::getxattr(secret.join("A"), "user.hushfs.version", &mut [0; 256])),
        90..95 => drop(rustix::fs::listxattr(secret.join("A"), &mut [0; 1024])),
        _ => drop(secret.join("@current").read_link()),
    }
    1
}

fn read(path: &PathBuf) -> usize {
    std::fs::read(path).map_or(1, |_| 4)
}

fn list(path: &Path) -> usize {
    std::fs::read_dir(path).map_or(1, |entries| 2 + entries.count() / 20)
}

/// A reader who is killed while it reads, or before or after that.
fn killed_reader(mnt: &Path, number: usize) {
    let file = mnt.join(format!("cloud/s{}/A", number % SECRETS));
    let cat = Command::new("cat").args([&file; 8]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let cat = Guarded(cat.expect("cat runs"));
    std::thread::sleep(Duration::from_millis(number as u64 % 32));
    // It is killed as it is dropped.
    drop(cat);
}

/// Has so many operations happen, with secrets that are rotated, and gives how many there were.
fn operations(place: &Place, server: &Gcp, count: usize) -> usize {
    let done = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for thread in 0..THREADS {
            let (done, mnt) = (&done, place.mnt());
            threads.spawn(move || {
                let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15 ^ (thread as u64 + 1));
                let mut round = 0;
                while done.load(Ordering::Relaxed) < count {
                    done.fetch_add(operate(&mnt, &mut numbers), Ordering::Relaxed);
                    round += 1;
                    if round % 500 == 0 {
                        killed_reader(&mnt, round / 500);
                        let id = format!("s{}", numbers.below(SECRETS));
                        server.add_version(&id, &value(round));
                    }
                }
            });
        }
    });
    done.into_inner()
}

/// Of changing size.
fn value(round: usize) -> Vec<u8> {
    json!({"A": "x".repeat(10 + round % 3000), "B": round}).to_string().into_bytes()
}

/// Needs what only root may see of a daemon.
mod as_root {
    use super::*;

    #[test]
    fn nothing_grows_over_many_operations_with_faults_on() {
        let wanted = std::env::var("HUSHFS_OPERATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(OPERATIONS);
        let place = Place::new();
        let server = Gcp::start();
        (0..SECRETS).for_each(|number| server.create(&format!("s{number}"), &value(number)));
        let proxy = FaultProxy::start(server.address());
        place.configure(&format!(
            "[cache]\nmax_bytes = \"64KiB\"\nmax_secret_bytes = \"32KiB\"\n\
             [scopes.cloud]\nprovider = \"gcp-secret-manager\"\nproject = \"my-project\"\nendpoint_url = {:?}\n\
             auth = {{ method = \"anonymous\" }}\nttl = \"100ms\"\nlist_ttl = \"100ms\"\nnegative_ttl = \"100ms\"\n\
             timeout = \"200ms\"\ncalls = \"unlimited\"\n",
            proxy.url()
        ));
        let mut command = place.hushfs(&["mount", "--log", "error"]);
        limit(&mut command, libc::RLIMIT_NOFILE, 1024);
        let daemon = place.start(command);
        let pass = |calls| std::iter::repeat_n(Fault::Pass, calls);
        let failures = || {
            pass(6)
                .chain([Fault::HangUp, Fault::CutBody, Fault::Hang])
                .chain(pass(6))
                .chain([Fault::error(503, "Unavailable"), Fault::body("<html>")])
                .chain([Fault::Delay(Duration::from_millis(50)), Fault::body("{}")])
        };
        // Seldom: the whole scope waits after it, and longer if it comes again soon.
        let faults = || (0..5).flat_map(|_| failures()).chain([Fault::error(429, "TooMany")]).chain(pass(80));
        // As much as it takes until everything has been used once.
        let quiet = |operations: usize| {
            proxy.set_in_turn("*", [Fault::Pass]);
            eventually("nobody waits", || (place.status()["open"] == 0).then_some(()));
            // Idle connections go by themselves, in 5 s.
            eventually("no connection is left", || {
                let names = std::fs::read_dir(format!("/proc/{}/fd", daemon.child.id())).ok()?;
                let links = names.filter_map(|name| std::fs::read_link(name.ok()?.path()).ok());
                let sockets = links.filter(|link| link.to_string_lossy().starts_with("socket:")).count();
                // Three of them lead to its broker.
                (sockets <= 7).then_some(())
            });
            let held = Held::of(&place, &daemon);
            println!("after {operations} operations: {held:?}");
            held
        };
        proxy.set_in_turn("*", faults());
        let warm = operations(&place, &server, wanted / 2);
        let before = quiet(warm);
        proxy.set_in_turn("*", faults());
        let done = operations(&place, &server, wanted);
        let after = quiet(warm + done);
        let calls = proxy.all_calls();
        println!("{calls} calls to the provider, with faults in turn");

        assert!(calls >= (warm + done) / 500, "only {calls} calls could fail");
        assert!(after.threads <= before.threads + 8, "threads: {before:?} {after:?}");
        assert!(after.descriptors <= before.descriptors + 4, "descriptors: {before:?} {after:?}");
        assert!(after.tasks <= before.tasks + 4, "tasks: {before:?} {after:?}");
        assert!(after.locked <= before.locked + 1024, "locked memory: {before:?} {after:?}");
        assert!(after.inodes <= before.inodes + 4000, "inodes: {before:?} {after:?}");
        assert!(after.resident <= before.resident * 3 / 2 + 8 * 1024, "memory: {before:?} {after:?}");
        assert_eq!(daemon.stop().code(), Some(0));
    }
}
