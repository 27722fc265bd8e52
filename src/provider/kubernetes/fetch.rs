//! All keys of one object.

use kube::core::SelectorExt;
use kube::core::params::GetParams;

use super::names::ObjectName;
use super::{Shared, error, object, session};
use crate::provider::rest::{clean, together};
use crate::provider::{Error, ErrorKind, Fetched, Payload, SecretName, VersionSelector};

pub(super) async fn fetch(shared: &Shared, name: &SecretName, version: &VersionSelector) -> Result<Fetched, Error> {
    let name = ObjectName::new(&shared.settings.prefix, name)?;
    let wanted = match version {
        VersionSelector::Current => None,
        VersionSelector::Named(named) => Some(named.as_str()),
        VersionSelector::Previous => return Err(no_version(shared, &name, "the version before the current one")),
    };
    let session = session::usable(shared).await?;
    let call = called(shared, "get", session.namespace(), &name);
    let asked = |session: &session::Session| session.objects(shared).get(name.as_str(), &GetParams::default());
    let reply = session::ask(shared, &call, asked).await?;
    if !reply.is_success() {
        return Err(error::from_reply(&call, &reply));
    }
    let whole = object::whole(shared, &call, name.as_str(), &reply.body)?;
    let labels = whole.metadata.labels.clone().unwrap_or_default();
    if !shared.selector.matches(&labels) {
        return Err(not_selected(shared, &call));
    }
    let version = whole.metadata.resource_version.clone();
    if wanted.is_some_and(|wanted| wanted != version) {
        return Err(no_version(shared, &name, &format!("version {}", wanted.map(clean).unwrap_or_default())));
    }
    let created = whole.metadata.changed();
    Ok(Fetched {
        payload: Payload { raw: together(&whole.keys)?, keys: Some(whole.keys) },
        version,
        created,
        source: format!("{}/{}", session.objects(shared).url_path, name.as_str()),
        tags: whole.facts.into_iter().chain(labels).collect(),
        lease: None,
    })
}

/// What was done to an object, for errors.
pub(super) fn called(shared: &Shared, what: &str, namespace: &str, name: &ObjectName) -> String {
    format!("{what} {} `{}` of namespace `{namespace}`", shared.kind(), name.as_str())
}

/// It is there, and not in this scope.
pub(super) fn not_selected(shared: &Shared, call: &str) -> Error {
    let labels = shared.settings.labels.as_deref().unwrap_or_default();
    Error::new(ErrorKind::NotFound, format!("{call}: it does not have the labels of this scope, `{}`", clean(labels)))
}

fn no_version(shared: &Shared, name: &ObjectName, which: &str) -> Error {
    let text = format!("{which} of {} `{}`: Kubernetes keeps the current one only", shared.kind(), name.as_str());
    Error::new(ErrorKind::NotFound, text)
}
