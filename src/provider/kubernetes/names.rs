//! Between a scope's names and the namespace's objects.

use crate::provider::rest::clean;
use crate::provider::{Error, ErrorKind, SecretName};

/// The longest name of an object, in characters.
const LONGEST: usize = 253;

/// The whole name of an object, prefix included, as one can be called: a DNS subdomain, of labels with dots between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObjectName(String);

impl ObjectName {
    /// `NotFound` where no object can have that name, without asking.
    pub(super) fn new(prefix: &str, name: &SecretName) -> Result<Self, Error> {
        let full = format!("{prefix}{name}");
        if is_possible(&full) {
            return Ok(Self(full));
        }
        let text = format!(
            "nothing in Kubernetes can be called `{}`: names have up to {LONGEST} of a-z 0-9 - and .",
            clean(&full)
        );
        Err(Error::new(ErrorKind::NotFound, text))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name in a scope of an object that has been listed; None if it is not in the scope.
pub(super) fn relative(prefix: &str, full: &str) -> Option<SecretName> {
    SecretName::new(full.strip_prefix(prefix).filter(|_| is_possible(full))?)
}

fn is_possible(name: &str) -> bool {
    let of_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(of_label) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= LONGEST && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_object_can_be_called_is_not_found_without_asking() {
        for name in ["a b", "é", "A", "a/b", "..", "a..b", ".a", "a.", "-a", "a-", "a?b", "a%2f", &"x".repeat(254)] {
            let error = ObjectName::new("", &SecretName::new(name).unwrap()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotFound, "{name:?}");
        }
        let name = SecretName::new("db.internal-1").unwrap();
        assert_eq!(ObjectName::new("prod-", &name).unwrap().as_str(), "prod-db.internal-1");
    }

    #[test]
    fn only_what_has_the_prefix_and_something_behind_it_is_in_the_scope() {
        assert_eq!(relative("prod-", "prod-db").unwrap().as_str(), "db");
        assert!(relative("prod-", "prod-").is_none() && relative("prod-", "db").is_none());
        assert!(relative("", "../x").is_none());
    }
}
