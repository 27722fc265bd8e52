//! What grants and the audit log cost a cached read, as a ratio to a mount without either: `make bench`.
//!
//! The mounts stand side by side and take turns. One operation is the one of `reads`: open, fstat, read to the
//! end, close of a 32-byte file two directories deep. Needs root, who mounts and becomes another user to read.

mod measure;
#[path = "../support/mod.rs"]
mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use measure::{median, read, reads_per_second, times_as_long};
use support::daemon::Place;
use support::plain::PlainStore;
use support::users::{STRANGER, as_user};

const ROUNDS: usize = 21;
const ROUND: Duration = Duration::from_millis(100);

struct Contender {
    what: &'static str,
    reader: u32,
    settings: String,
    audit: Option<PathBuf>,
}

fn main() {
    if !rustix::process::geteuid().is_root() {
        println!("what grants and the audit log cost is measured as root only");
        return;
    }
    let on_tmpfs = tempfile::tempdir_in("/dev/shm").expect("a tmpfs at /dev/shm");
    let on_disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let contenders = contenders(on_tmpfs.path(), on_disk.path());

    let mut mounts = Vec::new();
    for contender in &contenders {
        let place = Place::new();
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        let store = PlainStore::new(place.path(), "store");
        store.put("secret.json", br#"{"KEY":"0123456789abcdef0123456789abcdef"}"#);
        place.configure(&format!("allow_other = true\n{}{}", contender.settings, store.scope("dev")));
        mounts.push((contender, place));
    }
    let daemons: Vec<_> = mounts.iter().map(|(_, place)| place.start(place.hushfs(&["mount"]))).collect();

    for clients in [1, 8] {
        let mut rates: Vec<Vec<f64>> = vec![Vec::new(); mounts.len()];
        for _ in 0..ROUNDS {
            for ((contender, place), rates) in mounts.iter().zip(&mut rates) {
                let file = place.mnt().join("dev/secret/KEY");
                rates.push(as_user(contender.reader, || {
                    // After its turn the kernel may have forgotten what it knew.
                    read(&file);
                    reads_per_second(&file, clients, ROUND)
                }));
            }
        }
        println!("{clients} client(s), median of {ROUNDS}: {:>42}   times as long", "cached reads a second");
        for ((ratio, rates), (contender, _)) in times_as_long(&rates).iter().zip(rates).zip(&mounts) {
            println!("  {:50}{:14.0}{ratio:16.2}", contender.what, median(rates));
        }
    }
    for contender in &contenders {
        // What was measured is what is said: every read is in the log, with what runs.
        let Some(log) = contender.audit.as_ref().map(|path| fs::read_to_string(path).unwrap()) else { continue };
        let last = log.lines().rfind(|line| line.contains("\"action\":\"read\"")).expect("a read in the audit log");
        let exe = format!("\"exe\":{:?}", std::env::current_exe().unwrap());
        assert!(last.contains("\"decision\":\"allow\"") && last.contains(&exe), "{last}");
    }
    drop(daemons);
}

fn contenders(on_tmpfs: &Path, on_disk: &Path) -> Vec<Contender> {
    let program = std::env::current_exe().unwrap();
    let by_user = grant(&format!("uid:{STRANGER}"), "dev/secret");
    let elsewhere = |n| format!("dev/secret{n}");
    let here = |_| "dev/secret".to_owned();
    let audited = |what, reader, settings: &str, log: PathBuf| Contender {
        what,
        reader,
        settings: format!("{settings}[audit]\nfile = {log:?}\nrequired = true\n"),
        audit: Some(log),
    };
    let silent = |what, reader, settings| Contender { what, reader, settings, audit: None };
    vec![
        silent("no grants, no audit log", 0, String::new()),
        audited("no grants, audit log on tmpfs", 0, "", on_tmpfs.join("no-grants.log")),
        audited("no grants, audit log on disk", 0, "", on_disk.join("no-grants.log")),
        silent("a grant to the user", STRANGER, by_user.clone()),
        silent("a grant to a group", STRANGER, grant(&format!("gid:{STRANGER}"), "dev/secret")),
        silent("a grant to the executable", STRANGER, grant(&format!("exe:{}", program.display()), "dev/secret")),
        silent("to the user, 100 to others elsewhere", STRANGER, by_user.clone() + &others(100, elsewhere)),
        silent("to the user, 1,000 to others elsewhere", STRANGER, by_user.clone() + &others(1_000, elsewhere)),
        silent("to the user, 1,000 to others of this secret", STRANGER, by_user.clone() + &others(1_000, here)),
        audited("a grant to the user, audit log on tmpfs", STRANGER, &by_user, on_tmpfs.join("grants.log")),
        audited("a grant to the user, audit log on disk", STRANGER, &by_user, on_disk.join("grants.log")),
    ]
}

/// Grants to as many other users.
fn others(count: u32, place: impl Fn(u32) -> String) -> String {
    (0..count).map(|n| grant(&format!("uid:{}", 100_000 + n), &place(n))).collect()
}

fn grant(principal: &str, place: &str) -> String {
    format!("[[grant]]\nprincipals = [{principal:?}]\nactions = [\"read\"]\nresources = [{place:?}]\n")
}
