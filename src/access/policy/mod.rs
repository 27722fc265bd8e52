//! Grants: who may do what to what.
//!
//! The rules, all of which [`Policy::decide`] follows and nothing else knows:
//!
//! - Nothing is granted that no allow grants, but to the user who runs the daemon, who is granted everything. Where that is
//!   root, and `root = "deny"`, it is nobody.
//! - A deny wins over every allow, and over what that user is granted.
//! - Root, where `root = "allow"`, is past all of it, denies included.
//! - What cannot be found out about a caller matches no allow and every deny that asks for it.
//! - Whoever may read may list the way there: nobody can open what they cannot look up. So a directory is
//!   visible to whoever may list or read anything that may be below it.
//! - A deny of `list` denies reading too, and a deny of `read` the versions before.
//! - The order of statements, principals, actions and resources means nothing.
//!
//! Decisions are about places, whether or not something is there: a folder is visible where a statement
//! *may* match below it. A listing that knows what there is can ask for each of it.

mod decision;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod glob;
#[cfg(test)]
mod glob_test;
mod index;
mod path_glob;
mod pattern;
#[cfg(test)]
mod policy_test;
mod principal;
#[cfg(test)]
pub(in crate::access) mod properties_test;
mod resource;
mod statement;
mod subject;
mod trie;

use std::hash::{Hash, Hasher};

pub use decision::{Allowed, Bearing, Decision, Refused, Verdict};
pub use glob::{Glob, GlobError};
pub use path_glob::PathGlob;
pub use pattern::{Pattern, PatternError};
#[cfg(test)]
pub use principal::NoAccounts;
pub use principal::{Accounts, Condition, Match, Principal, PrincipalError};
pub use resource::{Part, Resource};
pub use statement::{Actions, Effect, Statement};
pub use subject::{Evidence, Finding, NoEvidence, Subject};

use self::index::Index;
use self::trie::Hits;
use crate::access::Action;
use crate::config::RootPolicy;

/// Which of a policy's statements, counted from 0 as they were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementId(pub u32);

/// All statements, and who is above them.
#[derive(Debug, Clone)]
pub struct Policy {
    statements: Vec<Statement>,
    index: Index,
    owner_uid: u32,
    owner_gid: u32,
    root: RootPolicy,
}

/// By what it decides.
impl Hash for Policy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { statements, index: _, owner_uid, owner_gid, root } = self;
        (statements, owner_uid, owner_gid, root).hash(state);
    }
}

impl Policy {
    /// `owner_uid` and `owner_gid` are those that the daemon runs with, and that its files belong to.
    pub fn new(statements: Vec<Statement>, owner_uid: u32, owner_gid: u32, root: RootPolicy) -> Self {
        let index = Index::new(&statements);
        Self { statements, index, owner_uid, owner_gid, root }
    }

    pub fn owner_uid(&self) -> u32 {
        self.owner_uid
    }

    pub fn owner_gid(&self) -> u32 {
        self.owner_gid
    }

    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    pub fn statement(&self, id: StatementId) -> Option<&Statement> {
        statement_at(&self.statements, id)
    }

    /// Is this who runs the daemon, and so is granted everything that no deny takes?
    pub(in crate::access) fn is_owner(&self, uid: u32) -> bool {
        let is_like_any_other = uid == 0 && self.root == RootPolicy::Deny;
        uid == self.owner_uid && uid != principal::NO_ID && !is_like_any_other
    }

    /// Is this root, and past every statement?
    pub(in crate::access) fn is_past_all(&self, uid: u32) -> bool {
        uid == 0 && self.root == RootPolicy::Allow
    }

    /// May the caller?
    pub fn decide(&self, subject: &Subject<'_>, action: Action, resource: &Resource<'_>) -> Decision {
        if self.is_past_all(subject.uid) {
            return Decision { verdict: Verdict::Allow(Allowed::Root), considered: Vec::new(), examined: 0 };
        }
        let Part::Directory = resource.part else { return self.decide_part(subject, action, resource) };
        // Both at once: what is refused of the one may be granted of the other.
        let mut secret = self.decide_part(subject, action, &resource.with(Part::Secret));
        if secret.is_allowed() {
            return secret;
        }
        let folder = self.decide_part(subject, action, &resource.with(Part::Folder));
        if folder.is_allowed() || matches!(secret.verdict, Verdict::Deny(Refused::NoGrant)) {
            secret.verdict = folder.verdict;
        }
        secret.considered.extend(folder.considered);
        secret.considered.sort();
        secret.considered.dedup();
        secret.examined += folder.examined;
        secret
    }

