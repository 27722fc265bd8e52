//! Capabilities: the parts of root's power, given up for good.

use std::io;

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

/// Of this thread, and of those that it starts, nothing but what is kept of what it has. What is in no set any more cannot
/// come back, not with a program that is started either.
///
/// # Errors
/// Where the kernel refuses what every kernel allows.
pub fn keep(kept: CapabilitySet) -> io::Result<()> {
    let now = capabilities(None)?;
    if now.effective.contains(CapabilitySet::SETPCAP) {
        let each = (0..u64::BITS).map(|number| CapabilitySet::from_bits_retain(1 << number));
        for capability in each.filter(|capability| !kept.contains(*capability)) {
            match capability_is_in_bounding_set(capability) {
                Ok(true) => remove_capability_from_bounding_set(capability)?,
                // A kernel that is older than the capability.
                Ok(false) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    match clear_ambient_capability_set() {
        // Before Linux 4.3 there is none.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(errno) => return Err(errno.into()),
    }
    hold(kept)
}

/// As [`keep`], but what a program that is started may have stays what it was.
///
/// # Errors
/// As [`keep`].
pub fn hold(kept: CapabilitySet) -> io::Result<()> {
    let kept = capabilities(None)?.permitted.intersection(kept);
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    Ok(set_capabilities(None, sets)?)
}

/// Which of these there are, as capabilities(7) names them without `CAP_`.
pub fn names(of: CapabilitySet) -> String {
    of.iter_names().map(|(name, _)| name.to_lowercase()).collect::<Vec<_>>().join(" ")
}
