//! What of the tree this caller may know of.

use std::ffi::OsStr;

use tokio::time::Instant;

use super::Operations;
use crate::access::Action;
use crate::access::policy::Resource;
use crate::fs::judge::{self, Reason};
use crate::fs::recorder::Asked;
use crate::provider::{Identity, Known, VersionSelector};
use crate::tree::{self, Found, Node, Refusal};

impl Operations {
    /// Is a node of another version than the one that is known to be current?
    pub(super) fn is_previous(&self, node: &Node) -> bool {
        let (Node::Version(at, id) | Node::File(at, Some(id), _)) = node else { return false };
        let current = self.namespace.current(at);
        current.is_none_or(|good| good.value.version != *id)
    }

    /// As [`Operations::is_previous`], for the bits of what identities share one inode of: no, if to any it is not.
    pub(super) fn is_previous_to_all(&self, node: &Node) -> bool {
        let Node::Version(at, _) = node else { return self.is_previous(node) };
        let others = self.namespace.sources().identities_in(&at.scope);
        let mut identities = [node.identity(), Identity::Own].into_iter().chain(others);
        identities.all(|identity| self.is_previous(&node.under(identity)))
    }

    /// A node as the identity sees it that the provider is asked as for this caller. A file that another identity
    /// has looked up is not the caller's to open ([`Refusal::Unknown`], upon which the kernel looks the path up
    /// anew): what is mapped of it into memory is of that identity.
    pub(super) fn as_seen_by(&self, asked: &Asked, node: &Node) -> Result<Node, Refusal> {
        let Some(scope) = node.scope() else { return Ok(node.clone()) };
        let identity = self.judge.identity(&asked.evidence, scope)?;
        if matches!(node, Node::File(..)) && node.identity() != identity {
            return Err(Refusal::Unknown);
        }
        if let Some(label) = self.namespace.sources().label(identity) {
            asked.under(label);
        }
        Ok(node.under(identity))
    }

    /// What a name is, for who may know of it. Nobody is asked for who may not.
    pub(super) async fn find(
        &self,
        asked: &Asked,
        parent: &Node,
        name: &OsStr,
        deadline: Instant,
    ) -> Result<Found, Refusal> {
        self.judge.may_know_of(&asked.evidence, parent, name)?;
        let parent = &self.as_seen_by(asked, parent)?;
        if let Some(node) = tree::of_version(parent, name) {
            self.may_know(asked, &node, deadline).await?;
        }
        let found = self.namespace.child(parent, name, deadline).await;
        self.predict_for_others(parent);
        if !self.judge.differs_by_caller() {
            return found;
        }
        let found = match found {
            Ok(found) => Ok(self.made_sure(asked, found, deadline).await),
            Err(refusal) => Err(refusal),
        };
        match found {
            Ok(found) if self.may_know_found(asked, &found) => Ok(found),
            // What is there is not for this caller, who gets the same answer where there is nothing.
            Ok(_) | Err(Refusal::NoSuchEntry) => {
                Err(self.judge.denied_of(&asked.evidence, parent, name).unwrap_or(Refusal::NoSuchEntry))
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// A secret that the caller may not know of is visible only if something is below it: then that must be known.
    async fn made_sure(&self, asked: &Asked, mut found: Found, deadline: Instant) -> Found {
        if let Node::Directory(at) = &found.node
            && found.holds.children == Known::Unknown
            && self.is_seen_as_a_folder_only(asked, &found.node)
            && let Ok(holds) = self.namespace.holds(at, deadline).await
        {
            found.holds = holds;
        }
        found
    }

    /// May the caller know of a node? Of a version by its id only who may read it.
    pub(super) async fn may_know(&self, asked: &Asked, node: &Node, deadline: Instant) -> Result<Reason<'_>, Refusal> {
        let (Node::Version(at, id) | Node::File(at, Some(id), _)) = node else {
            return self.judge.may_know(&asked.evidence, node);
        };
        let resource = judge::resource(node);
        if self.judge.is_granted(&asked.evidence, Action::ReadPrevious, &resource) {
            return self.judge.may(&asked.evidence, Action::ReadPrevious, &resource);
        }
        let reason = self.judge.may(&asked.evidence, Action::Read, &resource)?;
        let current = self.namespace.document(at, &VersionSelector::Current, deadline).await?;
        if current.version == *id {
            return Ok(reason);
        }
        let why = "it is not the current version, and read-previous is not granted".to_owned();
        Err(Refusal::NotPermitted { why })
    }

    /// As [`Operations::may_know`], now that it is known what there is.
    pub(super) fn may_know_found(&self, asked: &Asked, found: &Found) -> bool {
        let node = &found.node;
        if !matches!(node, Node::Version(..) | Node::File(_, Some(_), _)) {
            return self.judge.may_know_found(&asked.evidence, node, &found.holds);
        }
        let may = |action| self.judge.is_granted(&asked.evidence, action, &judge::resource(node));
        may(Action::ReadPrevious) || (!self.is_previous(node) && may(Action::Read))
    }

    /// Does the caller see a directory only for what may be below it? Then what it says of itself as a secret
    /// is not for them.
    pub(super) fn is_seen_as_a_folder_only(&self, asked: &Asked, node: &Node) -> bool {
        let Node::Directory(at) = node else { return false };
        let secret = Resource::secret(at.scope.as_str(), at.path.as_str());
        !self.judge.is_granted(&asked.evidence, Action::List, &secret)
    }
}
