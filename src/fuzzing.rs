//! What the targets of `tests/fuzz` call: each parser that meets the outside, with what must hold of it. A function panics
//! where that does not hold. They are beside the parsers, which are nobody else's affair.

pub use crate::access::evidence::fuzzing::proc;
pub use crate::access::policy::fuzzing::policy;
pub use crate::broker::fuzzing::broker;
pub use crate::config::fuzzing::configuration;
pub use crate::control::fuzzing::control_socket;
pub use crate::fs::fuse::fuzzing::fuse_requests;
pub use crate::handover::fuzzing::handover;
#[cfg(feature = "aws")]
pub use crate::provider::aws::fuzzing::aws;
#[cfg(feature = "azure")]
pub use crate::provider::azure_key_vault::fuzzing::azure;
#[cfg(feature = "databricks")]
pub use crate::provider::databricks::fuzzing::databricks;
#[cfg(any(feature = "gcp", feature = "rest"))]
pub use crate::provider::gcp_secret_manager::fuzzing::gcp;
#[cfg(feature = "kubernetes")]
pub use crate::provider::kubernetes::fuzzing::kubernetes;
#[cfg(feature = "local")]
pub use crate::provider::local::fuzzing::{age, dotenv, sops, yaml};
#[cfg(feature = "vault")]
pub use crate::provider::vault::fuzzing::vault;
pub use crate::tree::fuzzing::{env_by_shell, keys, names};

use crate::provider::Error;

/// Of every error, whatever was answered: one line of bounded length.
pub(crate) fn is_told_in_one_line<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(answer) => Some(answer),
        Err(error) => {
            assert!(!error.detail.contains(char::is_control), "{:?}", error.detail);
            assert!(error.detail.chars().count() < 4000, "{:?}", error.detail);
            None
        }
    }
}

/// The first byte, to choose by, and the rest.
pub(crate) fn choice(bytes: &[u8]) -> (u8, &[u8]) {
    bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest))
}
