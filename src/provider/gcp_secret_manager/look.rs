//! What is at a name, without its value.

use std::time::SystemTime;

use super::known::About;
use super::names::SecretId;
use super::{Shared, client};
use crate::provider::{Error, ErrorKind, Known, Presence, SecretName};

/// Ids have no `/`: nothing is ever below a secret.
pub(super) async fn look(shared: &Shared, name: &SecretName) -> Result<Presence, Error> {
    let Ok(id) = SecretId::new(&shared.settings.prefix, name) else { return Ok(Presence::NOTHING) };
    let call = format!("GetSecret of `{}`", id.as_str());
    let session = shared.sessions.get(shared).await?;
    let request = client::ours(session.client.get_secret().set_name(shared.place.secret(&id)));
    let secret = match request.send().await {
        Ok(secret) => secret,
        Err(error) => {
            let error = shared.sessions.failed(&session, &call, &error);
            return match error.kind {
                ErrorKind::NotFound => {
                    shared.known.forget(id.as_str());
                    Ok(Presence::NOTHING)
                }
                ErrorKind::Denied => Ok(Presence { secret: Known::Unknown, ..Presence::NOTHING }),
                ErrorKind::CredentialsRejected
                | ErrorKind::Throttled
                | ErrorKind::Unreachable
                | ErrorKind::TimedOut
                | ErrorKind::TooLarge
                | ErrorKind::Malformed
                | ErrorKind::NoMemory => Err(error),
            };
        }
    };
    if super::names::id_in(&secret.name) != Some(id.as_str()) {
        return Err(Error::new(ErrorKind::Malformed, format!("{call}: the answer is about something else")));
    }
    let made = secret.create_time.and_then(|time| SystemTime::try_from(time).ok());
    shared.known.remember(id.as_str(), About::new(made, secret.labels));
    Ok(Presence { secret: Known::Yes, children: Known::No, changed: made })
}
