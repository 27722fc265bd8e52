//! The secret scopes of the workspace, and the keys of one.

use std::sync::Arc;

use serde::Deserialize;

use super::names::{ScopeName, is_possible};
use super::value::{self, Entry};
use super::{Shared, error, session};
use crate::provider::rest::{clean, object};
use crate::provider::{Error, Listed, Listing, SecretName};

pub(super) async fn list(shared: &Arc<Shared>) -> Result<Listing, Error> {
    let mut listing = Listing::default();
    let prefix = &shared.settings.prefix;
    let names = scopes(shared).await?;
    for name in names.iter().filter_map(|name| name.strip_prefix(prefix.as_str()).filter(|rest| !rest.is_empty())) {
        match SecretName::new(name).filter(|_| is_possible(&format!("{prefix}{name}"))) {
            // The listing does not say when they changed.
            Some(name) => listing.secrets.push(Listed { name, changed: None }),
            None => listing.left_out.push((clean(name), "no name of a secret scope that can be asked for".to_owned())),
        }
    }
    Ok(listing)
}

/// The names of all secret scopes, those backed by an Azure key vault included, each once.
pub(super) async fn scopes(shared: &Arc<Shared>) -> Result<Vec<String>, Error> {
    let call = "secrets/scopes/list";
    let reply = session::get(shared, call, "/api/2.0/secrets/scopes/list", &[]).await?;
    if !reply.is_success() {
        return Err(error::from_reply(call, &reply));
    }
    scopes_in(call, &reply.body)
}

pub(super) fn scopes_in(call: &str, body: &[u8]) -> Result<Vec<String>, Error> {
    #[derive(Deserialize)]
    struct Scopes {
        // An empty one leaves the list out.
        #[serde(default)]
        scopes: Vec<Scope>,
    }
    #[derive(Deserialize)]
    struct Scope {
        name: String,
    }
    let Scopes { scopes } = object(body).ok_or_else(|| error::not_understood(call))?;
    let mut names: Vec<String> = scopes.into_iter().map(|scope| scope.name).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// The keys of a secret scope. Needs READ on it, as reading their values does.
pub(super) async fn keys(shared: &Arc<Shared>, name: &ScopeName) -> Result<Vec<Entry>, Error> {
    let call = format!("secrets/list of `{}`", name.as_str());
    let reply = session::get(shared, &call, "/api/2.0/secrets/list", &[("scope", name.as_str())]).await?;
    if !reply.is_success() {
        return Err(error::from_reply(&call, &reply));
    }
    value::entries(&call, &reply.body)
}

/// As [`keys`], by their names alone.
pub(super) async fn key_names(shared: &Arc<Shared>, name: &SecretName) -> Result<Vec<String>, Error> {
    let entries = keys(shared, &ScopeName::new(&shared.settings.prefix, name)?).await?;
    Ok(entries.into_iter().map(|entry| entry.key).collect())
}
