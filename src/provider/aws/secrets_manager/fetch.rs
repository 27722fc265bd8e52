//! One version of one secret.

use std::sync::Arc;
use std::time::SystemTime;

use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use aws_sdk_secretsmanager::primitives::{Blob, DateTime};
use aws_sdk_secretsmanager::types::SecretValueEntry;

use super::super::batch;
use super::Shared;
use super::names::FullName;
use crate::provider::text::clean;
use crate::provider::{Error, ErrorKind, Fetched, Payload, SecretName, VersionSelector};
use crate::secret::Secret;

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// How a call names the version that it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version<'a> {
    Stage(&'a str),
    Id(&'a str),
}

pub(super) async fn fetch(
    shared: &Arc<Shared>,
    name: &SecretName,
    version: &VersionSelector,
) -> Result<Fetched, Error> {
    let name = FullName::new(&shared.prefix, name)?;
    match version {
        VersionSelector::Current => batch::current(shared, name).await,
        VersionSelector::Previous => single(shared, &name, Version::Stage(PREVIOUS)).await,
        VersionSelector::Named(text) => named(shared, &name, text).await,
    }
}

/// GetSecretValue of the current version.
pub(super) async fn current(shared: &Shared, name: &FullName) -> Result<Fetched, Error> {
    single(shared, name, Version::Stage(CURRENT)).await
}

/// A version by what may be its id or a staging label.
async fn named(shared: &Shared, name: &FullName, text: &str) -> Result<Fetched, Error> {
    let call = || format!("GetSecretValue of `{}`, version `{}`", name.as_str(), clean(text));
    // Any printable text can be a label; what cannot is not sent.
    if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
        return Err(Error::new(ErrorKind::NotFound, format!("{}: no version can be called that", call())));
    }
    let error = match single(shared, name, kind_of_version(text)).await {
        Ok(fetched) => return Ok(fetched),
        Err(error) => error,
    };
    match error.kind {
        // A long label looks like an id.
        ErrorKind::NotFound if matches!(kind_of_version(text), Version::Id(_)) && !is_uuid(text) => {
            single(shared, name, Version::Stage(text)).await
        }
        ErrorKind::NotFound
        | ErrorKind::Denied
        | ErrorKind::CredentialsRejected
        | ErrorKind::Throttled
        | ErrorKind::Unreachable
        | ErrorKind::TimedOut
        | ErrorKind::TooLarge
        | ErrorKind::Malformed
        | ErrorKind::NoMemory => Err(error),
    }
}

/// Ids have 32 to 64 characters and are usually UUIDs; labels are usually words.
fn kind_of_version(text: &str) -> Version<'_> {
    if (32..=64).contains(&text.len()) { Version::Id(text) } else { Version::Stage(text) }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

async fn single(shared: &Shared, name: &FullName, version: Version<'_>) -> Result<Fetched, Error> {
    let call = match version {
        Version::Stage(text) | Version::Id(text) => format!("GetSecretValue of `{}`, version `{text}`", name.as_str()),
    };
    let session = shared.aws.session().await?;
    let request = session.client.get_secret_value().secret_id(name.as_str());
    let request = match version {
        Version::Stage(stage) => request.version_stage(stage),
        Version::Id(id) => request.version_id(id),
    };
    let answer = request.send().await.map_err(|error| {
        let refuses_version = !matches!(version, Version::Stage(CURRENT | PREVIOUS))
            && matches!(error.code(), Some("InvalidParameterException" | "ValidationException"));
        let mut error = shared.aws.failed(&session, &call, &error);
        if refuses_version {
            // What cannot be a version is not one.
            error.kind = ErrorKind::NotFound;
        }
        error
    })?;
    Value::from(answer).fetched(shared, name, &call)
}

/// A version as either call answers it.
pub(super) struct Value {
    arn: Option<String>,
    version: Option<String>,
    text: Option<String>,
    binary: Option<Blob>,
    created: Option<DateTime>,
}

impl From<GetSecretValueOutput> for Value {
    fn from(answer: GetSecretValueOutput) -> Self {
        Self {
            arn: answer.arn,
            version: answer.version_id,
            text: answer.secret_string,
            binary: answer.secret_binary,
            created: answer.created_date,
        }
    }
}

impl From<SecretValueEntry> for Value {
    fn from(answer: SecretValueEntry) -> Self {
        Self {
            arn: answer.arn,
            version: answer.version_id,
            text: answer.secret_string,
            binary: answer.secret_binary,
            created: answer.created_date,
        }
    }
}

impl Value {
    /// Takes the value over; `call` is for the error's text.
    pub(super) fn fetched(self, shared: &Shared, name: &FullName, call: &str) -> Result<Fetched, Error> {
        let lacks = |what| Error::new(ErrorKind::Malformed, format!("{call}: the answer has no {what}"));
        let bytes = match (self.text, self.binary) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(blob)) => blob.into_inner(),
            (None, None) => return Err(lacks("value")),
        };
        if bytes.len() as u64 > shared.aws.max_secret_bytes {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "{call}: the value has {} bytes, more than max_secret_bytes = {}",
                    bytes.len(),
                    shared.aws.max_secret_bytes
                ),
            ));
        }
        if let Some(arn) = &self.arn {
            shared.known.met(name.as_str(), arn);
        }
        Ok(Fetched {
            payload: Payload { raw: Secret::from_vec(bytes)?, keys: None },
            version: self.version.filter(|id| !id.is_empty()).ok_or_else(|| lacks("version id"))?,
            created: self.created.and_then(|date| SystemTime::try_from(date).ok()),
            source: self.arn.unwrap_or_else(|| name.as_str().to_owned()),
            tags: shared.known.tags(name.as_str()),
            lease: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_labels_are_told_apart() {
        assert_eq!(kind_of_version("AWSPENDING"), Version::Stage("AWSPENDING"));
        let uuid = "a1b2c3d4-5678-90ab-cdef-EXAMPLE11111";
        assert_eq!(kind_of_version(uuid), Version::Id(uuid));
        assert!(!is_uuid(uuid) && is_uuid("a1b2c3d4-5678-90ab-cdef-0123456789ab"));
    }
}
