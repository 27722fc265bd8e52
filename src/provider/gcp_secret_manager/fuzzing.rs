//! Names that Google answers, what its client library quotes of a token service, and a key file. All else of the answers is
//! read by that library.

use super::key_file;
use super::names::{Place, SecretId, id_in, is_number, is_possible_version, number_in};
use super::quoted::{code_in, without_body};
use crate::fuzzing::is_told_in_one_line;
use crate::provider::SecretName;

/// A resource's name is only what was asked for, and of an answer with a token in it only a code is told.
pub fn gcp(bytes: &[u8]) {
    if let Err(why) = key_file::parse(bytes) {
        assert!(why.len() < 100 && !why.contains(char::is_control), "{why}");
    }
    let text = String::from_utf8_lossy(bytes);
    resource(&text);
    let mut lines = text.split('\n');
    let (name, version) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    asked(name, version);
    quoted(&text);
}

fn resource(text: &str) {
    if let Some((secret, number)) = text.rsplit_once("/versions/")
        && let Some(name) = id_in(secret).and_then(SecretName::new)
        && let Some(id) = is_told_in_one_line(SecretId::new("", &name))
    {
        assert_eq!(number_in(text, &id), Some(number).filter(|number| is_number(number)));
    }
    let Some(id) = id_in(text) else { return };
    assert!(text.ends_with(&format!("/secrets/{id}")), "{text:?}");
    if let Some(id) = SecretName::new(id).and_then(|name| is_told_in_one_line(SecretId::new("", &name))) {
        assert_eq!(number_in(&format!("{text}/versions/7"), &id), Some("7"));
        assert_eq!(number_in(text, &id), None);
    }
}

/// What is asked for is below the scope's place, and its name is understood when it comes back.
fn asked(name: &str, version: &str) {
    let Some(name) = SecretName::new(name) else { return };
    let Some(id) = is_told_in_one_line(SecretId::new("p-", &name)) else { return };
    let place = Place::new("p", Some("l"));
    let secret = place.secret(&id);
    assert!(secret.starts_with(&format!("{}/secrets/p-", place.as_str())), "{secret:?}");
    assert_eq!(id_in(&secret), Some(id.as_str()));
    if is_possible_version(version) {
        let number = Some(version).filter(|version| is_number(version));
        assert_eq!(number_in(&place.version(&id, version), &id), number);
    }
}

fn quoted(text: &str) {
    check(&code_in(text));
    let told = without_body(&format!("it failed, body=<{text}>")).expect("it says that it failed");
    check(told.strip_prefix("it failed").expect("what was before it"));
    if let Some(told) = without_body(text) {
        assert!(!told.contains(", body=<"), "{told:?}");
    }
}

/// Nothing, or a code.
fn check(told: &str) {
    let code = told.strip_prefix(" (").and_then(|code| code.strip_suffix(')'));
    let is_code = |code: &str| code.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    assert!(told.is_empty() || code.is_some_and(|code| (1..=60).contains(&code.len()) && is_code(code)), "{told:?}");
}
