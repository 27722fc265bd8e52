//! Out of Vault's JSON: fields are taken from the text as they are written, so a number keeps its digits.

use std::collections::BTreeMap;
use std::io;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error;
use crate::provider::rest::object;
use crate::provider::{Error, Payload};
use crate::secret::{Secret, SecretWriter};

/// What a login or a renewal gives.
#[derive(Deserialize)]
pub(super) struct Auth {
    pub(super) client_token: String,
    pub(super) lease_duration: u64,
    pub(super) renewable: bool,
}

/// A secret as version 2 of the engine answers it.
#[derive(Deserialize)]
pub(super) struct Versioned<'a> {
    /// None where this version was deleted.
    #[serde(borrow)]
    pub(super) data: Option<Fields<'a>>,
    pub(super) metadata: VersionMetadata,
}

/// The fields of a secret, each as it is written.
pub(super) type Fields<'a> = BTreeMap<String, &'a RawValue>;

#[derive(Deserialize)]
pub(super) struct VersionMetadata {
    pub(super) version: u64,
    pub(super) created_time: String,
    pub(super) custom_metadata: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) destroyed: bool,
}

/// What is kept of a secret besides its values.
#[derive(Deserialize)]
pub(super) struct Metadata {
    pub(super) current_version: u64,
    #[serde(default)]
    pub(super) versions: BTreeMap<String, VersionState>,
}

#[derive(Deserialize)]
pub(super) struct VersionState {
    pub(super) created_time: String,
    #[serde(default)]
    pub(super) deletion_time: String,
    #[serde(default)]
    pub(super) destroyed: bool,
}

/// # Errors
/// It is not of that form. The text has none of it.
pub(super) fn data<'a, T: Deserialize<'a>>(call: &str, body: &'a [u8]) -> Result<T, Error> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        data: Option<&'a RawValue>,
    }
    let data = object(body).and_then(|Envelope { data }| object(data?.get().as_bytes()));
    data.ok_or_else(|| error::not_understood(call))
}

pub(super) fn auth(call: &str, body: &[u8]) -> Result<Auth, Error> {
    #[derive(Deserialize)]
    struct Login {
        auth: Option<Auth>,
    }
    object(body).and_then(|Login { auth }| auth).ok_or_else(|| error::not_understood(call))
}

/// Is it an answer of Vault's, one that has data or would have?
pub(super) fn is_envelope(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Any {
        request_id: serde::de::IgnoredAny,
    }
    object(body).is_some_and(|Any { request_id: serde::de::IgnoredAny }| true)
}

/// `2026-11-25T03:22:17.007062537Z`
pub(super) fn time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}

/// Has a version gone that was to be deleted at `deletion_time` (empty: never)?
pub(super) fn is_gone(destroyed: bool, deletion_time: &str, now: SystemTime) -> bool {
    destroyed || (!deletion_time.is_empty() && time(deletion_time).is_none_or(|at| at <= now))
}

/// The fields as one JSON object, sorted by name, and each by itself.
pub(super) fn payload(call: &str, fields: &Fields<'_>) -> Result<Payload, Error> {
    let mut keys = Vec::with_capacity(fields.len());
    for (name, text) in fields {
        keys.push((name.clone(), contents(text.get()).map_err(|error| of_io(call, error))?));
    }
    Ok(Payload { raw: whole(fields).map_err(|error| of_io(call, error))?, keys: Some(keys) })
}

/// serde's own message may quote the value.
fn of_io(call: &str, error: io::Error) -> Error {
    if error.get_ref().is_some_and(|inner| inner.is::<serde_json::Error>()) {
        return error::not_understood(call);
    }
    error.into()
}

fn whole(fields: &Fields<'_>) -> io::Result<Secret> {
    let mut writer = SecretWriter::new();
    let mut separator = "{";
    for (name, text) in fields {
        writer.push(separator.as_bytes())?;
        serde_json::to_writer(&mut writer, name)?;
        writer.push(b":")?;
        compact(&mut writer, text.get())?;
        separator = ",";
    }
    writer.push(if fields.is_empty() { b"{}" } else { b"}" })?;
    Ok(writer.finish())
}

/// What the file of a field holds: a string's bytes, nothing for null, anything else as compact JSON.
fn contents(text: &str) -> io::Result<Secret> {
    match text.as_bytes().first() {
        Some(b'"') => Secret::from_string(serde_json::from_str::<String>(text).map_err(io::Error::other)?),
        Some(b'n') => Secret::copy_from(b""),
        _ => {
            let mut writer = SecretWriter::new();
            compact(&mut writer, text)?;
            Ok(writer.finish())
        }
    }
}

/// `text`, which is valid JSON, without the white space outside its strings.
fn compact(writer: &mut SecretWriter, text: &str) -> io::Result<()> {
    let (mut inside, mut after_backslash) = (false, false);
    let pieces = text.split(|c: char| {
        let was_inside = inside;
        match c {
            _ if after_backslash => after_backslash = false,
            '"' => inside = !inside,
            '\\' => after_backslash = inside,
            _ => {}
        }
        !was_inside && matches!(c, ' ' | '\t' | '\n' | '\r')
    });
    for piece in pieces {
        writer.push(piece.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &str) -> Result<Payload, Error> {
        let body =
            format!(r#"{{"request_id":"r","data":{{"data":{fields},"metadata":{{"version":1,"created_time":""}}}}}}"#);
        let versioned: Versioned<'_> = data("read", body.as_bytes())?;
        payload("read", &versioned.data.unwrap())
    }

    #[test]
    fn each_field_is_a_key_and_all_of_them_are_the_value() {
        let payload = read(
            "{ \"s\": \"a\\u003cb\\n\", \"n\": 1.50, \"x\": null, \"o\": { \"k k\": [1, \" \\\" \"] }, \"b\": true}",
        )
        .unwrap();
        let keys = payload.keys.unwrap();
        let keys: Vec<_> = keys.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        let expected: [(&str, &[u8]); 5] =
            [("b", b"true"), ("n", b"1.50"), ("o", br#"{"k k":[1," \" "]}"#), ("s", b"a<b\n"), ("x", b"")];
        assert_eq!(keys, expected);
        let raw = std::str::from_utf8(payload.raw.expose()).unwrap();
        assert_eq!(raw, r#"{"b":true,"n":1.50,"o":{"k k":[1," \" "]},"s":"a\u003cb\n","x":null}"#);
        assert_eq!(read("{}").unwrap().raw.expose(), b"{}");
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_without_the_value() {
        for odd in [r#"["marked"]"#, r#""marked""#, "1", r#"{"marked":"\ud800"}"#, r#"{"a":marked}"#] {
            let Err(error) = read(odd) else { panic!("{odd}") };
            assert_eq!(error.kind, crate::provider::ErrorKind::Malformed);
            assert!(!error.detail.contains("marked"), "{error}");
        }
    }

    #[test]
    fn a_version_that_will_be_deleted_is_there_until_then() {
        let now = time("2026-11-25T03:22:17.007062537Z").unwrap();
        assert!(!is_gone(false, "", now));
        assert!(!is_gone(false, "2026-11-25T03:22:18Z", now));
        assert!(is_gone(false, "2026-11-25T03:22:17Z", now));
        assert!(is_gone(true, "", now));
    }
}
