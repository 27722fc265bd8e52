//! What is at a name, without a value.

use std::sync::Arc;

use super::names::ScopeName;
use super::{Shared, list, value};
use crate::provider::{Error, ErrorKind, Known, Presence, SecretName};

pub(super) async fn look(shared: &Arc<Shared>, name: &SecretName) -> Result<Presence, Error> {
    // Neither it nor anything below it can exist.
    let Ok(name) = ScopeName::new(&shared.settings.prefix, name) else { return Ok(Presence::NOTHING) };
    let (keys, scopes) = tokio::join!(list::keys(shared, &name), list::scopes(shared));
    let scopes = match scopes {
        Ok(scopes) => Some(scopes),
        Err(error) if error.kind == ErrorKind::Denied => None,
        Err(error) => return Err(error),
    };
    let known = |is: &dyn Fn(&str) -> bool| match &scopes {
        None => Known::Unknown,
        Some(scopes) if scopes.iter().any(|scope| is(scope)) => Known::Yes,
        Some(_) => Known::No,
    };
    let below = format!("{}/", name.as_str());
    let children = known(&|scope| scope.len() > below.len() && scope.starts_with(&below));
    let (secret, changed) = match keys {
        Ok(entries) => (Known::Yes, value::newest(&entries)),
        Err(error) if error.kind == ErrorKind::NotFound => (Known::No, None),
        // Who may not read it may still see that it is there. One that is not seen may be hidden.
        Err(error) if error.kind == ErrorKind::Denied => match known(&|scope| scope == name.as_str()) {
            Known::Yes => (Known::Yes, None),
            Known::No | Known::Unknown => (Known::Unknown, None),
        },
        Err(error) => return Err(error),
    };
    Ok(Presence { secret, children, changed })
}
