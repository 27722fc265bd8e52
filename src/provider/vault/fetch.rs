//! One version of one secret.

use std::hash::BuildHasher;
use std::sync::Arc;

use vaultrs::api::kv1::requests::GetSecretRequest;
use vaultrs::api::kv2::requests::{ReadSecretMetadataRequest, ReadSecretRequest};

use super::error::{from_reply, not_understood};
use super::names::SecretPath;
use super::value::{self, Fields, Metadata, Versioned};
use super::{Shared, session};
use crate::config::KvVersion;
use crate::provider::rest::clean;
use crate::provider::{Error, ErrorKind, Fetched, Payload, SecretName, VersionSelector};

pub(super) async fn fetch(
    shared: &Arc<Shared>,
    kv: KvVersion,
    name: &SecretName,
    version: &VersionSelector,
) -> Result<Fetched, Error> {
    let path = shared.place.path(name)?;
    match kv {
        KvVersion::One => unversioned(shared, &path, version).await,
        KvVersion::Two => match version {
            VersionSelector::Current => versioned(shared, &path, None).await,
            VersionSelector::Previous => {
                let current = current_version(shared, &path).await?;
                match current.checked_sub(1).filter(|number| *number > 0) {
                    Some(number) => versioned(shared, &path, Some(number)).await,
                    None => Err(no_version(shared, &path, "there is none before the first")),
                }
            }
            VersionSelector::Named(text) => match number(text) {
                Some(number) => versioned(shared, &path, Some(number)).await,
                None => {
                    let why = format!("`{}` is no version: they are numbers from 1 on", clean(text));
                    Err(no_version(shared, &path, &why))
                }
            },
        },
    }
}

/// As the engine writes them: one spelling for each. It takes 0 for the current one.
fn number(text: &str) -> Option<u64> {
    let number = text.parse::<u64>().ok().filter(|number| (1..=i64::MAX as u64).contains(number))?;
    (number.to_string() == text).then_some(number)
}

fn no_version(shared: &Shared, path: &SecretPath, why: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("{}: {why}", call(shared, path, None)))
}

fn call(shared: &Shared, path: &SecretPath, version: Option<u64>) -> String {
    let read = format!("read of `{}`", shared.place.policy_path(path));
    match version {
        Some(number) => format!("{read}, version {number}"),
        None => read,
    }
}

async fn versioned(shared: &Arc<Shared>, path: &SecretPath, version: Option<u64>) -> Result<Fetched, Error> {
    let call = call(shared, path, version);
    let request = || ReadSecretRequest { mount: shared.place.mount.clone(), path: path.as_str().to_owned(), version };
    let reply = session::attempt(shared, &call, request).await?;
    if reply.status == 404 {
        // A version that was deleted or destroyed has its metadata in the answer.
        let why = match value::data::<Versioned<'_>>(&call, &reply.body) {
            Ok(Versioned { metadata, .. }) if metadata.destroyed => "this version was destroyed",
            Ok(_) => "this version was deleted",
            Err(_) => return Err(from_reply(&call, &reply)),
        };
        return Err(Error::new(ErrorKind::NotFound, format!("{call}: {why}")));
    }
    if !reply.is_success() {
        return Err(from_reply(&call, &reply));
    }
    let Versioned { data, metadata } = value::data(&call, &reply.body)?;
    if metadata.version == 0 || version.is_some_and(|asked| asked != metadata.version) {
        return Err(not_understood(&call));
    }
    // A version without data is one that somebody wrote so.
    let payload = payload(shared, &call, &data.unwrap_or_default())?;
    Ok(Fetched {
        payload,
        version: metadata.version.to_string(),
        created: value::time(&metadata.created_time),
        source: source(shared, path),
        tags: metadata.custom_metadata.unwrap_or_default().into_iter().collect(),
        lease: None,
    })
}

/// The number of the newest version, deleted or not.
async fn current_version(shared: &Arc<Shared>, path: &SecretPath) -> Result<u64, Error> {
    let call = format!("look at the versions of `{}`", shared.place.policy_path(path));
    let metadata = || ReadSecretMetadataRequest { mount: shared.place.mount.clone(), path: path.as_str().to_owned() };
    match session::ask(shared, &call, metadata).await {
        Ok(reply) => Ok(value::data::<Metadata>(&call, &reply.body)?.current_version),
        // A policy may allow no more than reading.
        Err(error) if error.kind == ErrorKind::Denied => {
            let request = || ReadSecretRequest {
                mount: shared.place.mount.clone(),
                path: path.as_str().to_owned(),
                version: None,
            };
            let reply = session::attempt(shared, &call, request).await?;
            match value::data::<Versioned<'_>>(&call, &reply.body) {
                Ok(Versioned { metadata, .. }) => Ok(metadata.version),
                Err(error) if reply.is_success() => Err(error),
                Err(_) => Err(from_reply(&call, &reply)),
            }
        }
        Err(error) => Err(error),
    }
}

/// Version 1 of the engine keeps one value and says nothing about it. Its version is a digest under a key of
/// this process, so that it tells a new value from the old one and nobody what it is.
async fn unversioned(shared: &Arc<Shared>, path: &SecretPath, version: &VersionSelector) -> Result<Fetched, Error> {
    let call = call(shared, path, None);
    let not_kept = || no_version(shared, path, "version 1 of the engine keeps no older versions");
    if *version == VersionSelector::Previous {
        return Err(not_kept());
    }
    let request = || GetSecretRequest { mount: shared.place.mount.clone(), path: path.as_str().to_owned() };
    let reply = session::ask(shared, &call, request).await?;
    let payload = payload(shared, &call, &value::data::<Fields<'_>>(&call, &reply.body)?)?;
    let digest = format!("{:016x}", shared.digests.hash_one(payload.raw.expose()));
    match version {
        VersionSelector::Named(text) if *text != digest => Err(not_kept()),
        VersionSelector::Named(_) | VersionSelector::Current | VersionSelector::Previous => Ok(Fetched {
            payload,
            version: digest,
            created: None,
            source: source(shared, path),
            tags: Vec::new(),
            lease: None,
        }),
    }
}

pub(super) fn payload(shared: &Shared, call: &str, fields: &Fields<'_>) -> Result<Payload, Error> {
    let payload = value::payload(call, fields)?;
    let (length, most) = (payload.raw.len() as u64, shared.max_secret_bytes);
    if length > most {
        let text = format!("{call}: the value has {length} bytes as JSON, more than max_secret_bytes = {most}");
        return Err(Error::new(ErrorKind::TooLarge, text));
    }
    Ok(payload)
}

fn source(shared: &Shared, path: &SecretPath) -> String {
    url(shared, &shared.place.policy_path(path))
}

/// Where a path of the API is.
pub(super) fn url(shared: &Shared, path: &str) -> String {
    format!("{}/v1/{path}", shared.settings.address.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn a_version_is_a_number_in_its_one_spelling() {
        assert_eq!(number("12"), Some(12));
        for odd in ["", "0", "01", "+1", "-1", " 1", "1 ", "v1", "1.0", "99999999999999999999", "18446744073709551615"]
        {
            assert_eq!(number(odd), None, "{odd:?}");
        }
    }
}
