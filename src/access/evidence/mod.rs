//! What can be known of a caller, from the uid, gid and thread id that the kernel gives.
//!
//! Nothing is read before it is asked for, and nothing that is read can wait: no path is walked that could
//! lead into a mount of our own. What is in any doubt is absent. A policy must take what is absent as
//! matching no `allow` and every `deny`. `docs/access.md` says what each kind is worth.
//!
//! Why it is the caller's own, and not of a process that came after it (`thread`): whoever waits for our
//! answer can neither exit nor change what it runs, but that is the kernel's doing, so it is also checked.

mod cgroup;
#[cfg(test)]
mod evidence_test;
mod executable;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod procfs;
mod thread;

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

pub use self::cgroup::{Cgroup, Container};
pub use self::executable::Executable;
use self::thread::Thread;
use crate::access::Caller;
use crate::access::policy::{self, Finding};
use crate::broker;

/// The caller of one request, and what is known of it so far.
pub struct Evidence {
    caller: Caller,
    /// When the request was there: the caller is older. Time since boot.
    seen: Duration,
    /// The groups of a user who is asked about, and is no process.
    of_account: Option<Vec<u32>>,
    thread: OnceLock<Option<Thread>>,
    executable: OnceLock<Option<Executable>>,
    cgroup: OnceLock<Option<Cgroup>>,
}

/// What people are told of a caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    pub tgid: Option<u32>,
    pub executable: Option<PathBuf>,
    pub unit: Option<String>,
    pub container: Option<String>,
}

impl Evidence {
    /// To be called when the request arrives. Reads nothing but the clock.
    pub fn of(caller: Caller) -> Self {
        Self {
            caller,
            seen: since_boot(),
            of_account: None,
            thread: OnceLock::new(),
            executable: OnceLock::new(),
            cgroup: OnceLock::new(),
        }
    }

    /// The caller of a request that was there at this time since boot.
    pub fn of_then(caller: Caller, then: Duration) -> Self {
        Self { seen: then, ..Self::of(caller) }
    }

    /// When the request was there, since boot.
    pub fn when(&self) -> Duration {
        self.seen
    }

    /// What has been found out so far; looks for nothing more.
    pub fn seen(&self) -> Seen {
        let cgroup = self.cgroup.get().and_then(Option::as_ref);
        Seen {
            tgid: self.thread.get().and_then(Option::as_ref).map(|thread| thread.status().tgid),
            executable: self.executable.get().and_then(Option::as_ref).map(|it| it.shown().to_owned()),
            unit: cgroup.and_then(Cgroup::unit).map(str::to_owned),
            container: cgroup.and_then(Cgroup::container).map(|container| container.id.clone()),
        }
    }

    /// A process, or a thread, as if it were asking now. None if there is none of this id, or none that
    /// may be looked at.
    pub fn of_live(pid: u32) -> Option<Self> {
        let thread = Thread::of_live(pid)?;
        let status = thread.status();
        let evidence = Self::of(Caller { uid: status.uid, gid: status.gid, pid });
        // Nothing else can have set it.
        let _ = evidence.thread.set(Some(thread));
        Some(evidence)
    }

    /// A user as such, with these supplementary groups: whatever is a process's own is not known.
    pub fn of_account(uid: u32, gid: u32, groups: Vec<u32>) -> Self {
        Self { of_account: Some(groups), ..Self::of(Caller { uid, gid, pid: 0 }) }
    }

    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The process that the calling thread is of.
    pub fn tgid(&self) -> Option<u32> {
        self.thread().map(|thread| thread.status().tgid)
    }

    /// The calling thread's supplementary groups; its primary one is the caller's `gid`.
    pub fn groups(&self) -> Option<&[u32]> {
        if let Some(groups) = &self.of_account {
            return Some(groups);
        }
        self.thread()?.status().groups.as_deref()
    }

    /// What the calling process runs.
    pub fn executable(&self) -> Option<&Executable> {
        self.executable.get_or_init(|| self.while_the_same(what_is_run_by)).as_ref()
    }

    /// The calling thread's control group, and what that says of units and containers. A unit or a
    /// container that is None in it is known to be none.
    pub fn cgroup(&self) -> Option<&Cgroup> {
        self.cgroup.get_or_init(|| self.while_the_same(Cgroup::of)).as_ref()
    }

    /// Reads what people are told of a caller (process, executable, control group), with fewer checks than
    /// one by one.
    pub fn gather(&self) {
        if self.executable.get().is_some() || self.cgroup.get().is_some() {
            return;
        }
        let both = self.while_the_same(|thread| Some((what_is_run_by(thread), Cgroup::of(thread))));
        let (executable, cgroup) = both.unwrap_or_default();
        // Whoever was faster has found the same, or less.
        let _ = self.executable.set(executable);
        let _ = self.cgroup.set(cgroup);
    }

    fn thread(&self) -> Option<&Thread> {
        self.thread.get_or_init(|| Thread::of(&self.caller, self.seen)).as_ref()
    }

    /// What `read` finds, if the thread is what it was before.
    fn while_the_same<T>(&self, read: impl FnOnce(&Thread) -> Option<T>) -> Option<T> {
        let thread = self.thread()?;
        let found = read(thread)?;
        thread.is_the_same().then_some(found)
    }
}

/// In its sandbox the daemon may not look into other processes, and has its broker look.
fn what_is_run_by(thread: &Thread) -> Option<Executable> {
    match broker::installed() {
        Some(broker) => {
            let (shown, is_here) = broker.executable(thread.directory().as_fd())?;
            Some(Executable::found(shown, is_here))
        }
        None => Executable::of(thread),
    }
}

/// What a thread runs, by its folder in `/proc`, for whoever may look where the daemon may not. None where it is no such
/// folder, or begins to run something else meanwhile.
pub fn what_runs(directory: OwnedFd) -> Option<Executable> {
    let thread = Thread::of_directory(directory)?;
    let found = Executable::of(&thread)?;
    thread.is_the_same().then_some(found)
}

/// What there is none of is known to be none only where the control group is known.
impl policy::Evidence for Evidence {
    fn unit(&self) -> Finding<'_> {
        self.cgroup().map_or(Finding::Unknown, |cgroup| cgroup.unit().map_or(Finding::Absent, Finding::Is))
    }

    fn cgroup(&self) -> Finding<'_> {
        self.cgroup().map_or(Finding::Unknown, |cgroup| Finding::Is(cgroup.path()))
    }

    fn container(&self) -> Finding<'_> {
        self.cgroup().map_or(Finding::Unknown, |cgroup| {
            cgroup.container().map_or(Finding::Absent, |container| Finding::Is(container.id.as_str()))
        })
    }

    /// A file that is at no path of ours could be any.
    fn executable(&self) -> Finding<'_> {
        let path = self.executable().and_then(Executable::path);
        path.and_then(|path| path.to_str()).map_or(Finding::Unknown, Finding::Is)
    }
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence").field("caller", &self.caller).finish_non_exhaustive()
    }
}

/// Counts time asleep, as the kernel does for a process's start.
fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // It starts at zero, so neither part is ever negative.
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
