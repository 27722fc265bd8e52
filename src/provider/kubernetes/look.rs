//! What is at a name, without a value.

use kube::core::SelectorExt;
use kube::core::params::GetParams;

use super::names::ObjectName;
use super::object::Partial;
use super::{Shared, error, fetch, session};
use crate::provider::rest::object;
use crate::provider::{Error, ErrorKind, Known, Presence, SecretName};

pub(super) async fn look(shared: &Shared, name: &SecretName) -> Result<Presence, Error> {
    // No name has a slash, so nothing is below one.
    let Ok(name) = ObjectName::new(&shared.settings.prefix, name) else { return Ok(Presence::NOTHING) };
    let session = session::usable(shared).await?;
    let call = fetch::called(shared, "look at", session.namespace(), &name);
    let asked = |session: &session::Session| session.objects(shared).get_metadata(name.as_str(), &GetParams::default());
    let reply = session::ask(shared, &call, asked).await?;
    if !reply.is_success() {
        let error = error::from_reply(&call, &reply);
        return match error.kind {
            ErrorKind::NotFound => Ok(Presence::NOTHING),
            // Who may not read it is not told whether it is there.
            ErrorKind::Denied => Ok(Presence { secret: Known::Unknown, children: Known::No, changed: None }),
            ErrorKind::CredentialsRejected
            | ErrorKind::Throttled
            | ErrorKind::Unreachable
            | ErrorKind::TimedOut
            | ErrorKind::TooLarge
            | ErrorKind::Malformed
            | ErrorKind::NoMemory => Err(error),
        };
    }
    let found: Option<Partial> = object(&reply.body);
    let found = found.filter(|it| it.metadata.name == name.as_str()).ok_or_else(|| error::not_understood(&call))?;
    let changed = found.metadata.changed();
    if !shared.selector.matches(&found.metadata.labels.unwrap_or_default()) {
        return Ok(Presence::NOTHING);
    }
    Ok(Presence { secret: Known::Yes, children: Known::No, changed })
}
