//! What policies let the token do, by `sys/capabilities-self`.

use std::collections::HashMap;
use std::sync::Arc;

use rustify_derive::Endpoint;
use serde::Deserialize;

use super::{Shared, leased, session, value};
use crate::config::VaultEngine;
use crate::provider::rest::clean;
use crate::provider::{Error, Known, Permission, SecretName};

/// Paths that are asked about in one call.
const AT_ONCE: usize = 500;

/// vaultrs has no request for it.
#[derive(Endpoint)]
#[endpoint(path = "sys/capabilities-self", method = "POST")]
struct CapabilitiesRequest {
    paths: Vec<String>,
}

pub(super) async fn permissions(shared: &Arc<Shared>, names: &[SecretName]) -> Result<Vec<Permission>, Error> {
    let paths: Vec<Vec<String>> = names.iter().map(|name| paths(shared, name)).collect();
    let asked: Vec<&String> = paths.iter().flatten().collect();
    let mut capabilities = HashMap::new();
    for some in asked.chunks(AT_ONCE) {
        let call = "sys/capabilities-self";
        let request = || CapabilitiesRequest { paths: some.iter().map(|path| (*path).clone()).collect() };
        let reply = session::ask(shared, call, request).await?;
        capabilities.extend(value::data::<HashMap<String, Capabilities>>(call, &reply.body)?);
    }
    let unknown = |why: &str| Permission { read: Known::Unknown, why: format!("sys/capabilities-self: {why}") };
    Ok(paths
        .into_iter()
        .map(|paths| {
            let permissions = paths.iter().map(|path| match capabilities.get(path) {
                Some(Capabilities(words)) => judge(path, words),
                None => unknown("the answer leaves this path out"),
            });
            permissions.reduce(either).unwrap_or_else(|| unknown("no secret can have this name"))
        })
        .collect())
}

/// By any of which a secret may be read; none where there can be no such secret.
fn paths(shared: &Shared, name: &SecretName) -> Vec<String> {
    match shared.settings.engine {
        VaultEngine::Kv(_) => shared.place.path(name).iter().map(|path| shared.place.policy_path(path)).collect(),
        VaultEngine::Leased(engine) => {
            let Ok(role) = leased::role(name) else { return Vec::new() };
            let path = |paths: leased::Paths| format!("{}/{}/{role}", shared.place.mount, paths.credentials);
            leased::all(engine).map(path).collect()
        }
    }
}

/// Of a secret that is at one of two paths, and nobody says at which.
fn either(a: Permission, b: Permission) -> Permission {
    let read = match (a.read, b.read) {
        (Known::Yes, _) | (_, Known::Yes) => Known::Yes,
        (Known::No, Known::No) => Known::No,
        (Known::Unknown, _) | (_, Known::Unknown) => Known::Unknown,
    };
    Permission { read, why: format!("{}; {}", a.why, b.why) }
}

#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Capabilities(pub(super) Vec<String>);

/// A no only where Vault says so in one word: a list without `read` may be of a server that knows more words.
pub(super) fn judge(path: &str, words: &[String]) -> Permission {
    let read = match words {
        [only] if only == "deny" => Known::No,
        words if words.iter().any(|word| word == "deny") => Known::Unknown,
        words if words.iter().any(|word| word == "read" || word == "root") => Known::Yes,
        _ => Known::Unknown,
    };
    let mut why = format!("sys/capabilities-self of {path}: {}", words.join(", "));
    if words.is_empty() {
        why.push_str("nothing");
    }
    if read == Known::Unknown && !words.iter().any(|word| word == "deny") {
        why.push_str("; without read and without deny");
    }
    Permission { read, why: clean(&why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lone_deny_is_a_no() {
        let read = |words: &[&str]| judge("p", &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).read;
        assert_eq!(read(&["deny"]), Known::No);
        assert_eq!(read(&["read"]), Known::Yes);
        assert_eq!(read(&["list", "read", "update"]), Known::Yes);
        assert_eq!(read(&["root"]), Known::Yes);
        for words in [&[][..], &["list"], &["create", "update"], &["deny", "read"], &["Deny"], &["denied"], &[""]] {
            assert_eq!(read(words), Known::Unknown, "{words:?}");
        }
    }
}
