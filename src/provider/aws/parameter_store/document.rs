//! From parameters to the version of a secret.

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_sdk_ssm::types::Parameter;

use super::OWN_KEY;
use super::version::{self, Part};
use crate::provider::{Error, ErrorKind, Fetched, Payload};
use crate::secret::{Secret, SecretWriter};

/// A parameter of a secret, with its value.
pub(super) struct Member {
    /// None for the secret's own parameter.
    key: Option<String>,
    value: String,
    version: i64,
    changed: Option<SystemTime>,
    arn: Option<String>,
}

impl Member {
    /// `call` is for the error's text.
    pub(super) fn new(key: Option<&str>, parameter: Parameter, call: &str) -> Result<Self, Error> {
        let lacks =
            |what| Error::new(ErrorKind::Malformed, format!("{call}: the answer has a parameter without {what}"));
        Ok(Self {
            key: key.map(str::to_owned),
            value: parameter.value.ok_or_else(|| lacks("a value"))?,
            version: Some(parameter.version).filter(|version| *version > 0).ok_or_else(|| lacks("a version"))?,
            changed: parameter.last_modified_date.and_then(|date| SystemTime::try_from(date).ok()),
            arn: parameter.arn.filter(|arn| !arn.is_empty()),
        })
    }

    fn part(&self) -> Part<'_> {
        Part { key: self.key.as_deref().unwrap_or_default(), version: self.version, changed: self.changed }
    }

    fn shown_key(&self) -> &str {
        self.key.as_deref().unwrap_or(OWN_KEY)
    }
}

/// How many bytes of values there may be, with their keys where they have any: values may all be empty.
pub(super) fn check_size(members: &[Member], most: u64, call: &str) -> Result<(), Error> {
    let of = |member: &Member| (member.value.len() + member.key.as_ref().map_or(0, String::len)) as u64;
    let size: u64 = members.iter().map(of).sum();
    if size <= most {
        return Ok(());
    }
    let text = format!("{call}: the values have {size} bytes with their keys, more than max_secret_bytes = {most}");
    Err(Error::new(ErrorKind::TooLarge, text))
}

/// The version that `members`, which are not none, are of. `number` is what they were asked for by, if that was the
/// number of a version. `full` is the secret's whole name, where no ARN says it.
pub(super) fn fetched(mut members: Vec<Member>, number: Option<&str>, full: &str) -> Result<Fetched, Error> {
    let lone = match members.as_slice() {
        [only] if only.key.is_none() => Some(only.version.to_string()),
        _ => None,
    };
    let is_lone = lone.is_some();
    let state = || version::state(members.iter().map(Member::part).collect());
    let version = number.map(str::to_owned).or(lone).unwrap_or_else(state);
    let created = members.iter().filter_map(|member| member.changed).max();
    let source = source(&members).unwrap_or_else(|| full.to_owned());
    // Of two of one name the last is shown: the secret's own is hidden behind a parameter of its directory.
    members.sort_by(|a, b| a.key.cmp(&b.key));
    let raw = if is_lone { None } else { Some(json(&members)?) };
    let mut keys = Vec::with_capacity(members.len());
    for member in members {
        let key = member.shown_key().to_owned();
        keys.push((key, Secret::from_string(member.value)?));
    }
    let raw = match (raw, keys.first()) {
        (Some(raw), _) => raw,
        (None, Some((_, value))) => Secret::copy_from(value.expose())?,
        (None, None) => Secret::copy_from(b"")?,
    };
    Ok(Fetched { payload: Payload { raw, keys: Some(keys) }, version, created, source, tags: Vec::new(), lease: None })
}

/// The secret's ARN: that of its own parameter, or of the directory of any other.
fn source(members: &[Member]) -> Option<String> {
    members.iter().find_map(|member| {
        let arn = member.arn.as_deref()?;
        Some(match &member.key {
            None => arn.to_owned(),
            Some(key) => arn.strip_suffix(key.as_str())?.strip_suffix('/')?.to_owned(),
        })
    })
}

/// What stands for a directory's exact bytes, which Parameter Store has none of: one JSON object.
fn json(members: &[Member]) -> Result<Secret, Error> {
    let object: BTreeMap<&str, &str> =
        members.iter().map(|member| (member.shown_key(), member.value.as_str())).collect();
    let mut writer = SecretWriter::new();
    serde_json::to_writer(&mut writer, &object)
        .map_err(|_| Error::new(ErrorKind::NoMemory, "there is no locked memory for the values"))?;
    Ok(writer.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(key: Option<&str>, value: &str, version: i64) -> Member {
        let name = key.map_or_else(|| "/app/db".to_owned(), |key| format!("/app/db/{key}"));
        let parameter = Parameter::builder()
            .value(value)
            .version(version)
            .arn(format!("arn:aws:ssm:us-east-1:123456789012:parameter{name}"))
            .build();
        Member::new(key, parameter, "call").unwrap()
    }

    fn texts(fetched: &Fetched) -> Vec<(String, String)> {
        let text = |secret: &Secret| String::from_utf8(secret.expose().to_vec()).unwrap();
        fetched.payload.keys.as_ref().unwrap().iter().map(|(key, value)| (key.clone(), text(value))).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_lone_parameter_is_its_value_and_its_number() {
        let fetched = fetched(vec![member(None, "{\"a\":1}", 7)], None, "/app/db").unwrap();
        assert_eq!(texts(&fetched), pairs(&[("value", "{\"a\":1}")]));
        assert!(fetched.payload.raw.expose() == b"{\"a\":1}");
        assert_eq!(fetched.version, "7");
        assert_eq!(fetched.source, "arn:aws:ssm:us-east-1:123456789012:parameter/app/db");
    }

    #[test]
    fn a_directory_is_its_keys_and_one_json_object() {
        let members = vec![member(Some("b"), "2\n", 1), member(Some("a"), "\"", 1)];
        let fetched = fetched(members, None, "/app/db").unwrap();
        assert_eq!(texts(&fetched), pairs(&[("a", "\""), ("b", "2\n")]));
        assert!(fetched.payload.raw.expose() == br#"{"a":"\"","b":"2\n"}"#);
        assert!(fetched.version.starts_with("2-"), "{}", fetched.version);
        assert_eq!(fetched.source, "arn:aws:ssm:us-east-1:123456789012:parameter/app/db");
    }

    #[test]
    fn the_secret_s_own_is_hidden_behind_a_parameter_of_the_same_key() {
        let fetched =
            fetched(vec![member(Some("value"), "inside", 1), member(None, "own", 1)], None, "/app/db").unwrap();
        assert_eq!(texts(&fetched), pairs(&[("value", "own"), ("value", "inside")]));
        assert!(fetched.payload.raw.expose() == br#"{"value":"inside"}"#);
    }

    #[test]
    fn what_was_asked_for_by_number_is_called_so() {
        let members = || vec![member(Some("a"), "x", 3), member(Some("b"), "y", 3)];
        assert_eq!(fetched(members(), Some("3"), "/app/db").unwrap().version, "3");
    }

    #[test]
    fn a_parameter_that_lacks_what_counts_is_malformed() {
        for parameter in [Parameter::builder().version(1).build(), Parameter::builder().value("marked").build()] {
            let Err(error) = Member::new(None, parameter, "GetParameter of `x`") else { panic!("taken") };
            assert!(error.kind == ErrorKind::Malformed && !error.detail.contains("marked"), "{error}");
        }
    }
}
