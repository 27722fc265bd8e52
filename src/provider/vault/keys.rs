//! The names of a secret's keys, without its value.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Shared, session, value};
use crate::provider::{Error, SecretName};

pub(super) async fn keys(shared: &Arc<Shared>, name: &SecretName) -> Result<Vec<String>, Error> {
    let path = shared.place.path(name)?;
    let call = format!("look at the keys of `{}/subkeys/{}`", shared.place.mount, path.as_str());
    let request = || ReadSubkeysRequest { mount: shared.place.mount.clone(), path: path.as_str().to_owned(), depth: 1 };
    let reply = session::ask(shared, &call, request).await?;
    let Subkeys { subkeys } = value::data(&call, &reply.body)?;
    Ok(subkeys.into_keys().collect())
}

/// The fields of the current version with null for what they hold; with `depth` 1 also for objects.
#[derive(rustify_derive::Endpoint)]
#[endpoint(path = "{self.mount}/subkeys/{self.path}")]
struct ReadSubkeysRequest {
    #[endpoint(skip)]
    mount: String,
    #[endpoint(skip)]
    path: String,
    #[endpoint(query)]
    depth: u8,
}

#[derive(Deserialize)]
struct Subkeys {
    subkeys: BTreeMap<String, IgnoredAny>,
}
