//! Which roles there are. Never asks for credentials.

use std::sync::Arc;

use rustify_derive::Endpoint;
use serde::Deserialize;

use super::super::{Shared, engine, names, session, value};
use super::{Paths, dynamic, fixed, role};
use crate::config::LeasedEngine;
use crate::provider::rest::clean;
use crate::provider::{Error, ErrorKind, Known, Listed, Listing, Presence, SecretName};

#[derive(Endpoint)]
#[endpoint(path = "{self.mount}/{self.roles}", method = "LIST")]
struct RolesRequest {
    #[endpoint(skip)]
    mount: String,
    #[endpoint(skip)]
    roles: &'static str,
}

pub(in super::super) async fn list(shared: &Arc<Shared>, engine: LeasedEngine) -> Result<Listing, Error> {
    let (roles, fixed) = of_both_kinds(shared, engine).await;
    let mut listing = Listing::default();
    let mut refused = Vec::new();
    for names in [roles, fixed] {
        match names {
            Ok(names) => {
                for name in names {
                    sort_in(name, &mut listing);
                }
            }
            Err(error) if error.kind == ErrorKind::Denied => refused.push(error),
            Err(error) => return Err(error),
        }
    }
    if refused.len() == 2 {
        return Err(refused.swap_remove(0));
    }
    // A policy may allow one kind of role alone.
    listing.left_out.extend(refused.into_iter().map(|error| ("roles".to_owned(), error.detail)));
    if listing.secrets.is_empty() && listing.left_out.is_empty() {
        engine::check(shared).await?;
    }
    Ok(listing)
}

pub(super) fn sort_in(name: String, listing: &mut Listing) {
    let is_new = |listed: &Listing| !listed.secrets.iter().any(|it| it.name.as_str() == name);
    match SecretName::new(name.as_str()).filter(|_| names::is_possible(&name) && !name.contains('/')) {
        Some(secret) if is_new(listing) => listing.secrets.push(Listed { name: secret, changed: None }),
        Some(_) => {
            let why = "a static role of the same name as another role: only the other one can be read";
            listing.left_out.push((name, why.to_owned()));
        }
        None => listing.left_out.push((clean(&name), "no name that can be asked for".to_owned())),
    }
}

pub(in super::super) async fn look(
    shared: &Arc<Shared>,
    engine: LeasedEngine,
    name: &SecretName,
) -> Result<Presence, Error> {
    let Ok(role) = role(name) else { return Ok(Presence::NOTHING) };
    let (roles, fixed) = of_both_kinds(shared, engine).await;
    let mut secret = Known::No;
    for names in [roles, fixed] {
        match names {
            Ok(names) if names.iter().any(|it| it == role) => secret = Known::Yes,
            Ok(_) => {}
            Err(error) if error.kind == ErrorKind::Denied && secret == Known::No => secret = Known::Unknown,
            Err(error) if error.kind == ErrorKind::Denied => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Presence { secret, children: Known::No, changed: None })
}

async fn of_both_kinds(
    shared: &Arc<Shared>,
    engine: LeasedEngine,
) -> (Result<Vec<String>, Error>, Result<Vec<String>, Error>) {
    let fixed = async {
        match fixed(engine) {
            Some(paths) => names(shared, paths).await,
            None => Ok(Vec::new()),
        }
    };
    tokio::join!(names(shared, dynamic(engine)), fixed)
}

async fn names(shared: &Arc<Shared>, paths: Paths) -> Result<Vec<String>, Error> {
    let mount = &shared.place.mount;
    let call = format!("listing of `{mount}/{}`", paths.roles);
    match session::ask(shared, &call, || RolesRequest { mount: mount.clone(), roles: paths.roles }).await {
        Ok(reply) => named(&call, &reply.body),
        // None yet.
        Err(error) if error.kind == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

pub(super) fn named(call: &str, body: &[u8]) -> Result<Vec<String>, Error> {
    #[derive(Deserialize)]
    struct Keys {
        keys: Vec<String>,
    }
    Ok(value::data::<Keys>(call, body)?.keys)
}
