//! What the process gives up, so that a mistake elsewhere costs less.

mod capabilities;
mod process;

use std::io;

use rustix::thread::{CapabilitySet, set_no_new_privs};

pub use self::process::harden;

/// What the daemon's broker needs: to mount, to look which program a caller runs, and to find the way to the mountpoint.
const KEPT_BY_BROKER: CapabilitySet =
    CapabilitySet::SYS_ADMIN.union(CapabilitySet::SYS_PTRACE).union(CapabilitySet::DAC_READ_SEARCH);

/// What the broker gives up. fusermount3, which mounts for who is not root, is setuid, and so is no program that has given
/// up new privileges.
///
/// # Errors
/// Where the kernel refuses what every kernel allows.
pub fn confine_broker() -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        set_no_new_privs(true)?;
    }
    capabilities::keep(KEPT_BY_BROKER)
}
