//! What Parameter Store answers: parameters, and a secret behind a reference.

use std::collections::BTreeMap;

use aws_sdk_ssm::primitives::DateTime;
use aws_sdk_ssm::types::Parameter;

use super::document::{Member, check_size, fetched};
use super::names::{FullName, ScopePath};
use super::reference;
use super::version::Named;
use crate::fuzzing::is_told_in_one_line;
use crate::provider::{Payload, SecretName};

const MOST: u64 = 256;
const CALL: &str = "GetParametersByPath of `/app/db`";

/// Lines: a scope's path, a secret's name, and parameters: the key, the version, the value. Nothing in them does harm, and
/// nothing is reached or shown that is not below the path.
pub fn parameters(text: &str) {
    let mut lines = text.split('\n');
    let (path, name) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if let (Some(path), Some(name)) = (ScopePath::new(path), SecretName::new(name)) {
        names(&path, &name, text);
        for line in lines.clone().take(16) {
            names(&path, &name, line);
        }
    }
    document(lines.take(16));
    behind_reference(text);
}

fn names(path: &ScopePath, name: &SecretName, parameter: &str) {
    if let Some(relative) = path.relative(parameter) {
        assert!(!relative.is_empty() && parameter.ends_with(relative), "{relative:?} of {parameter:?}");
    }
    let Some(full) = is_told_in_one_line(FullName::new(path, name)) else { return };
    for spelled in full.spellings() {
        assert_eq!(path.relative(&spelled.0), Some(name.as_str()));
    }
    for parameter in [parameter.to_owned(), format!("{}/{parameter}", full.as_str())] {
        let Some(key) = full.key_of(&parameter) else { continue };
        assert!(!key.is_empty() && !key.contains('/'), "{key:?}");
        assert_eq!(format!("{}/{key}", full.as_str()), parameter);
    }
}

fn document<'a>(lines: impl Iterator<Item = &'a str>) {
    let (mut members, mut size, mut has_key) = (Vec::new(), 0, false);
    for line in lines {
        let (key, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (version, value) = rest.split_once(' ').unwrap_or((rest, ""));
        let parameter = Parameter::builder()
            .value(value)
            .set_version(version.parse().ok())
            .last_modified_date(DateTime::from_secs(1_700_000_000))
            .arn(line)
            .build();
        let key = Some(key).filter(|key| !key.is_empty());
        let Some(member) = is_told_in_one_line(Member::new(key, parameter, CALL)) else { continue };
        size += (value.len() + key.map_or(0, str::len)) as u64;
        has_key |= key.is_some();
        members.push(member);
    }
    assert_eq!(is_told_in_one_line(check_size(&members, MOST, CALL)).is_some(), size <= MOST);
    let count = members.len();
    if count == 0 {
        return;
    }
    let Some(fetched) = is_told_in_one_line(fetched(members, None, "/app/db")) else { return };
    let Payload { raw, keys } = fetched.payload;
    let keys = keys.expect("parameters are keys");
    assert_eq!(keys.len(), count);
    if count == 1 && !has_key {
        assert!(keys.iter().all(|(_, value)| value.expose() == raw.expose()) && !fetched.version.is_empty());
        return;
    }
    assert_eq!(Named::parse(&fetched.version), Some(Named::State));
    // Of two of one name the last is shown.
    let shown: BTreeMap<&str, &[u8]> = keys.iter().map(|(key, value)| (key.as_str(), value.expose())).collect();
    let object: BTreeMap<String, String> = serde_json::from_slice(raw.expose()).expect("an object of texts");
    assert!(object.iter().map(|(key, value)| (key.as_str(), value.as_bytes())).eq(shown));
}

/// What Secrets Manager has said of it, and the value.
fn behind_reference(text: &str) {
    let path = ScopePath::new("/aws/reference/secretsmanager/").expect("a path");
    let name = FullName::new(&path, &SecretName::new("db").expect("a name")).expect("a name");
    for date in [None, Some(DateTime::from_secs(1_700_000_000))] {
        let is_dated = date.is_some();
        let parameter =
            Parameter::builder().value(text).source_result(text).set_last_modified_date(date).arn(text).build();
        let fetched = is_told_in_one_line(reference::fetched(parameter, &name, MOST, "GetParameter of `db`"));
        // Only what is too large, or has neither a version nor a date, is none.
        assert!(fetched.is_some() || text.len() as u64 > MOST || !is_dated);
        if let Some(fetched) = fetched {
            assert!(fetched.payload.raw.expose() == text.as_bytes() && text.len() as u64 <= MOST);
            assert!(!fetched.version.is_empty() && !fetched.source.is_empty());
        }
    }
}
