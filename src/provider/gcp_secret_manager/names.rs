//! Between a scope's names and Secret Manager's.

use crate::provider::text::clean;
use crate::provider::{Error, ErrorKind, SecretName};

/// The longest id of a secret.
const LONGEST: usize = 255;
/// The longest alias of a version.
const LONGEST_ALIAS: usize = 63;

/// Where the scope's secrets are: `projects/P`, or `projects/P/locations/L`.
pub(super) struct Place(String);

impl Place {
    pub(super) fn new(project: &str, location: Option<&str>) -> Self {
        match location {
            Some(location) => Self(format!("projects/{project}/locations/{location}")),
            None => Self(format!("projects/{project}")),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn secret(&self, id: &SecretId) -> String {
        format!("{}/secrets/{}", self.0, id.as_str())
    }

    pub(super) fn version(&self, id: &SecretId, version: &str) -> String {
        format!("{}/secrets/{}/versions/{version}", self.0, id.as_str())
    }
}

/// A secret's whole id, prefix included, of characters that an id can have: it can lead to no other resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SecretId(String);

impl SecretId {
    /// `NotFound` where no secret can have that id, without asking.
    pub(super) fn new(prefix: &str, name: &SecretName) -> Result<Self, Error> {
        let id = format!("{prefix}{name}");
        if id.len() <= LONGEST && is_possible(&id) {
            return Ok(Self(id));
        }
        Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "no secret in Secret Manager can be called `{}`: ids have up to {LONGEST} of A-Z a-z 0-9 _ -",
                clean(&id)
            ),
        ))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_possible(id: &str) -> bool {
    id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Can any secret's id start with `prefix`?
pub(super) fn is_possible_prefix(prefix: &str) -> bool {
    prefix.len() < LONGEST && is_possible(prefix)
}

/// A project's id or number; ids of old Workspace domains have a `:` and dots.
pub(super) fn is_possible_project(project: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b':');
    (1..=100).contains(&project.len())
        && project.bytes().all(plain)
        && project.starts_with(|c: char| c.is_ascii_alphanumeric())
}

pub(super) fn is_possible_location(location: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&location.len()) && location.bytes().all(plain)
}

/// Can a version be called that: a number from 1 on, an alias, or `latest`?
pub(super) fn is_possible_version(text: &str) -> bool {
    is_number(text)
        || (text.len() <= LONGEST_ALIAS && text.starts_with(|c: char| c.is_ascii_alphabetic()) && is_possible(text))
}

pub(super) fn is_number(text: &str) -> bool {
    !text.starts_with('0') && text.parse::<u64>().is_ok_and(|number| number.to_string() == text)
}

/// The number in the resource name of a version of this secret. The service answers with the project's number
/// where we said its id, so only the end is compared.
pub(super) fn number_in<'a>(resource: &'a str, id: &SecretId) -> Option<&'a str> {
    let (secret, number) = resource.rsplit_once("/versions/")?;
    let (_, secret) = secret.rsplit_once("/secrets/")?;
    (secret == id.as_str() && is_number(number)).then_some(number)
}

/// The id in the resource name of a secret.
pub(super) fn id_in(resource: &str) -> Option<&str> {
    let (_, id) = resource.rsplit_once("/secrets/")?;
    (!id.is_empty() && is_possible(id)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(prefix: &str, name: &str) -> Result<SecretId, Error> {
        SecretId::new(prefix, &SecretName::new(name).unwrap())
    }

    #[test]
    fn what_no_secret_can_be_called_is_not_found_without_asking() {
        for name in ["a/b", "..", "a.b", "a b", "é", "a\0", "a:b", "a?x=1", "a%2f", "*", &"x".repeat(256)] {
            assert_eq!(id("", name).unwrap_err().kind, ErrorKind::NotFound, "{name:?}");
        }
        assert_eq!(id("prod-", "db_1").unwrap().as_str(), "prod-db_1");
    }

    #[test]
    fn versions_are_numbers_and_aliases() {
        for good in ["1", "42", "latest", "prod", "Blue_green-2", "18446744073709551615"] {
            assert!(is_possible_version(good), "{good}");
        }
        for bad in
            ["", "0", "01", "+1", "-1", "1.0", "1a", "_a", "a/b", "..", "a b", &"x".repeat(64), "99999999999999999999"]
        {
            assert!(!is_possible_version(bad), "{bad}");
        }
    }

    #[test]
    fn the_answer_must_be_about_the_secret_that_was_asked_for() {
        let id = id("", "db").unwrap();
        assert_eq!(number_in("projects/123/secrets/db/versions/7", &id), Some("7"));
        assert_eq!(number_in("projects/123/locations/europe-west3/secrets/db/versions/7", &id), Some("7"));
        for other in ["projects/123/secrets/x/versions/7", "projects/123/secrets/db/versions/latest", "db/7", ""] {
            assert_eq!(number_in(other, &id), None, "{other}");
        }
    }

    #[test]
    fn projects_and_locations_lead_nowhere_else() {
        for good in ["my-project", "example.com:my-project", "123456789012"] {
            assert!(is_possible_project(good), "{good}");
        }
        for bad in ["", "a/b", "..", "My Project", "-a", "a?b"] {
            assert!(!is_possible_project(bad), "{bad}");
        }
        assert!(is_possible_location("europe-west3") && !is_possible_location("europe/west3"));
    }
}
