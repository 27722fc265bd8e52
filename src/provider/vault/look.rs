//! What is at a name, without its value.

use std::sync::Arc;
use std::time::SystemTime;

use vaultrs::api::kv2::requests::ReadSecretMetadataRequest;

use super::names::SecretPath;
use super::value::{self, Metadata};
use super::{Shared, list, session};
use crate::config::KvVersion;
use crate::provider::{Error, ErrorKind, Known, Presence, SecretName};

pub(super) async fn look(shared: &Arc<Shared>, kv: KvVersion, name: &SecretName) -> Result<Presence, Error> {
    // Neither it nor anything below it can exist.
    let Ok(path) = shared.place.path(name) else { return Ok(Presence::NOTHING) };
    match kv {
        KvVersion::One => in_its_folder(shared, kv, &path).await,
        KvVersion::Two => {
            let below = format!("{}/", path.as_str());
            let (secret, children) = tokio::join!(state(shared, &path), list::entries(shared, kv, &below));
            let children = match children {
                Ok(entries) => known(!entries.is_empty()),
                Err(error) if error.kind == ErrorKind::Denied => Known::Unknown,
                Err(error) => return Err(error),
            };
            match secret {
                Ok((secret, changed)) => Ok(Presence { secret, children, changed }),
                // A policy may allow to list and not to look.
                Err(error) if error.kind == ErrorKind::Denied => {
                    let listed = in_its_folder(shared, kv, &path).await?;
                    let children = if children == Known::Unknown { listed.children } else { children };
                    Ok(Presence { children, ..listed })
                }
                Err(error) => Err(error),
            }
        }
    }
}

/// By the listing of the folder that it is in; unknown where that is refused.
async fn in_its_folder(shared: &Arc<Shared>, kv: KvVersion, path: &SecretPath) -> Result<Presence, Error> {
    let (folder, leaf) = path.split();
    match list::entries(shared, kv, folder).await {
        Ok(entries) => Ok(Presence {
            secret: known(entries.iter().any(|entry| entry == leaf)),
            children: known(entries.iter().any(|entry| entry.strip_suffix('/') == Some(leaf))),
            changed: None,
        }),
        Err(error) if error.kind == ErrorKind::Denied => Ok(Presence::UNKNOWN),
        Err(error) => Err(error),
    }
}

/// Is there a secret whose current version can be read, and when was that made?
async fn state(shared: &Arc<Shared>, path: &SecretPath) -> Result<(Known, Option<SystemTime>), Error> {
    let call = format!("look at `{}/metadata/{}`", shared.place.mount, path.as_str());
    let request = || ReadSecretMetadataRequest { mount: shared.place.mount.clone(), path: path.as_str().to_owned() };
    let reply = match session::ask(shared, &call, request).await {
        Ok(reply) => reply,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok((Known::No, None)),
        Err(error) => return Err(error),
    };
    let metadata: Metadata = value::data(&call, &reply.body)?;
    // Metadata can be written before there is any version.
    let Some(current) = metadata.versions.get(&metadata.current_version.to_string()) else {
        return Ok((Known::No, None));
    };
    if value::is_gone(current.destroyed, &current.deletion_time, SystemTime::now()) {
        return Ok((Known::No, None));
    }
    Ok((Known::Yes, value::time(&current.created_time)))
}

fn known(yes: bool) -> Known {
    if yes { Known::Yes } else { Known::No }
}
