//! What a provider's IAM is expected to say.

use super::Known;

/// What an identity may do to one secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// May it read the current version's value?
    pub read: Known,
    /// How that was decided, in the service's words: which policy, or what kept us from knowing. One line.
    pub why: String,
}
