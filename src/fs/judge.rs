//! May this caller do this to this node? From nodes and callers to the policy's questions.
//!
//! A name is judged before the provider is asked, so that what is there makes no difference to who may not
//! know; and once more when it is known what there is, for a place can be a key, a secret and a folder.

use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::iam::IamOf;
use super::pictures::{Grounds, Pictures};
use crate::access::evidence::Evidence;
use crate::access::groups::{Groups, Membership};
use crate::access::mode::{self, Acl};
use crate::access::picture::{self, RefusesNobody};
use crate::access::policy::{Allowed, Policy, Refused, Resource, Subject, Verdict};
use crate::access::{Action, Assignment, Caller, Doubt};
use crate::config::ScopeName;
use crate::provider::{Identity, Known, Presence};
use crate::tree::{DocumentFile, FileName, Kind, Namespace, Node, Refusal, SecretNode, SecretPath, Which};

pub struct Judge {
    policy: Policy,
    assignment: Assignment,
    groups: Arc<Groups>,
    pictures: Pictures,
    /// Does anything depend on groups? Only then are a caller's looked up.
    asks_for_groups: bool,
    fingerprint: u64,
}

impl Judge {
    pub fn new(policy: Policy, assignment: Assignment, groups: Arc<Groups>) -> Self {
        let granted = policy.statements().iter().flat_map(|statement| &statement.principals);
        let asks_for_groups = Groups::named_in(granted.chain(assignment.principals())).next().is_some();
        let mut hasher = DefaultHasher::new();
        (&policy, &assignment).hash(&mut hasher);
        let (pictures, fingerprint) = (Pictures::default(), hasher.finish());
        Self { policy, assignment, groups, pictures, asks_for_groups, fingerprint }
    }

