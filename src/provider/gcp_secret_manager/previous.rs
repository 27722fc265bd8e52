//! The version before the current one.
//!
//! Versions that are disabled or destroyed are passed over. Who may not list versions may still read them: then
//! they are tried from the current one downwards.

use std::time::SystemTime;

use google_cloud_secretmanager_v1::model::secret_version::State;

use super::fetch::{LATEST, access};
use super::names::{self, SecretId};
use super::{Shared, client};
use crate::provider::{Error, ErrorKind, Fetched};

/// Newest first, so one page is nearly always enough.
const PAGE: i32 = 100;
const MOST_PAGES: usize = 10;
/// How many versions are tried where they cannot be listed.
const MOST_TRIED: u64 = 5;

pub(super) async fn previous(shared: &Shared, id: &SecretId) -> Result<Fetched, Error> {
    let error = match listed(shared, id).await {
        Ok(Some((number, time))) => {
            shared.known.remember_time(id.as_str(), &number, time);
            return access(shared, id, &number).await;
        }
        Ok(None) => return Err(none(id)),
        Err(error) => error,
    };
    match error.kind {
        ErrorKind::Denied => tried(shared, id).await,
        ErrorKind::NotFound
        | ErrorKind::CredentialsRejected
        | ErrorKind::Throttled
        | ErrorKind::Unreachable
        | ErrorKind::TimedOut
        | ErrorKind::TooLarge
        | ErrorKind::Malformed
        | ErrorKind::NoMemory => Err(error),
    }
}

fn none(id: &SecretId) -> Error {
    let text = format!("`{}` has no enabled version before the current one", id.as_str());
    Error::new(ErrorKind::NotFound, text)
}

/// The newest enabled version that is older than the newest of all.
async fn listed(shared: &Shared, id: &SecretId) -> Result<Option<(String, Option<SystemTime>)>, Error> {
    let call = format!("ListSecretVersions of `{}`", id.as_str());
    let session = shared.sessions.get(shared).await?;
    let (mut newest, mut token) = (0, String::new());
    for _ in 0..MOST_PAGES {
        let request = session.client.list_secret_versions().set_parent(shared.place.secret(id));
        let answer = client::ours(request.set_page_size(PAGE).set_page_token(&token)).send().await;
        let page = answer.map_err(|error| shared.sessions.failed(&session, &call, &error))?;
        let mut found: Option<(u64, Option<SystemTime>)> = None;
        let mut enabled = Vec::new();
        for version in page.versions {
            let Some(number) = names::number_in(&version.name, id).and_then(|it| it.parse::<u64>().ok()) else {
                return Err(Error::new(ErrorKind::Malformed, format!("{call}: the answer is about something else")));
            };
            newest = newest.max(number);
            if version.state == State::Enabled {
                enabled.push((number, version.create_time.and_then(|time| SystemTime::try_from(time).ok())));
            }
        }
        for version in enabled {
            if version.0 < newest && found.is_none_or(|best| best.0 < version.0) {
                found = Some(version);
            }
        }
        if let Some((number, time)) = found {
            return Ok(Some((number.to_string(), time)));
        }
        if page.next_page_token.is_empty() || page.next_page_token == token {
            return Ok(None);
        }
        token = page.next_page_token;
    }
    Ok(None)
}

async fn tried(shared: &Shared, id: &SecretId) -> Result<Fetched, Error> {
    let current = access(shared, id, LATEST).await?;
    let Ok(current) = current.version.parse::<u64>() else { return Err(none(id)) };
    for number in (current.saturating_sub(MOST_TRIED).max(1)..current).rev() {
        match access(shared, id, &number.to_string()).await {
            Err(error) if error.kind == ErrorKind::NotFound => {}
            answer => return answer,
        }
    }
    Err(none(id))
}
