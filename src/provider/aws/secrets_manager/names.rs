//! Between a scope's names and Secrets Manager's.

use std::fmt;

use crate::provider::text::clean;
use crate::provider::{Error, ErrorKind, SecretName};

/// The longest name that Secrets Manager takes, in characters.
const LONGEST: usize = 512;

/// A secret's whole name, prefix included, of characters that a name can have.
///
/// Never an ARN: `SecretId` accepts both, and a name that is an ARN could reach outside the scope. No
/// name holds a `:`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FullName(String);

impl FullName {
    /// `NotFound` where no secret can have that name, without asking.
    pub(super) fn new(prefix: &str, name: &SecretName) -> Result<Self, Error> {
        let full = format!("{prefix}{name}");
        if full.len() <= LONGEST && is_possible(&full) {
            return Ok(Self(full));
        }
        Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "no secret in Secrets Manager can be called `{}`: names have up to {LONGEST} of A-Z a-z 0-9 / _ + = . @ - !",
                clean(&full)
            ),
        ))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FullName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `!` is in the names of secrets that other AWS services manage; first, it would negate a filter.
fn is_possible(name: &str) -> bool {
    !name.starts_with('!')
        && name.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'+' | b'=' | b'.' | b'@' | b'-' | b'!')
        })
}

/// Can any secret's name start with `prefix`?
pub(super) fn is_possible_prefix(prefix: &str) -> bool {
    prefix.len() < LONGEST && is_possible(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(prefix: &str, name: &str) -> Result<FullName, Error> {
        FullName::new(prefix, &SecretName::new(name).unwrap())
    }

    #[test]
    fn an_arn_is_not_a_name() {
        let error = full("", "arn:aws:secretsmanager:us-east-1:123456789012:secret:other-AbCdEf").unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
    }

    #[test]
    fn what_no_secret_can_be_called_is_not_found_without_asking() {
        for name in ["a b", "é", "a\0b", "a\nb", "a\\b", "!a", "a*", &"x".repeat(513)] {
            assert_eq!(full("", name).unwrap_err().kind, ErrorKind::NotFound, "{name:?}");
        }
    }

    #[test]
    fn the_prefix_comes_first() {
        assert_eq!(full("prod/", "rds!cluster-1/_+=.@-").unwrap().as_str(), "prod/rds!cluster-1/_+=.@-");
        assert!(full("", &"x".repeat(512)).is_ok());
    }
}
