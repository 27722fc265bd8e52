//! What is at a name, without its value: there is a secret where there are versions of one.

use super::names::KeyName;
use super::{Shared, versions};
use crate::provider::{Error, ErrorKind, Known, Presence, SecretName};

/// Names have no `/`: nothing is ever below a secret.
pub(super) async fn look(shared: &Shared, name: &SecretName) -> Result<Presence, Error> {
    let Ok(name) = KeyName::new(&shared.settings.prefix, name) else { return Ok(Presence::NOTHING) };
    if shared.spellings.check(&name).is_err() {
        return Ok(Presence::NOTHING);
    }
    match versions::versions(shared, &name).await {
        Ok(versions) if versions.is_empty() => Ok(Presence::NOTHING),
        Ok(versions) => Ok(Presence { secret: Known::Yes, children: Known::No, changed: versions::newest(&versions) }),
        Err(error) => match error.kind {
            ErrorKind::NotFound => Ok(Presence::NOTHING),
            ErrorKind::Denied => Ok(Presence { secret: Known::Unknown, ..Presence::NOTHING }),
            ErrorKind::CredentialsRejected
            | ErrorKind::Throttled
            | ErrorKind::Unreachable
            | ErrorKind::TimedOut
            | ErrorKind::TooLarge
            | ErrorKind::Malformed
            | ErrorKind::NoMemory => Err(error),
        },
    }
}
