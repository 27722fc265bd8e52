//! Who opened a file, as far as it is kept: in memory while the file is open, and in the ledger over a restart.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::access::Caller;
use crate::access::evidence::Evidence;

/// Who opened a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opener {
    /// As in [`Caller`].
    pub thread: u32,
    /// None where it was opened while a hushfs served that did not note it.
    pub who: Option<Who>,
}

/// The opener's numbers, and when it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    pub uid: u32,
    pub gid: u32,
    /// In milliseconds since 1970.
    at: u64,
    /// In milliseconds since boot: by that the thread is told from one that has its number later.
    seen: u64,
}

impl Who {
    /// The caller of a request that is answered now.
    pub fn of(evidence: &Evidence) -> Self {
        let Caller { uid, gid, .. } = *evidence.caller();
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { uid, gid, at: millis(at), seen: millis(evidence.when()) }
    }

    pub fn at(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.at)).unwrap_or(UNIX_EPOCH)
    }
}

impl Opener {
    pub fn at(&self) -> Option<SystemTime> {
        self.who.as_ref().map(Who::at)
    }

    /// To find out more of who opened it, should that process still live.
    pub fn evidence(&self) -> Option<Evidence> {
        let Who { uid, gid, seen, .. } = self.who?;
        Some(Evidence::of_then(Caller { uid, gid, pid: self.thread }, Duration::from_millis(seen)))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
