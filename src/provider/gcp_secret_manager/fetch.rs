//! One version of one secret.

use std::time::{Duration, SystemTime};

use google_cloud_gax::error::rpc::Code;
use google_cloud_secretmanager_v1::model::AccessSecretVersionResponse;

use super::names::{self, SecretId};
use super::{Shared, client, previous};
use crate::provider::text::clean;
use crate::provider::{Error, ErrorKind, Fetched, Payload, SecretName, VersionSelector};
use crate::secret::Secret;

/// The service's alias of the version that was added last.
pub(super) const LATEST: &str = "latest";

/// How long times are not asked for once we were told that we may not know them, or not so often.
const DENIED_PAUSE: Duration = Duration::from_secs(600);
const THROTTLED_PAUSE: Duration = Duration::from_secs(60);

pub(super) async fn fetch(shared: &Shared, name: &SecretName, version: &VersionSelector) -> Result<Fetched, Error> {
    let id = SecretId::new(&shared.settings.prefix, name)?;
    match version {
        VersionSelector::Current => access(shared, &id, LATEST).await,
        VersionSelector::Previous => previous::previous(shared, &id).await,
        VersionSelector::Named(text) if names::is_possible_version(text) => access(shared, &id, text).await,
        VersionSelector::Named(text) => Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "`{}` has no version `{}`: versions are numbers from 1 on, aliases, or `latest`",
                id.as_str(),
                clean(text)
            ),
        )),
    }
}

/// AccessSecretVersion; `version` is one that [`names::is_possible_version`].
pub(super) async fn access(shared: &Shared, id: &SecretId, version: &str) -> Result<Fetched, Error> {
    let call = format!("AccessSecretVersion of `{}`, version `{version}`", id.as_str());
    let session = shared.sessions.get(shared).await?;
    let request = client::ours(session.client.access_secret_version().set_name(shared.place.version(id, version)));
    let answer = request.send().await.map_err(|error| {
        let refuses_version =
            version != LATEST && error.status().is_some_and(|status| status.code == Code::InvalidArgument);
        let mut error = shared.sessions.failed(&session, &call, &error);
        if refuses_version {
            // What cannot be a version is not one.
            error.kind = ErrorKind::NotFound;
        }
        error
    })?;
    take(shared, id, version, answer).map_err(|error| Error { detail: format!("{call}: {}", error.detail), ..error })
}

/// Checks the answer and takes the value over. The answer's `Debug` form would print it.
fn take(shared: &Shared, id: &SecretId, version: &str, answer: AccessSecretVersionResponse) -> Result<Fetched, Error> {
    let malformed = |what: &str| Error::new(ErrorKind::Malformed, what);
    let number = names::number_in(&answer.name, id).ok_or_else(|| malformed("the answer is about something else"))?;
    if names::is_number(version) && number != version {
        return Err(malformed("the answer is about another version"));
    }
    let number = number.to_owned();
    let payload = answer.payload.ok_or_else(|| malformed("the answer has no value"))?;
    let bytes = payload.data;
    if bytes.len() as u64 > shared.max_secret_bytes {
        let (length, most) = (bytes.len(), shared.max_secret_bytes);
        let text = format!("the value has {length} bytes, more than max_secret_bytes = {most}");
        return Err(Error::new(ErrorKind::TooLarge, text));
    }
    match payload.data_crc32c {
        Some(checksum) if checksum != i64::from(crc32c::crc32c(&bytes)) => {
            return Err(malformed("the value does not fit its checksum: it was changed on the way"));
        }
        Some(_) => {}
        // The service holds no empty value, so there this is an answer without one.
        None if bytes.is_empty() => return Err(malformed("the answer has no value")),
        None => {}
    }
    Ok(Fetched {
        payload: Payload { raw: Secret::from_vec(Vec::from(bytes))?, keys: None },
        created: shared.known.time(id.as_str(), &number).flatten(),
        version: number,
        source: shared.place.secret(id),
        tags: shared.known.tags(id.as_str()),
        lease: None,
    })
}

/// The same with the time of its version, if the service tells it soon: a value never waits long, or fails, for
/// want of it.
pub(super) async fn with_time(shared: &Shared, fetched: Fetched, left: Duration) -> Fetched {
    let Some(id) = names::id_in(&fetched.source) else { return fetched };
    if fetched.created.is_some() || shared.known.time(id, &fetched.version).is_some() || !shared.known.tells_times() {
        return fetched;
    }
    let limit = left.min(shared.deadline / 4);
    let created = tokio::time::timeout(limit, time(shared, &fetched.source, id, &fetched.version)).await;
    Fetched { created: created.ok().flatten(), ..fetched }
}

/// GetSecretVersion, remembered.
async fn time(shared: &Shared, secret: &str, id: &str, version: &str) -> Option<SystemTime> {
    let session = shared.sessions.get(shared).await.ok()?;
    let request = client::ours(session.client.get_secret_version().set_name(format!("{secret}/versions/{version}")));
    match request.send().await {
        Ok(answer) => {
            let time = answer.create_time.and_then(|time| SystemTime::try_from(time).ok());
            shared.known.remember_time(id, version, time);
            time
        }
        Err(error) => {
            let call = format!("GetSecretVersion of `{id}`, version `{version}`");
            let error = shared.sessions.failed(&session, &call, &error);
            match error.kind {
                ErrorKind::Denied => shared.known.no_times_for(DENIED_PAUSE),
                ErrorKind::Throttled | ErrorKind::Unreachable | ErrorKind::TimedOut => {
                    shared.known.no_times_for(error.retry_after.unwrap_or(THROTTLED_PAUSE).min(DENIED_PAUSE));
                }
                ErrorKind::NotFound
                | ErrorKind::CredentialsRejected
                | ErrorKind::TooLarge
                | ErrorKind::Malformed
                | ErrorKind::NoMemory => {}
            }
            tracing::debug!(%error, "when a version was made is not known");
            None
        }
    }
}
