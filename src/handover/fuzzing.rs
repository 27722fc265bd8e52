//! What systemd kept of an earlier daemon.

use super::Terms;
use crate::fs::fuse::Agreed;
use crate::fs::ledger::fuzzing::ledger;

/// A name in the store, and a ledger: terms come back from the one name that they have.
pub fn handover(bytes: &[u8]) {
    ledger(bytes);
    named(bytes);
    let Ok(name) = std::str::from_utf8(bytes) else { return };
    if let Some(terms) = Terms::from_name(name) {
        assert_eq!(terms.to_name(), name);
    }
}

fn named(bytes: &[u8]) {
    let Some((numbers, rest)) = bytes.split_first_chunk::<8>() else { return };
    let Some((flags, rest)) = rest.split_first_chunk::<8>() else { return };
    let [major, minor, a, b, c, d, e, f] = *numbers;
    let terms = Terms {
        device: format!("{major}:{minor}"),
        agreed: Agreed { flags: u64::from_ne_bytes(*flags), patience: u16::from_ne_bytes([e, f]) },
        allow_other: rest.len() % 2 == 1,
        uid: u32::from_ne_bytes([a, b, c, d]),
    };
    assert_eq!(Terms::from_name(&terms.to_name()), Some(terms));
}
