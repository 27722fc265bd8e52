//! Lets go whoever waits for a mount that no daemon serves, where the kernel does not do so by itself (before Linux
//! 6.15): a process of its own, and a unit of its own, for process 1, which starts daemons, may be among those who wait.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::fs::located;
use crate::fs::mount::{self, State};

/// Between looks.
const EVERY: Duration = Duration::from_secs(5);
/// How long a mount may not answer. A crash, a restart and a daemon that hangs under systemd's watchdog are over sooner.
const LONGEST: Duration = Duration::from_secs(30);

/// Which mounts do not answer, and since when.
#[derive(Debug, Default)]
struct Hung(BTreeMap<PathBuf, Instant>);

impl Hung {
    /// Of what does not answer now, what has not answered for too long.
    fn overdue(&mut self, hung: BTreeSet<PathBuf>, now: Instant) -> Vec<PathBuf> {
        self.0.retain(|mountpoint, _| hung.contains(mountpoint));
        for mountpoint in hung {
            self.0.entry(mountpoint).or_insert(now);
        }
        let since = self.0.iter().filter(|(_, since)| now.saturating_duration_since(**since) >= LONGEST);
        since.map(|(mountpoint, _)| mountpoint.clone()).collect()
    }
}

/// Looks after every mount of hushfs on this host, for good.
///
/// # Errors
/// Where the table of mounts cannot be read.
pub fn run() -> io::Result<std::convert::Infallible> {
    let mut hung = Hung::default();
    loop {
        std::thread::sleep(EVERY);
        let mut silent = BTreeSet::new();
        for mountpoint in located::mounts()? {
            if mount::state(&mountpoint)? == State::Hung {
                silent.insert(mountpoint);
            }
        }
        for mountpoint in hung.overdue(silent, Instant::now()) {
            tracing::error!(
                "nobody has served {} for {} seconds: whoever waits for it is let go",
                mountpoint.display(),
                LONGEST.as_secs()
            );
            if let Err(error) = mount::give_up(&mountpoint) {
                tracing::error!("{error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_been_silent_all_the_time_is_overdue() {
        let silent = |names: &[&str]| names.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
        let (began, mut hung) = (Instant::now(), Hung::default());
        assert!(hung.overdue(silent(&["/a", "/b"]), began).is_empty());
        assert!(hung.overdue(silent(&["/a"]), began + LONGEST / 2).is_empty(), "/b has answered");
        assert_eq!(hung.overdue(silent(&["/a", "/b"]), began + LONGEST), [PathBuf::from("/a")]);
        assert!(hung.overdue(silent(&["/b"]), began + LONGEST).is_empty(), "/a is gone");
        assert_eq!(hung.overdue(silent(&["/b"]), began + 2 * LONGEST), [PathBuf::from("/b")]);
    }
}
