//! Between a scope's names and the workspace's secret scopes.

use crate::provider::rest::clean;
use crate::provider::{Error, ErrorKind, SecretName};

/// The longest name of a secret scope, in characters.
const LONGEST: usize = 128;

/// The whole name of a secret scope, prefix included, of characters that one can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScopeName(String);

impl ScopeName {
    /// `NotFound` where no secret scope can have that name, without asking.
    pub(super) fn new(prefix: &str, name: &SecretName) -> Result<Self, Error> {
        let full = format!("{prefix}{name}");
        if is_possible(&full) {
            return Ok(Self(full));
        }
        let text = format!(
            "no secret scope in Databricks can be called `{}`: names have up to {LONGEST} of A-Z a-z 0-9 _ - . @ /",
            clean(&full)
        );
        Err(Error::new(ErrorKind::NotFound, text))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Databricks documents no `/`, and its own tools make such scopes.
pub(super) fn is_possible(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST && name.bytes().all(is_possible_in)
}

fn is_possible_in(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.@/".contains(&byte)
}

pub(super) fn check_prefix(prefix: &str) -> Result<(), Error> {
    if prefix.len() < LONGEST && prefix.bytes().all(is_possible_in) {
        return Ok(());
    }
    let text = format!("prefix `{}` starts no name of a secret scope: use A-Z a-z 0-9 _ - . @ /", clean(prefix));
    Err(Error::new(ErrorKind::Malformed, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_secret_scope_can_be_called_is_not_found_without_asking() {
        for name in ["a b", "é", "a\0b", "a\nb", "a&key=b", "a?b", "a%2f", &"x".repeat(129)] {
            let error = ScopeName::new("", &SecretName::new(name).unwrap()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotFound, "{name:?}");
        }
        let name = SecretName::new("team/db_1.x@y-z").unwrap();
        assert_eq!(ScopeName::new("prod-", &name).unwrap().as_str(), "prod-team/db_1.x@y-z");
    }

    #[test]
    fn a_prefix_that_starts_no_name_is_refused() {
        for prefix in ["a b", "é", "a&", &"x".repeat(128)] {
            assert!(check_prefix(prefix).is_err(), "{prefix}");
        }
        assert!(check_prefix("").is_ok() && check_prefix("prod-").is_ok());
    }
}
