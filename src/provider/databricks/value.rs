//! What the API says of keys, and their values as one text.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::error::not_understood;
use crate::provider::rest;
use crate::provider::{Error, ErrorKind};
use crate::secret::Secret;

/// One key of a secret scope, as `secrets/list` has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Milliseconds since 1970.
    #[serde(rename = "last_updated_timestamp")]
    pub(super) changed: Option<u64>,
}

/// The keys in an answer of `secrets/list`, by name. An empty one leaves the list out.
pub(super) fn entries(call: &str, body: &[u8]) -> Result<Vec<Entry>, Error> {
    #[derive(Deserialize)]
    struct Keys {
        #[serde(default)]
        secrets: Vec<Entry>,
    }
    let Keys { secrets: mut entries } = rest::object(body).ok_or_else(|| not_understood(call))?;
    entries.sort_unstable();
    entries.dedup_by(|a, b| a.key == b.key);
    Ok(entries)
}

/// When the last of the keys changed.
pub(super) fn newest(entries: &[Entry]) -> Option<SystemTime> {
    let millis = entries.iter().filter_map(|entry| entry.changed).max()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

/// The value in an answer of `secrets/get` of `key`. An empty one is left out.
pub(super) fn value(call: &str, key: &str, body: &[u8]) -> Result<Secret, Error> {
    #[derive(Deserialize)]
    struct Got<'a> {
        #[serde(borrow)]
        key: Cow<'a, str>,
        #[serde(borrow, default)]
        value: Option<Cow<'a, str>>,
    }
    let got: Got<'_> = rest::object(body).ok_or_else(|| not_understood(call))?;
    if got.key != key {
        return Err(not_understood(call));
    }
    let encoded = got.value.unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::new());
    STANDARD.decode_vec(encoded.as_bytes(), &mut bytes).map_err(|_| not_understood(call))?;
    Ok(Secret::from_vec(std::mem::take(&mut *bytes))?)
}

/// The same for the same keys of the same age, on every host: the newest change and a digest of all.
///
/// Where a key does not say when it changed, the values have a part in it that is of no use outside of this process.
pub(super) fn version(entries: &[Entry], values: &[(String, Secret)], digests: &impl BuildHasher) -> String {
    let mut version = of_entries(entries);
    if entries.iter().any(|entry| entry.changed.is_none()) {
        let values: Vec<(&str, &[u8])> = values.iter().map(|(key, value)| (key.as_str(), value.expose())).collect();
        version.push_str(&format!("-{:016x}", digests.hash_one(values)));
    }
    version
}

fn of_entries(entries: &[Entry]) -> String {
    let mut digest = Sha256::new();
    for Entry { key, changed } in entries {
        digest.update((key.len() as u64).to_be_bytes());
        digest.update(key.as_bytes());
        digest.update(changed.unwrap_or(0).to_be_bytes());
    }
    let newest = entries.iter().filter_map(|entry| entry.changed).max().unwrap_or(0);
    let digest: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{newest}-{digest}")
}

pub(super) fn too_large(call: &str, limit: u64) -> Error {
    Error::new(ErrorKind::TooLarge, format!("{call}: its keys together are larger than max_secret_bytes = {limit}"))
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use super::*;

    fn entry(key: &str, changed: impl Into<Option<u64>>) -> Entry {
        Entry { key: key.into(), changed: changed.into() }
    }

    fn values(pairs: &[(&str, &[u8])]) -> Vec<(String, Secret)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), Secret::copy_from(value).unwrap())).collect()
    }

    #[test]
    fn a_version_is_the_same_until_a_key_changes() {
        let digests = RandomState::new();
        let of = |entries: &[Entry]| version(entries, &[], &digests);
        let two = [entry("a", 1), entry("b", 2)];
        assert_eq!(of(&two), of(&two.clone()));
        assert!(of(&two).starts_with("2-"), "{}", of(&two));
        let others = [
            vec![entry("a", 1)],
            vec![entry("a", 1), entry("b", 3)],
            vec![entry("a", 1), entry("c", 2)],
            vec![entry("a", 2), entry("b", 2)],
            vec![],
        ];
        for other in others {
            assert_ne!(of(&two), of(&other), "{other:?}");
        }
    }

    #[test]
    fn a_value_without_a_time_has_another_version_when_it_changes() {
        let digests = RandomState::new();
        let of = |entries: &[Entry], value: &[u8]| version(entries, &values(&[("a", value)]), &digests);
        assert_ne!(of(&[entry("a", None)], b"one"), of(&[entry("a", None)], b"two"));
        assert_eq!(of(&[entry("a", None)], b"one"), of(&[entry("a", None)], b"one"));
        // With a time it says nothing of the value.
        assert_eq!(of(&[entry("a", 1)], b"one"), of(&[entry("a", 1)], b"two"));
    }

    #[test]
    fn an_empty_scope_and_an_empty_value_are_left_out_of_answers() {
        assert!(entries("c", b"{}").unwrap().is_empty());
        assert!(value("c", "k", br#"{"key":"k"}"#).unwrap().is_empty());
        assert_eq!(value("c", "k", br#"{"key":"k","value":"AP8="}"#).unwrap().expose(), b"\0\xff");
    }

    #[test]
    fn an_answer_about_something_else_is_malformed_and_not_quoted() {
        for body in [
            r#"{"key":"other","value":"Q0FOQVJZ"}"#,
            r#"{"value":"Q0FOQVJZ"}"#,
            r#"{"key":"k","value":"Q0FOQVJZ!"}"#,
            r#"{"key":"k","value":["Q0FOQVJZ"]}"#,
            r#"{"key":"k","value":"Q0FOQVJZ"#,
            "Q0FOQVJZ",
        ] {
            let Err(error) = value("c", "k", body.as_bytes()) else { panic!("{body} was taken") };
            assert!(error.kind == ErrorKind::Malformed && !error.detail.contains("Q0FO"), "{error}");
        }
        assert!(entries("c", b"[]").is_err() && entries("c", br#"{"secrets":{}}"#).is_err());
    }

    mod properties {
        use proptest::prelude::*;

        proptest! {
            #[test]
            fn no_answer_is_a_panic(body in "[\\[\\]{}:,\"a-z0-9=+/]{0,64}") {
                let _ = super::entries("c", body.as_bytes());
                let _ = super::value("c", "k", body.as_bytes());
            }
        }
    }
}
