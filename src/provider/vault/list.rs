//! A walk over all folders of the scope: Vault lists one at a time.

use std::sync::Arc;

use serde::Deserialize;
use tokio::task::JoinSet;
use vaultrs::api::kv1::requests::ListSecretRequest;
use vaultrs::api::kv2::requests::ListSecretsRequest;

use super::{Shared, engine, names, session, value};
use crate::config::KvVersion;
use crate::provider::pages::Pages;
use crate::provider::rest::clean;
use crate::provider::{Error, ErrorKind, Listed, Listing, SecretName};

/// Folders that are listed at the same time.
const AT_ONCE: usize = 8;
/// Folders in folders; what is deeper is left out rather than walked for ever.
const DEEPEST: usize = 128;
/// Folders of one scope. A server that always lists more of them is not followed for ever.
const MOST_FOLDERS: usize = 100_000;

pub(super) async fn list(shared: &Arc<Shared>, kv: KvVersion) -> Result<Listing, Error> {
    let mut listing = Listing::default();
    let mut pending = vec![String::new()];
    let mut pages = Pages::of(format!("listing of `{}`", shared.place.mount));
    let mut folders = 0;
    let mut under_way = JoinSet::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some(folder) = pending.pop()
        {
            folders += 1;
            if folders > MOST_FOLDERS {
                return Err(pages.endless("its folders are too many"));
            }
            let shared = Arc::clone(shared);
            under_way.spawn(async move {
                let entries = entries(&shared, kv, &shared.place.folder(&folder)).await;
                (folder, entries)
            });
        }
        let (folder, entries) = match under_way.join_next().await {
            None => break,
            Some(Ok(answer)) => answer,
            // A panic in a parser, or the runtime is shutting down.
            Some(Err(_)) => return Err(Error::new(ErrorKind::Malformed, "listing a folder was broken off")),
        };
        match entries {
            Ok(entries) => {
                for entry in entries {
                    pages.entry(folder.len().saturating_add(entry.len()))?;
                    sort_in(&folder, &entry, &mut listing, &mut pending);
                }
            }
            // A policy may leave a folder out; it takes the others from nobody.
            Err(error) if error.kind == ErrorKind::Denied && !folder.is_empty() => {
                listing.left_out.push((folder, error.detail));
            }
            Err(error) => return Err(error),
        }
    }
    if listing.secrets.is_empty() && listing.left_out.is_empty() {
        engine::check(shared).await?;
    }
    Ok(listing)
}

/// One entry of `folder`: a secret, or a folder of more.
fn sort_in(folder: &str, entry: &str, listing: &mut Listing, pending: &mut Vec<String>) {
    let path = format!("{folder}{entry}");
    let name = path.strip_suffix('/').unwrap_or(&path);
    let leaf = entry.strip_suffix('/').unwrap_or(entry);
    if leaf.contains('/') || !names::is_possible(leaf) || !names::is_possible(name) {
        let why = "no path that can be asked for: empty, `.` or `..` in it, control characters, or too long";
        listing.left_out.push((clean(&path), why.to_owned()));
    } else if path.ends_with('/') {
        if path.matches('/').count() >= DEEPEST {
            listing.left_out.push((path, format!("folders nested more than {DEEPEST} deep")));
        } else {
            pending.push(path);
        }
    } else if let Some(name) = SecretName::new(name) {
        listing.secrets.push(Listed { name, changed: None });
    }
}

/// What is in a folder of the mount, empty or with `/` at its end: names, those of folders with `/` at theirs.
pub(super) async fn entries(shared: &Arc<Shared>, kv: KvVersion, folder: &str) -> Result<Vec<String>, Error> {
    #[derive(Deserialize)]
    struct Keys {
        keys: Vec<String>,
    }
    let call = format!("listing of `{}/{folder}`", shared.place.mount);
    let (mount, path) = (&shared.place.mount, folder);
    let reply = match kv {
        KvVersion::One => {
            let request = || ListSecretRequest { mount: mount.clone(), path: path.to_owned() };
            session::ask(shared, &call, request).await
        }
        KvVersion::Two => {
            let request = || ListSecretsRequest { mount: mount.clone(), path: path.to_owned() };
            session::ask(shared, &call, request).await
        }
    };
    match reply {
        Ok(reply) => Ok(value::data::<Keys>(&call, &reply.body)?.keys),
        // An empty folder is none.
        Err(error) if error.kind == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
