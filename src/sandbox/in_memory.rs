//! All of the daemon's memory is locked, where there is no limit on that: what connections have received, and what libraries
//! make of it, is not [`crate::secret`]'s, and would be written to swap.
//!
//! With a limit values alone are locked. Once everything counts, the kernel refuses each mapping beyond the limit, a
//! thread's stack among them.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities};

static HOLDS: AtomicBool = AtomicBool::new(false);

/// Is nothing of this process ever in swap?
pub fn holds() -> bool {
    HOLDS.load(Ordering::Relaxed)
}

/// For good, and for this process alone: neither a fork nor a program that is started has it. To be called once the process
/// has no other capabilities than it keeps, for the kernel looks for them at each mapping; and before its system calls are
/// filtered.
pub fn enter() {
    let limit = getrlimit(Resource::Memlock);
    let locked = if limit.current.is_none() {
        lock().inspect_err(|error| {
            tracing::warn!(
                "cannot lock all memory of the daemon, though there is no limit on that: {error}; values are locked, but what \
                 libraries hold while they receive them could be written to swap: turn swap off, encrypt it, or have \
                 MemorySwapMax=0 in the unit"
            );
        })
    } else if may_exceed_limits() {
        lock_beyond(limit).inspect_err(|error| tracing::debug!("only values are locked, not all memory: {error}"))
    } else {
        return;
    };
    HOLDS.store(locked.is_ok(), Ordering::Relaxed);
}

/// What is there, and what comes, each page from when it is first used.
fn lock() -> io::Result<()> {
    Ok(mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)?)
}

fn may_exceed_limits() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK))
}

/// In a user namespace the capability lifts no limit. With nothing left of the limit, only whom none binds may lock.
fn lock_beyond(limit: Rlimit) -> io::Result<()> {
    setrlimit(Resource::Memlock, Rlimit { current: Some(0), maximum: limit.maximum })?;
    let locked = lock();
    // What it was before is allowed again.
    let _ = setrlimit(Resource::Memlock, limit);
    locked
}
