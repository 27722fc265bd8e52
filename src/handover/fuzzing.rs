//! What systemd kept of an earlier daemon.

use super::Terms;
use crate::fs::ledger::fuzzing::ledger;

/// A name in the store, and a ledger: terms come back from the one name that they have.
pub fn handover(bytes: &[u8]) {
    ledger(bytes);
    let Ok(name) = std::str::from_utf8(bytes) else { return };
    if let Some(terms) = Terms::from_name(name) {
        assert_eq!(terms.to_name(), name);
        assert_eq!(Terms::from_name(&terms.to_name()), Some(terms));
    }
}
