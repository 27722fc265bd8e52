//! Secrets of Secrets Manager that are read through Parameter Store: `/aws/reference/secretsmanager/NAME`.
//!
//! AWS answers GetParameter of them and nothing else: they cannot be listed, described or read by their path, and the
//! value is the secret's, so the scope's `format` decides about its keys as it would there.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_ssm::types::Parameter;
use serde::Deserialize;

use super::Shared;
use super::names::{FullName, ScopePath};
use crate::provider::{Error, ErrorKind, Fetched, Payload, VersionSelector};
use crate::secret::Secret;

/// DescribeParameters leaves out what is below `/aws/`; as an empty listing it would say that nothing is there.
pub(super) fn refuse_to_list(path: &ScopePath) -> Result<(), Error> {
    if !path.is_reserved() {
        return Ok(());
    }
    let text = format!("Parameter Store does not list what is in {}: read it by its name", path.as_str());
    Err(Error::new(ErrorKind::Denied, text))
}

pub(super) async fn fetch(shared: &Shared, name: &FullName, version: &VersionSelector) -> Result<Fetched, Error> {
    let call = format!("GetParameter of `{}`", name.as_str());
    let no_such = |what| {
        let text = format!("{call}: references to Secrets Manager have {what}; a scope of aws-secrets-manager has all");
        Error::new(ErrorKind::NotFound, text)
    };
    if *version == VersionSelector::Previous {
        return Err(no_such("no previous version"));
    }
    let session = shared.aws.session().await?;
    let answer = session.client.get_parameter().name(name.as_str()).with_decryption(true).send().await;
    let answer = answer.map_err(|error| shared.aws.failed(&session, &call, &error))?;
    let lacks = || Error::new(ErrorKind::Malformed, format!("{call}: the answer has no parameter"));
    let fetched = fetched(answer.parameter.ok_or_else(lacks)?, name, shared.aws.max_secret_bytes, &call)?;
    match version {
        VersionSelector::Named(text) if *text != fetched.version => Err(no_such("the current version only")),
        VersionSelector::Current | VersionSelector::Previous | VersionSelector::Named(_) => Ok(fetched),
    }
}

/// What Secrets Manager answered, of which the value itself is not wanted.
#[derive(Deserialize)]
struct Source {
    #[serde(rename = "VersionId", alias = "versionId")]
    version: Option<String>,
}

pub(super) fn fetched(parameter: Parameter, name: &FullName, most: u64, call: &str) -> Result<Fetched, Error> {
    let lacks = |what| Error::new(ErrorKind::Malformed, format!("{call}: the answer has no {what}"));
    let value = parameter.value.ok_or_else(|| lacks("value"))?;
    if value.len() as u64 > most {
        let text = format!("{call}: the value has {} bytes, more than max_secret_bytes = {most}", value.len());
        return Err(Error::new(ErrorKind::TooLarge, text));
    }
    let created = parameter.last_modified_date.and_then(|date| SystemTime::try_from(date).ok());
    // The parser's own words may quote the value: they are dropped.
    let source = parameter.source_result.as_deref().and_then(|text| serde_json::from_str::<Source>(text).ok());
    let of_secret = source.and_then(|source| source.version).filter(|id| !id.is_empty());
    // A reference has no version of its own.
    let since = || created.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map(|it| it.as_millis().to_string());
    Ok(Fetched {
        payload: Payload { raw: Secret::from_string(value)?, keys: None },
        version: of_secret.or_else(since).ok_or_else(|| lacks("version"))?,
        created,
        source: parameter.arn.filter(|arn| !arn.is_empty()).unwrap_or_else(|| name.as_str().to_owned()),
        tags: Vec::new(),
        lease: None,
    })
}
