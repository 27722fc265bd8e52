//! What a version of a secret is called here, where Parameter Store numbers single parameters.
//!
//! | text | means |
//! | --- | --- |
//! | `3` | of each of the secret's parameters its version 3 |
//! | `release-7` | of each the version that has this label |
//! | `2-9f86…` | the secret's parameters as they are now: their number, and a digest of their names, versions and times |
//!
//! No text is of two kinds: a label does not begin with a digit, and a number has no hyphen.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

/// The longest label that Parameter Store takes, in characters.
const LONGEST_LABEL: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named<'a> {
    /// A number or a label, as it is put behind a parameter's name and a `:`.
    Selector(&'a str),
    State,
}

impl<'a> Named<'a> {
    /// None for what names no version of anything.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if is_number(text) || is_label(text) {
            return Some(Self::Selector(text));
        }
        let (count, digest) = text.split_once('-')?;
        let is_state = is_number(count) && digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_state.then_some(Self::State)
    }
}

/// As Parameter Store numbers versions: from 1 on, no zero first.
pub(super) fn is_number(text: &str) -> bool {
    text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() && !text.starts_with('0')
}

/// What AWS takes for a label: letters, digits and `.-_`, neither a digit nor `aws` nor `ssm` first.
fn is_label(text: &str) -> bool {
    let reserved = |start: &str| text.get(..3).is_some_and(|text| text.eq_ignore_ascii_case(start));
    (1..=LONGEST_LABEL).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && !reserved("aws")
        && !reserved("ssm")
}

/// A parameter in the state of a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part<'a> {
    /// Empty for the secret's own parameter: no key is.
    pub(super) key: &'a str,
    pub(super) version: i64,
    /// A parameter that was deleted and made again starts at version 1 again.
    pub(super) changed: Option<SystemTime>,
}

/// The same for the same parameters in the same versions, in whatever order they come.
pub(super) fn state(mut parts: Vec<Part<'_>>) -> String {
    parts.sort();
    let mut hash = Sha256::new();
    for Part { key, version, changed } in &parts {
        let since = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |it| it.as_millis());
        hash.update(format!("{key}\0{version}\0{since}\0"));
    }
    let mut text = format!("{}-", parts.len());
    for byte in hash.finalize().iter().take(16) {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn part(key: &str, version: i64, second: u64) -> Part<'_> {
        Part { key, version, changed: Some(UNIX_EPOCH + Duration::from_secs(second)) }
    }

    #[test]
    fn a_state_is_named_by_what_is_in_it_and_not_by_its_order() {
        let now = state(vec![part("a", 1, 1), part("b", 2, 2)]);
        assert_eq!(now, state(vec![part("b", 2, 2), part("a", 1, 1)]));
        assert_eq!(Named::parse(&now), Some(Named::State));
        for other in [
            vec![part("a", 2, 1), part("b", 2, 2)],
            vec![part("a", 1, 3), part("b", 2, 2)],
            vec![part("a", 1, 1)],
            vec![part("a", 1, 1), part("c", 2, 2)],
            vec![part("", 1, 1), part("b", 2, 2)],
        ] {
            assert_ne!(now, state(other));
        }
    }

    #[test]
    fn numbers_labels_and_states_are_told_apart() {
        for selector in ["1", "100", "release-7", "a", "x_1.2", &"l".repeat(100)] {
            assert_eq!(Named::parse(selector), Some(Named::Selector(selector)));
        }
        for nothing in [
            "",
            "0",
            "01",
            "1.5",
            "7f3b8f5e-0c1b-4d53-9f0a-1f5f4f7a9d10",
            "a b",
            "a:b",
            "a/b",
            "é",
            "awsome",
            "SSM-x",
            "1-",
            "2-9f86",
            &"l".repeat(101),
            &"9".repeat(30),
        ] {
            assert_eq!(Named::parse(nothing), None, "{nothing}");
        }
    }
}
