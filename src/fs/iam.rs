//! What the providers are known, or expected, to refuse of one node: from the tree's places and memory's answers
//! to the questions of permission bits. Asks nobody.

use std::sync::Arc;

use crate::access::Assignment;
use crate::cache::{ListingKey, Source, ValueKey};
use crate::config::ScopeName;
use crate::provider::{Identity, Known, VersionSelector};
use crate::tree::{Namespace, Node, SecretNode};

/// One node, whoever looks at it.
pub struct IamOf<'a> {
    pub node: &'a Node,
    pub namespace: &'a Namespace,
    pub assignment: &'a Assignment,
}

impl IamOf<'_> {
    /// Is every identity of the node's scope refused its listing? Then the directory can only be passed.
    pub fn refuses_all_listing(&self) -> bool {
        let Node::Scope(scope, _) = self.node else { return false };
        let Some(own) = self.own(scope) else { return false };
        let is_refused = |identity| {
            let key = ListingKey { generation: own.generation, scope: scope.clone(), identity };
            self.namespace.memory().is_listable(&key, &own.names()) == Known::No
        };
        let mut others = self.assignment.in_scope(scope).map(|settings| settings.number);
        is_refused(Identity::Own)
            && others.all(|number| {
                let mut known = self.seen(scope).into_iter().filter(|it| is_number(*it, number)).peekable();
                known.peek().is_some() && known.all(is_refused)
            })
    }

    /// All whose bits may differ: the scope's own, the others, and those others for users who have come.
    pub fn identities(&self) -> Vec<Identity> {
        let Some(scope) = self.node.scope() else { return Vec::new() };
        let mut identities = vec![Identity::Own];
        identities.extend(self.assignment.in_scope(scope).map(|it| Identity::Other { number: it.number, user: None }));
        identities.extend(self.seen(scope));
        identities.sort();
        identities.dedup();
        identities
    }

    /// Is it known, or expected, that the provider refuses this identity?
    pub fn refuses_identity(&self, identity: Identity) -> bool {
        let (at, version) = match self.node {
            Node::Root | Node::Scope(..) | Node::Link(..) => return false,
            Node::Directory(at) | Node::File(at, None, _) => (at, VersionSelector::Current),
            Node::Version(at, id) | Node::File(at, Some(id), _) => (at, VersionSelector::Named(id.clone())),
        };
        let Some(own) = self.own(&at.scope) else { return false };
        let key = ValueKey { generation: own.generation, at: SecretNode { identity, ..at.clone() }, version };
        let (at, memory) = (&key.at, self.namespace.memory());
        let refused = match memory.is_readable(&key, &own.values()) {
            Known::Yes => false,
            Known::No => true,
            Known::Unknown if key.version == VersionSelector::Current => {
                let expected = memory.predictions.of(own.generation, at, own.scope.cache.iam_ttl);
                // A value that came since then was given, if it is not fresh any more.
                let given = || memory.current(own.generation, at).map(|good| memory.age(&good));
                expected.is_some_and(|it| it.permission.read == Known::No && given().is_none_or(|age| age > it.age))
            }
            Known::Unknown => false,
        };
        // What is below it is another matter.
        refused && (!matches!(self.node, Node::Directory(_)) || self.has_nothing_below(at, &own))
    }

    fn has_nothing_below(&self, at: &SecretNode, own: &Source) -> bool {
        let seen = self.namespace.sources().known(&at.scope, at.identity);
        let source = seen.as_deref().unwrap_or(own);
        self.namespace.memory().known_presence(source, &at.path).is_some_and(|it| it.children == Known::No)
    }

    fn own(&self, scope: &ScopeName) -> Option<Arc<Source>> {
        self.namespace.sources().own().get(scope).cloned()
    }

    /// Those that somebody has come with.
    fn seen(&self, scope: &ScopeName) -> Vec<Identity> {
        if self.assignment.is_empty() { Vec::new() } else { self.namespace.sources().identities_in(scope) }
    }
}

fn is_number(identity: Identity, wanted: usize) -> bool {
    matches!(identity, Identity::Other { number, .. } if number == wanted)
}
