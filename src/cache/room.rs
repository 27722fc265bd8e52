//! How much memory values may take on this host.

use crate::config::Config;
use crate::secret;

/// How many bytes of values are kept: `max_bytes`, or fewer, so that all of them can be locked. Where next to nothing can
/// be locked it is `max_bytes` all the same.
pub fn room_for_values(config: &Config, lockable: Option<u64>) -> u64 {
    let largest = config.scopes.values().map(|scope| scope.cache.max_secret_bytes).max().unwrap_or(0);
    let lockable = lockable.and_then(|lockable| secret::room_in(lockable, largest));
    lockable.map_or(config.max_bytes, |room| room.min(config.max_bytes))
}