    fn decide_part(&self, subject: &Subject<'_>, action: Action, resource: &Resource<'_>) -> Decision {
        let mut hits = Hits::default();
        self.index.find(&self.statements, subject, resource, &mut hits);
        let mut verdict = self.verdict(subject, action, &mut hits.statements);
        // What is denied whichever way is sure; anything else a condition may change.
        if !ways_to(action).iter().all(|way| self.denies(*way, &hits.statements)) {
            let allows_wanted = !verdict.is_allowed();
            self.index.find_conditional(&self.statements, subject, resource, allows_wanted, &mut hits);
            verdict = self.verdict(subject, action, &mut hits.statements);
            if !allows_wanted && !verdict.is_allowed() {
                // A condition has taken the way that there was; another may have an allow.
                self.index.find_conditional(&self.statements, subject, resource, true, &mut hits);
                verdict = self.verdict(subject, action, &mut hits.statements);
            }
        }
        Decision { verdict, considered: hits.statements, examined: hits.examined }
    }

    /// What follows from statements that bear on caller and resource.
    fn verdict(&self, subject: &Subject<'_>, action: Action, found: &mut Vec<StatementId>) -> Verdict {
        found.sort();
        found.dedup();
        let mut refusal = Refused::NoGrant;
        for action in ways_to(action) {
            match self.verdict_on(subject, *action, found) {
                Verdict::Allow(why) => return Verdict::Allow(why),
                Verdict::Deny(why) if refusal == Refused::NoGrant => refusal = why,
                Verdict::Deny(_) => {}
            }
        }
        Verdict::Deny(refusal)
    }

    fn verdict_on(&self, subject: &Subject<'_>, action: Action, found: &[StatementId]) -> Verdict {
        let first = |effect| {
            let found = found.iter().filter_map(|id| Some((*id, self.statement(*id)?)));
            found.filter(|(_, statement)| statement.effect == effect).find(|(_, found)| found.bears_on(action))
        };
        if let Some((id, statement)) = first(Effect::Deny) {
            let is_sure = statement.principals.iter().any(|principal| is_sure(principal, subject));
            return Verdict::Deny(if is_sure { Refused::Statement(id) } else { Refused::Unknown(id) });
        }
        if let Some((id, _)) = first(Effect::Allow) {
            return Verdict::Allow(Allowed::Statement(id));
        }
        if self.is_owner(subject.uid) {
            return Verdict::Allow(Allowed::Owner);
        }
        Verdict::Deny(Refused::NoGrant)
    }

    fn denies(&self, action: Action, found: &[StatementId]) -> bool {
        let mut found = found.iter().filter_map(|id| self.statement(*id));
        found.any(|statement| statement.effect == Effect::Deny && statement.bears_on(action))
    }

    /// What each statement has to do with the question, in order. Takes as long as there are statements:
    /// for people who ask, not for requests.
    pub fn explain(
        &self,
        subject: &Subject<'_>,
        action: Action,
        resource: &Resource<'_>,
    ) -> Vec<(StatementId, Bearing)> {
        let judge = |statement: &Statement| {
            if !statement.bears(resource) {
                return Bearing::OtherResource;
            }
            if !ways_to(action).iter().any(|action| statement.bears_on(*action)) {
                return Bearing::OtherAction;
            }
            match (statement.matches(subject), statement.effect) {
                (Match::Yes, _) => Bearing::Applies,
                (Match::No, _) => Bearing::OtherPrincipal,
                (Match::Unknown, Effect::Deny) => Bearing::MayApply,
                (Match::Unknown, Effect::Allow) => Bearing::UnknownPrincipal,
            }
        };
        (0..).map(StatementId).zip(self.statements.iter().map(judge)).collect()
    }

    /// Every statement that bears on the resource, whoever it is about, in order. Not for directories of
    /// both kinds.
    pub fn about<'a>(&'a self, resource: &Resource<'_>) -> impl Iterator<Item = &'a Statement> {
        self.index.about(&self.statements, resource).into_iter().filter_map(|id| self.statement(id))
    }
}

impl Statement {
    /// Does it bear on the resource?
    fn bears(&self, resource: &Resource<'_>) -> bool {
        let parts: &[Part<'_>] = match &resource.part {
            Part::Directory => &[Part::Secret, Part::Folder],
            part => std::slice::from_ref(part),
        };
        let mut questions = parts.iter().flat_map(|part| self.resources.iter().map(move |pattern| (part, pattern)));
        questions.any(|(part, pattern)| pattern.bears(self.effect, &resource.with(*part)))
    }

    /// Is the caller one of its principals?
    fn matches(&self, subject: &Subject<'_>) -> Match {
        Principal::any(&self.principals, subject)
    }
}

/// The actions, having one of which is enough.
pub(in crate::access) fn ways_to(action: Action) -> &'static [Action] {
    match action {
        Action::List => &Action::ALL,
        Action::Read => &[Action::Read],
        Action::ReadPrevious => &[Action::ReadPrevious],
    }
}

fn is_sure(principal: &Principal, subject: &Subject<'_>) -> bool {
    principal.matches(subject) == Match::Yes
}

fn statement_at(statements: &[Statement], id: StatementId) -> Option<&Statement> {
    usize::try_from(id.0).ok().and_then(|index| statements.get(index))
}
