//! Extended attributes: where a value came from, which version it is, how fresh.

use std::ffi::OsStr;

use tokio::time::Instant;

use crate::cache::{Held, rfc3339};
use crate::provider::VersionSelector;
use crate::tree::{Document, Namespace, Node, Refusal, SecretNode};

const PREFIX: &str = "user.hushfs.";
/// On the root: where the daemon's control socket is.
pub const CONTROL: &str = "user.hushfs.control";

/// Whether an attribute could be one of ours. Programs ask for ACLs and labels on every file; they get
/// their answer without a look at the file.
pub fn is_ours(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

/// All attributes of a node. For a file the value is fetched, as for `stat`; for a directory only what is
/// known already is told.
pub async fn of(node: &Node, namespace: &Namespace, deadline: Instant) -> Result<Vec<(String, String)>, Refusal> {
    match node {
        Node::Root | Node::Scope(..) | Node::Link(..) => Ok(Vec::new()),
        Node::Directory(at) => {
            let source = namespace.source(&at.scope, at.identity)?;
            let known = namespace.current(at).map(|good| {
                let stale = namespace.memory().now() >= good.fresh_until(&source.values());
                Held { good, stale }
            });
            match known {
                Some(document) => describe(at, &document, namespace),
                None => Ok(vec![named("provider", source.kind())]),
            }
        }
        Node::Version(at, id) => {
            let version = VersionSelector::Named(id.clone());
            describe(at, &namespace.document(at, &version, deadline).await?, namespace)
        }
        Node::File(at, id, _) => {
            let version = id.clone().map_or(VersionSelector::Current, VersionSelector::Named);
            describe(at, &namespace.document(at, &version, deadline).await?, namespace)
        }
    }
}

fn describe(
    at: &SecretNode,
    document: &Held<Document>,
    namespace: &Namespace,
) -> Result<Vec<(String, String)>, Refusal> {
    let source = namespace.source(&at.scope, at.identity)?;
    let fetched = document.good.fetched_wall;
    let age = namespace.memory().age(&document.good);
    let mut attributes = vec![
        named("provider", source.kind()),
        named("source", &document.source),
        named("version", &document.version),
        named("fetched", &rfc3339(fetched)),
        named("age", &age.as_secs().to_string()),
        named("stale", if document.stale { "1" } else { "0" }),
    ];
    // Of what is only lent, when that ends.
    let life = document.good.ends.map(|ends| ends.saturating_sub(document.good.fetched));
    if let Some(expires) = fetched.checked_add(life.unwrap_or(source.scope.cache.ttl)) {
        attributes.push(named("expires", &rfc3339(expires)));
    }
    let tags = document.tags.iter().filter(|(name, _)| !name.contains('\0'));
    attributes.extend(tags.map(|(name, value)| named(&format!("tag.{name}"), value)));
    // The kernel takes names of up to 255 bytes.
    attributes.retain(|(name, _)| name.len() <= 255);
    Ok(attributes)
}

fn named(name: &str, value: &str) -> (String, String) {
    (format!("{PREFIX}{name}"), value.to_owned())
}
