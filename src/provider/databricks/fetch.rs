//! All keys of one secret scope.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::names::ScopeName;
use super::value::{self, Entry};
use super::{Shared, error, list, session};
use crate::provider::rest::{clean, together};
use crate::provider::{Error, ErrorKind, Fetched, Payload, SecretName, VersionSelector};
use crate::secret::{Secret, wipe_stack};

/// Keys of one secret scope that are read at the same time.
const AT_ONCE: usize = 8;

/// Keys that change while they are read are read once more.
const ROUNDS: usize = 2;

pub(super) async fn fetch(
    shared: &Arc<Shared>,
    name: &SecretName,
    version: &VersionSelector,
) -> Result<Fetched, Error> {
    let name = ScopeName::new(&shared.settings.prefix, name)?;
    let wanted = match version {
        VersionSelector::Current => None,
        VersionSelector::Named(named) => Some(named.as_str()),
        VersionSelector::Previous => return Err(no_version(&name, "the version before the current one")),
    };
    let mut entries = list::keys(shared, &name).await?;
    for _ in 0..ROUNDS {
        let values = read(shared, &name, &entries).await?;
        // The answer for a value does not say when it changed; and where keys have gone meanwhile, all of them may have.
        let after = if entries.is_empty() { Vec::new() } else { list::keys(shared, &name).await? };
        if after == entries {
            let version = value::version(&entries, &values, &shared.digests);
            if wanted.is_some_and(|wanted| wanted != version) {
                return Err(no_version(&name, &format!("version {}", wanted.map(clean).unwrap_or_default())));
            }
            let raw = together(&values)?;
            if raw.len() as u64 > shared.max_secret_bytes {
                return Err(value::too_large(&of(&name), shared.max_secret_bytes));
            }
            return Ok(Fetched {
                payload: Payload { raw, keys: Some(values) },
                version,
                created: value::newest(&entries),
                source: source(&session::host(shared).await?, &name),
                tags: Vec::new(),
                lease: None,
            });
        }
        entries = after;
    }
    Err(Error::new(ErrorKind::Unreachable, format!("{}: its keys change while they are read", of(&name))))
}

/// Every key that is there, by name; one that has gone since the listing is left out.
async fn read(shared: &Arc<Shared>, name: &ScopeName, entries: &[Entry]) -> Result<Vec<(String, Secret)>, Error> {
    let mut pending = entries.iter();
    // Dropped with this call: what is under way then ends too.
    let mut under_way = JoinSet::new();
    let mut values = Vec::with_capacity(entries.len());
    let mut size = 0;
    loop {
        while under_way.len() < AT_ONCE
            && let Some(entry) = pending.next()
        {
            let (shared, name, key) = (Arc::clone(shared), name.clone(), entry.key.clone());
            under_way.spawn(async move {
                let value = one(&shared, &name, &key).await;
                // It was parsed in this task, and not where it is waited for.
                wipe_stack();
                (key, value)
            });
        }
        let (key, value) = match under_way.join_next().await {
            None => break,
            Some(Ok(answer)) => answer,
            // A panic in a parser, or the runtime is shutting down.
            Some(Err(_)) => return Err(Error::new(ErrorKind::Malformed, format!("{} was broken off", of(name)))),
        };
        match value {
            Ok(value) => {
                size += value.len() as u64;
                if size > shared.max_secret_bytes {
                    return Err(value::too_large(&of(name), shared.max_secret_bytes));
                }
                values.push((key, value));
            }
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    values.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(values)
}

async fn one(shared: &Arc<Shared>, name: &ScopeName, key: &str) -> Result<Secret, Error> {
    let call = format!("secrets/get of `{}`, key `{}`", name.as_str(), clean(key));
    let query = [("scope", name.as_str()), ("key", key)];
    let reply = session::get(shared, &call, "/api/2.0/secrets/get", &query).await?;
    if !reply.is_success() {
        return Err(error::from_reading(&call, &reply));
    }
    value::value(&call, key, &reply.body)
}

fn of(name: &ScopeName) -> String {
    format!("reading secret scope `{}`", name.as_str())
}

/// Where its keys can be looked at.
fn source(host: &str, name: &ScopeName) -> String {
    format!("{host}/api/2.0/secrets/list?scope={}", name.as_str())
}

fn no_version(name: &ScopeName, which: &str) -> Error {
    let text = format!("{which} of secret scope `{}`: Databricks keeps the current one only", name.as_str());
    Error::new(ErrorKind::NotFound, text)
}
