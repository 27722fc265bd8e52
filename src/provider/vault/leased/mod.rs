//! Engines that make credentials when they are asked for: each role is a secret, its credentials are the keys.
//!
//! Reading a role asks for credentials once. They are given to every reader, and their lease is renewed, for as long
//! as the server makes it longer and the cache asks again; then others take their place while they still serve. Where
//! nobody reads any more the lease is neither renewed nor cut short, for a program may be using what it has read: it
//! ends by itself, or when the provider is closed.

mod credentials;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod lease;
mod roles;
mod table;

pub(super) use credentials::fetch;
pub(super) use roles::{list, look};
pub(super) use table::{Leases, close};

use super::names::is_possible;
use crate::config::LeasedEngine;
use crate::provider::rest::clean;
use crate::provider::{Error, ErrorKind, SecretName};

/// Where an engine has its roles, and where it gives credentials for one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paths {
    pub(super) roles: &'static str,
    pub(super) credentials: &'static str,
}

/// For roles that have an account made for each reader.
pub(super) fn dynamic(engine: LeasedEngine) -> Paths {
    let roles = match engine {
        LeasedEngine::Aws
        | LeasedEngine::Azure
        | LeasedEngine::Consul
        | LeasedEngine::Database
        | LeasedEngine::MongodbAtlas
        | LeasedEngine::Rabbitmq => "roles",
        LeasedEngine::Ldap | LeasedEngine::Nomad | LeasedEngine::Terraform => "role",
    };
    Paths { roles, credentials: "creds" }
}

/// For roles that have one account, whose password the engine changes from time to time.
pub(super) fn fixed(engine: LeasedEngine) -> Option<Paths> {
    match engine {
        LeasedEngine::Aws | LeasedEngine::Database => {
            Some(Paths { roles: "static-roles", credentials: "static-creds" })
        }
        LeasedEngine::Ldap => Some(Paths { roles: "static-role", credentials: "static-cred" }),
        LeasedEngine::Azure
        | LeasedEngine::Consul
        | LeasedEngine::MongodbAtlas
        | LeasedEngine::Nomad
        | LeasedEngine::Rabbitmq
        | LeasedEngine::Terraform => None,
    }
}

/// Both, the second where there is one.
pub(super) fn all(engine: LeasedEngine) -> impl Iterator<Item = Paths> {
    [Some(dynamic(engine)), fixed(engine)].into_iter().flatten()
}

/// The role's name, if there can be one of it.
pub(super) fn role(name: &SecretName) -> Result<&str, Error> {
    let name = name.as_str();
    if is_possible(name) && !name.contains('/') {
        return Ok(name);
    }
    Err(Error::new(ErrorKind::NotFound, format!("no role can be called `{}`", clean(name))))
}
