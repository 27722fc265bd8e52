//! How much memory the kernel lets this process lock.

use std::sync::OnceLock;

use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capabilities};

/// What slots of all sizes take before there is a value in each, in bytes.
const SLACK: u64 = 1 << 20;

/// In bytes; None: without a limit. As it was when this was called first.
pub fn lockable() -> Option<u64> {
    static LOCKABLE: OnceLock<Option<u64>> = OnceLock::new();
    // The limit is raised as far as may be when the process starts.
    *LOCKABLE.get_or_init(|| getrlimit(Resource::Memlock).maximum.filter(|_| !may_lock_all()))
}

/// Without a limit.
fn may_lock_all() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK))
}

/// How many bytes of values may be kept so that all of them are locked; None where `lockable` has no room for even two
/// values of `largest` bytes, or none to speak of. A slot is up to twice as large as what is in it.
pub fn room_in(lockable: u64, largest: u64) -> Option<u64> {
    let room = lockable.saturating_sub(SLACK) / 2;
    (room > 0 && room >= largest.saturating_mul(2)).then_some(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_values_in_what_an_ordinary_user_may_lock() {
        const MIB: u64 = 1 << 20;
        assert_eq!(room_in(8 * MIB, MIB), Some(7 * MIB / 2));
        assert_eq!(room_in(8 * MIB, 2 * MIB), None);
        for lockable in [0, 1, 64 << 10, MIB] {
            assert_eq!(room_in(lockable, 0), None);
        }
    }
}
