//! Between a scope's names and Key Vault's.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use reqwest::Url;

use crate::provider::rest::clean;
use crate::provider::{Error, ErrorKind, SecretName};

/// The longest name, in characters.
const LONGEST: usize = 127;

/// A secret's whole name, prefix included, of characters that one can have: it can lead nowhere else in a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyName(String);

impl KeyName {
    /// `NotFound` where no secret can have that name, without asking.
    pub(super) fn new(prefix: &str, name: &SecretName) -> Result<Self, Error> {
        let full = format!("{prefix}{name}");
        if is_possible(&full) {
            return Ok(Self(full));
        }
        let text = format!(
            "no secret in Key Vault can be called `{}`: names have up to {LONGEST} of A-Z a-z 0-9 -",
            clean(&full)
        );
        Err(Error::new(ErrorKind::NotFound, text))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Vaults take any case for a name; files, grants and audit have one.
    pub(super) fn is_called(&self, spelling: &str) -> Result<(), Error> {
        if self.0 == spelling {
            return Ok(());
        }
        let text = format!("no secret is called `{}`: its name is written `{}`", self.0, clean(spelling));
        Err(Error::new(ErrorKind::NotFound, text))
    }
}

pub(super) fn is_possible(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.bytes().all(is_possible_in)
}

fn is_possible_in(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

pub(super) fn check_prefix(prefix: &str) -> Result<(), Error> {
    if prefix.len() < LONGEST && prefix.bytes().all(is_possible_in) {
        return Ok(());
    }
    let text = format!("prefix `{}` starts no secret's name: use A-Z a-z 0-9 -", clean(prefix));
    Err(Error::new(ErrorKind::Malformed, text))
}

/// 32 hexadecimal digits.
pub(super) fn is_possible_version(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The name, and the version if it has one, in `https://vault/secrets/NAME[/VERSION]`.
pub(super) fn parts(id: &str) -> Option<(String, Option<String>)> {
    let url = Url::parse(id).ok()?;
    let mut parts = url.path_segments()?;
    let kind = parts.next()?;
    let name = parts.next().filter(|name| is_possible(name))?;
    let version = parts.next().filter(|version| !version.is_empty());
    let is_whole = kind == "secrets" && parts.next().is_none() && version.is_none_or(is_possible_version);
    is_whole.then(|| (name.to_owned(), version.map(str::to_owned)))
}

/// How the last listing wrote the names: what a vault says when asked for one may echo the question.
#[derive(Default)]
pub(super) struct Spellings(Mutex<HashMap<String, String>>);

impl Spellings {
    pub(super) fn replace(&self, names: impl Iterator<Item = String>) {
        let all = names.map(|name| (name.to_ascii_lowercase(), name)).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }

    /// `NotFound` if the name is known to be written otherwise.
    pub(super) fn check(&self, name: &KeyName) -> Result<(), Error> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&name.as_str().to_ascii_lowercase()).map_or(Ok(()), |spelling| name.is_called(spelling))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Result<KeyName, Error> {
        KeyName::new("", &SecretName::new(text).unwrap())
    }

    #[test]
    fn what_no_secret_can_be_called_is_not_found_without_asking() {
        for bad in ["a/b", "..", "../keys/k", "a.b", "a_b", "a b", "é", "a\0", "a?x=1", "a%2f", "a#", &"x".repeat(128)]
        {
            assert_eq!(name(bad).unwrap_err().kind, ErrorKind::NotFound, "{bad:?}");
        }
        assert_eq!(KeyName::new("prod-", &SecretName::new("db-1").unwrap()).unwrap().as_str(), "prod-db-1");
    }

    #[test]
    fn versions_are_32_hexadecimal_digits() {
        assert!(is_possible_version("0123456789abcdefABCDEF0123456789"));
        for bad in ["", "latest", "1", "../../keys/k", "0123456789abcdefABCDEF012345678g", &"a".repeat(33)] {
            assert!(!is_possible_version(bad), "{bad}");
        }
    }

    #[test]
    fn an_id_is_of_a_secret_and_of_nothing_else() {
        let version = "a".repeat(32);
        let of = |path: &str| parts(&format!("https://v.vault.azure.net:443{path}"));
        assert_eq!(of("/secrets/db"), Some(("db".into(), None)));
        assert_eq!(of("/secrets/db/"), Some(("db".into(), None)));
        assert_eq!(of(&format!("/secrets/db/{version}")), Some(("db".into(), Some(version.clone()))));
        for bad in ["", "/", "/keys/db", "/secrets", "/secrets/", "/secrets/a_b", "/secrets/db/x", "/secrets/db//x"] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(parts("db"), None);
    }

    #[test]
    fn a_name_that_is_written_otherwise_is_another() {
        let spellings = Spellings::default();
        assert!(spellings.check(&name("DB").unwrap()).is_ok(), "nothing is known yet");
        spellings.replace(["db".to_owned()].into_iter());
        assert!(spellings.check(&name("db").unwrap()).is_ok());
        assert_eq!(spellings.check(&name("DB").unwrap()).unwrap_err().kind, ErrorKind::NotFound);
    }

    mod properties {
        use proptest::prelude::*;

        proptest! {
            #[test]
            fn no_id_is_a_panic(id in "(https?://)?[a-z./:%?#@-]{0,40}") {
                let _ = super::parts(&id);
            }
        }
    }
}
