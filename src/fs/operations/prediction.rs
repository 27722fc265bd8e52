//! When the providers are asked about permissions: behind readers' backs, who never wait for it.

use super::Operations;
use crate::provider::{Identity, Known};
use crate::tree::{Entry, Node, SecretPath};

/// Of a directory with more secrets IAM is not asked when it is listed: a listing costs what listing costs.
const MOST_LISTED: usize = 200;

impl Operations {
    /// Somebody looks at a directory of secrets: their bits should show what the providers think.
    pub(super) fn predict(&self, node: &Node, entries: &[Entry]) {
        let secrets = || {
            entries.iter().filter_map(|entry| match &entry.found.node {
                Node::Directory(at) if entry.found.holds.secret == Known::Yes => Some(&at.path),
                _ => None,
            })
        };
        match node {
            Node::Scope(..) | Node::Directory(_) => {
                if secrets().count() > MOST_LISTED {
                    return self.predict_for_others(node);
                }
                self.ask_behind(node, Identity::Own, secrets());
                if let Node::Directory(at) = node
                    && entries.iter().any(|entry| entry.is_only_named)
                {
                    self.ask_behind(node, Identity::Own, std::iter::once(&at.path));
                }
                for identity in self.others(node) {
                    self.ask_behind(node, identity, secrets());
                }
                self.predict_for_others(node);
            }
            Node::Root | Node::Version(..) | Node::File(..) | Node::Link(..) => {}
        }
    }

    /// Somebody looks at the keys of a secret: what the provider thinks of them its answer tells, but not what it
    /// thinks of those with other identities, whom the same bits show.
    pub(super) fn predict_for_others(&self, node: &Node) {
        let Node::Directory(at) = node else { return };
        for identity in self.others(node) {
            self.ask_behind(node, identity, std::iter::once(&at.path));
        }
    }

    /// The identities of a node's scope besides its own.
    fn others(&self, node: &Node) -> Vec<Identity> {
        let Some(scope) = node.scope() else { return Vec::new() };
        let numbers = self.judge.assignment().in_scope(scope).map(|settings| settings.number);
        numbers.map(|number| Identity::Other { number, user: None }).collect()
    }

    fn ask_behind<'a>(&self, node: &Node, identity: Identity, paths: impl Iterator<Item = &'a SecretPath>) {
        let asker = node.scope().and_then(|scope| self.namespace.sources().asker(scope, identity));
        // One that cannot be asked as that identity says so to those who read with it.
        let Some(Ok(asker)) = asker else { return };
        self.namespace.memory().predictions.ask_behind(asker, identity, paths);
    }
}
