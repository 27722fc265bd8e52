//! The process itself: no core dumps, no debugger of the same user, and room for locked memory.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Called first, before any value is in memory.
///
/// # Errors
///
/// Where the kernel refuses what every kernel allows; the daemon must then not start.
pub fn harden() -> std::io::Result<()> {
    // The first: what is in /proc of a process that is not dumpable is root's.
    leave_out_of_images();
    hide()?;
    if !keeps_core_limit() {
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    }
    raise(Resource::Memlock);
    raise(Resource::Nofile);
    Ok(())
}

/// An image that the kernel makes, or a debugger that asks it what belongs into one, as gcore does, has no memory of this
/// process, nor of those that it starts.
fn leave_out_of_images() {
    if let Err(error) = std::fs::write("/proc/self/coredump_filter", "0") {
        tracing::debug!(
            "memory cannot be left out of images, but that of values is: /proc/self/coredump_filter: {error}"
        );
    }
}

/// Is the limit on core dumps left as it is, so that nothing is in the way of one but [`hide`]? Never in a release build;
/// for `tests/e2e/as_root/core_dumps.rs`.
fn keeps_core_limit() -> bool {
    cfg!(debug_assertions) && std::env::var_os("HUSHFS_TEST_KEEPS_CORE_LIMIT").is_some()
}

/// No debugger of the same user, and no core dump. To be called again once the process has become another user: the kernel
/// makes it then what `fs.suid_dumpable` says.
///
/// # Errors
/// As [`harden`].
pub fn hide() -> std::io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// To the most that is allowed. It can only fail to raise; `hushfs status` shows what could not be locked.
fn raise(resource: Resource) {
    let limit = getrlimit(resource);
    let _ = setrlimit(resource, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