    /// The same for another that judges by the same words, also in a later daemon.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Are there grants or identities, so that callers see different things? Then the kernel must ask for every
    /// name.
    pub fn differs_by_caller(&self) -> bool {
        !self.policy.statements().is_empty() || !self.assignment.is_empty()
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    pub fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    /// Who is known to be in which group.
    pub fn members(&self) -> Arc<Membership> {
        self.groups.now()
    }

    /// As whom a scope's provider is asked for the caller.
    pub fn identity(&self, caller: &Evidence, scope: &ScopeName) -> Result<Identity, Refusal> {
        if self.assignment.is_empty() {
            return Ok(Identity::Own);
        }
        self.as_subject(caller, |subject| self.assignment.of(subject, scope)).map_err(|doubt: Doubt| {
            let place = self.assignment.at(doubt).map_or("?", |settings| settings.place.as_str());
            let why = format!("whether the identity at {place} is this caller's cannot be known");
            Refusal::NotPermitted { why }
        })
    }

    pub fn owner(&self) -> (u32, u32) {
        (self.policy.owner_uid(), self.policy.owner_gid())
    }

    /// Why it is granted, or the refusal, which is logged.
    pub fn may(&self, caller: &Evidence, action: Action, resource: &Resource<'_>) -> Result<Reason<'_>, Refusal> {
        let reason = self.decide(caller, action, resource);
        if reason.verdict.is_allowed() {
            return Ok(reason);
        }
        let (Caller { uid, pid, .. }, why) = (caller.caller(), reason.words());
        tracing::info!(uid, pid, ?action, "refused: {why}");
        Err(Refusal::NotPermitted { why })
    }

    fn decide(&self, caller: &Evidence, action: Action, resource: &Resource<'_>) -> Reason<'_> {
        let verdict = self.as_subject(caller, |subject| self.policy.decide(subject, action, resource).verdict);
        Reason { verdict, policy: &self.policy }
    }

    /// The caller as the policy knows one.
    pub fn as_subject<T>(&self, caller: &Evidence, ask: impl FnOnce(&Subject<'_>) -> T) -> T {
        let of = caller.caller();
        let mut groups = vec![of.gid];
        let mut groups_complete = true;
        if self.asks_for_groups {
            match caller.groups() {
                Some(more) => groups.extend_from_slice(more),
                None => groups_complete = false,
            }
        }
        ask(&Subject { uid: of.uid, groups: &groups, groups_complete, evidence: caller })
    }

    pub fn is_granted(&self, caller: &Evidence, action: Action, resource: &Resource<'_>) -> bool {
        self.decide(caller, action, resource).verdict.is_allowed()
    }

    /// May the caller know of a node, as far as its place says?
    pub fn may_know(&self, caller: &Evidence, node: &Node) -> Result<Reason<'_>, Refusal> {
        self.may(caller, knowing(node), &resource(node))
    }

    /// May the caller know of anything by that name in a directory?
    pub fn may_know_of(&self, caller: &Evidence, parent: &Node, name: &OsStr) -> Result<(), Refusal> {
        // Without grants every place is judged alike.
        let Some(name) = name.to_str().filter(|_| self.differs_by_caller()) else {
            return self.may_know(caller, parent).map(drop);
        };
        match parent {
            Node::Root => self.may(caller, Action::List, &Resource::scope(name)).map(drop),
            Node::Scope(scope, _) => match child(None, name) {
                Some(path) => {
                    self.may(caller, Action::List, &Resource::directory(scope.as_str(), path.as_str())).map(drop)
                }
                None => self.may_know(caller, parent).map(drop),
            },
            Node::Directory(at) if name.starts_with(['.', '@']) => {
                let (scope, path) = (at.scope.as_str(), at.path.as_str());
                let (action, resource) = match name {
                    ".raw" | ".json" | ".env" => (Action::List, Resource::document(scope, path)),
                    "@previous" => (Action::ReadPrevious, Resource::secret(scope, path)),
                    // Which versions it takes is judged by whether it is the current one.
                    _ => (Action::List, Resource::secret(scope, path)),
                };
                self.may(caller, action, &resource).map(drop)
            }
            Node::Directory(at) => {
                let scope = at.scope.as_str();
                let key = Resource::key(scope, at.path.as_str(), name);
                match child(Some(&at.path), name) {
                    Some(path) if !self.is_granted(caller, Action::List, &key) => {
                        self.may(caller, Action::List, &Resource::directory(scope, path.as_str())).map(drop)
                    }
                    _ => self.may(caller, Action::List, &key).map(drop),
                }
            }
            Node::Version(at, _) => {
                let (scope, path) = (at.scope.as_str(), at.path.as_str());
                let resource = match name {
                    ".raw" | ".json" | ".env" => Resource::document(scope, path),
                    key => Resource::key(scope, path, key),
                };
                self.may(caller, Action::List, &resource).map(drop)
            }
            Node::File(..) | Node::Link(..) => self.may_know(caller, parent).map(drop),
        }
    }

    /// The refusal of a deny, of whatever the name may be in a directory. It is what the caller gets for this name
    /// unless there is something else that is granted, so that it does not tell what there is.
    pub fn denied_of(&self, caller: &Evidence, parent: &Node, name: &OsStr) -> Option<Refusal> {
        let name = name.to_str()?;
        let (scope, within) = match parent {
            Node::Scope(scope, _) => (scope.as_str(), None),
            Node::Directory(at) => (at.scope.as_str(), Some(&at.path)),
            Node::Root | Node::Version(..) | Node::File(..) | Node::Link(..) => return None,
        };
        let path = child(within, name);
        let as_secret = path.as_ref().map(|path| Resource::secret(scope, path.as_str()));
        let as_key = within.map(|within| Resource::key(scope, within.as_str(), name));
        let mut reasons = [as_key, as_secret].into_iter().flatten().map(|it| self.decide(caller, Action::List, &it));
        let denied = reasons
            .find(|reason| matches!(reason.verdict, Verdict::Deny(Refused::Statement(_) | Refused::Unknown(_))))?;
        Some(Refusal::NotPermitted { why: denied.words() })
    }

    /// May the caller know of a node, now that it is known what is there?
    pub fn may_know_found(&self, caller: &Evidence, node: &Node, holds: &Presence) -> bool {
        let Node::Directory(at) = node else { return self.is_granted(caller, knowing(node), &resource(node)) };
        let (scope, path) = (at.scope.as_str(), at.path.as_str());
        let resource = match (holds.secret, holds.children) {
            (Known::No, _) => Resource::folder(scope, path),
            (_, Known::No) => Resource::secret(scope, path),
            _ => Resource::directory(scope, path),
        };
        self.is_granted(caller, Action::List, &resource)
    }

    /// Who may, as permission bits show it. `is_previous`: the node is of a version before the current one.
    pub fn picture(&self, namespace: &Namespace, node: &Node, is_previous: bool) -> Arc<Acl> {
        let action = match (node.kind(), is_previous) {
            (_, true) => Action::ReadPrevious,
            (Kind::File, false) => Action::Read,
            (Kind::Directory, false) if matches!(node, Node::Version(..)) => Action::Read,
            (Kind::Directory | Kind::Link, false) => Action::List,
        };
        let iam = IamOf { node, namespace, assignment: &self.assignment };
        let known = iam.identities();
        let refused = known.iter().copied().filter(|identity| iam.refuses_identity(*identity)).collect();
        let refuses_listing = iam.refuses_all_listing();
        let grounds = Grounds { members: self.members(), refused, known, refuses_listing };
        self.pictures.get(node, action, grounds, |grounds| self.draw(node, action, grounds))
    }

    fn draw(&self, node: &Node, action: Action, grounds: &Grounds) -> Acl {
        let resource = resource(node);
        let Some(scope) = node.scope() else {
            return self.policy.picture(action, &resource, &*grounds.members, &RefusesNobody);
        };
        // Of a user of whom nothing is known it is what is known of the identity as such.
        let refuses = |identity: Identity| {
            let identity = if grounds.known.contains(&identity) { identity } else { identity.of_all_users() };
            grounds.refused.contains(&identity)
        };
        let identities = picture::Identities {
            assignment: &self.assignment,
            scope,
            directory: &*grounds.members,
            refuses: &refuses,
            seen: &grounds.known,
        };
        let mut picture = self.policy.picture(action, &resource, &*grounds.members, &identities);
        if grounds.refuses_listing {
            picture.kind = mode::Kind::Passage;
        }
        picture
    }

    /// Permission bits. `lists`: the kernel asks for the access control lists too.
    pub fn mode(&self, namespace: &Namespace, node: &Node, is_previous: bool, lists: bool) -> u16 {
        if node.kind() == Kind::Link {
            return mode::LINK;
        }
        let picture = self.picture(namespace, node, is_previous);
        if lists { picture.to_mode() } else { picture.to_mode_without_list() }
    }
}

/// What decided.
#[derive(Clone, Copy)]
pub struct Reason<'a> {
    verdict: Verdict,
    policy: &'a Policy,
}

impl Reason<'_> {
    /// For the audit log.
    pub fn words(&self) -> String {
        let place = |id| self.policy.statement(id).map_or("?", |statement| statement.place.as_str());
        match self.verdict {
            Verdict::Allow(Allowed::Root) => "root, and root = \"allow\"".to_owned(),
            Verdict::Allow(Allowed::Owner) => "the user who runs hushfs".to_owned(),
            Verdict::Allow(Allowed::Statement(id)) => format!("grant at {}", place(id)),
            Verdict::Deny(Refused::Statement(id)) => format!("deny at {}", place(id)),
            Verdict::Deny(Refused::Unknown(id)) => {
                format!("deny at {}, for what it asks of the caller cannot be known", place(id))
            }
            Verdict::Deny(Refused::NoGrant) => "nothing is granted to this caller".to_owned(),
        }
    }
}

/// What a node is to the policy, as far as its place says.
pub fn resource(node: &Node) -> Resource<'_> {
    fn place(at: &SecretNode) -> (&str, &str) {
        (at.scope.as_str(), at.path.as_str())
    }
    match node {
        Node::Root => Resource::root(),
        Node::Scope(scope, _) => Resource::scope(scope.as_str()),
        Node::Directory(at) => Resource::directory(place(at).0, place(at).1),
        Node::Version(at, _) | Node::Link(at, _) => Resource::secret(place(at).0, place(at).1),
        Node::File(at, _, DocumentFile::Key(key)) => Resource::key(place(at).0, place(at).1, key.as_str()),
        Node::File(at, _, DocumentFile::Raw | DocumentFile::Json | DocumentFile::Env) => {
            Resource::document(place(at).0, place(at).1)
        }
    }
}

/// What it takes to know of a node.
fn knowing(node: &Node) -> Action {
    match node {
        Node::Link(_, Which::Previous) => Action::ReadPrevious,
        _ => Action::List,
    }
}

fn child(parent: Option<&SecretPath>, name: &str) -> Option<SecretPath> {
    SecretPath::child(parent, &FileName::parse(OsStr::new(name))?)
}
