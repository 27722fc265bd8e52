//! Statements by whom they are about, and then by place.

use std::collections::HashMap;

use super::StatementId;
use super::principal::{Condition, Principal};
use super::resource::Resource;
use super::statement::{Effect, Statement};
use super::subject::{Finding, Subject};
use super::trie::{Hits, Trie};
use crate::access::policy::principal::NO_ID;

/// So built that a decision looks at the statements about the caller and the place, however many others
/// there are.
#[derive(Debug, Clone, Default)]
pub struct Index {
    all: Trie,
    everyone: Trie,
    users: HashMap<u32, Trie>,
    groups: HashMap<u32, Trie>,
    /// The denies of any user, of any group: for callers of whom these are not known.
    user_denies: Trie,
    group_denies: Trie,
    conditions: [Conditional; Condition::ALL.len()],
}

/// The statements with one kind of condition.
#[derive(Debug, Clone, Default)]
struct Conditional {
    allows: Trie,
    denies: Trie,
    /// By the one thing that the condition describes.
    literals: HashMap<String, Trie>,
    /// By what everything that the condition describes begins with.
    globs: HashMap<String, Vec<(Principal, Trie)>>,
    /// The lengths, in bytes, of the keys of `globs`.
    prefixes: Vec<usize>,
    /// Where among those that begin alike.
    glob_at: HashMap<Principal, usize>,
}

impl Index {
    pub fn new(statements: &[Statement]) -> Self {
        let mut index = Self::default();
        for (id, statement) in (0..).zip(statements) {
            let id = StatementId(id);
            index.all.add(id, statement);
            let mut principals: Vec<&Principal> = statement.principals.iter().collect();
            principals.sort();
            principals.dedup();
            for principal in principals {
                index.file(id, statement, principal);
            }
        }
        index
    }

    fn file(&mut self, id: StatementId, statement: &Statement, principal: &Principal) {
        let is_deny = statement.effect == Effect::Deny;
        match principal {
            Principal::Everyone => self.everyone.add(id, statement),
            Principal::User(uid) => self.users.entry(*uid).or_default().add(id, statement),
            Principal::Group(gid) => self.groups.entry(*gid).or_default().add(id, statement),
            Principal::Unit(_) | Principal::Cgroup(_) | Principal::Container(_) | Principal::Executable(_) => {
                let conditions = Condition::ALL.into_iter().zip(&mut self.conditions);
                for (_, conditional) in conditions.filter(|(kind, _)| principal.condition() == Some(*kind)) {
                    conditional.file(id, statement, principal);
                }
            }
        }
        if is_deny {
            match principal {
                Principal::Everyone | Principal::User(_) => self.user_denies.add(id, statement),
                Principal::Group(_) => self.group_denies.add(id, statement),
                Principal::Unit(_) | Principal::Cgroup(_) | Principal::Container(_) | Principal::Executable(_) => {}
            }
        }
    }

    /// What bears on the resource by the caller's user and groups.
    pub fn find(&self, statements: &[Statement], subject: &Subject<'_>, resource: &Resource<'_>, hits: &mut Hits) {
        if subject.uid == NO_ID {
            self.user_denies.find(statements, resource, hits);
        } else {
            self.everyone.find(statements, resource, hits);
            if let Some(trie) = self.users.get(&subject.uid) {
                trie.find(statements, resource, hits);
            }
        }
        for trie in subject.groups.iter().filter_map(|gid| self.groups.get(gid)) {
            trie.find(statements, resource, hits);
        }
        if !subject.groups_complete {
            self.group_denies.find(statements, resource, hits);
        }
    }

    /// What bears on the resource by one condition. The caller's process is looked at only if a deny, or
    /// where they are wanted an allow, bears on the resource at all.
    pub fn find_conditional(
        &self,
        statements: &[Statement],
        subject: &Subject<'_>,
        resource: &Resource<'_>,
        allows_wanted: bool,
        hits: &mut Hits,
    ) {
        for (kind, conditional) in Condition::ALL.into_iter().zip(&self.conditions) {
            let matters = conditional.denies.finds_any(statements, resource, &mut hits.examined)
                || allows_wanted && conditional.allows.finds_any(statements, resource, &mut hits.examined);
            if !matters {
                continue;
            }
            match kind.finding(subject) {
                Finding::Absent => {}
                Finding::Unknown => conditional.denies.find(statements, resource, hits),
                Finding::Is(found) => conditional.find(kind, found, statements, resource, hits),
            }
        }
    }

    /// Every statement that bears on the resource, whoever it is about, in order.
    pub fn about(&self, statements: &[Statement], resource: &Resource<'_>) -> Vec<StatementId> {
        let mut hits = Hits::default();
        self.all.find_all(statements, resource, &mut hits);
        hits.statements.sort();
        hits.statements.dedup();
        hits.statements
    }
}

impl Conditional {
    fn file(&mut self, id: StatementId, statement: &Statement, principal: &Principal) {
        match statement.effect {
            Effect::Allow => self.allows.add(id, statement),
            Effect::Deny => self.denies.add(id, statement),
        }
        if let Some(literal) = principal.literal() {
            self.literals.entry(literal).or_default().add(id, statement);
            return;
        }
        let prefix = principal.prefix();
        if !self.prefixes.contains(&prefix.len()) {
            self.prefixes.push(prefix.len());
        }
        let alike = self.globs.entry(prefix).or_default();
        let at = *self.glob_at.entry(principal.clone()).or_insert_with(|| {
            alike.push((principal.clone(), Trie::default()));
            alike.len() - 1
        });
        if let Some((_, trie)) = alike.get_mut(at) {
            trie.add(id, statement);
        }
    }

    fn find(&self, kind: Condition, found: &str, statements: &[Statement], resource: &Resource<'_>, hits: &mut Hits) {
        let find_literal = |text: &str, hits: &mut Hits| {
            if let Some(trie) = self.literals.get(text) {
                trie.find(statements, resource, hits);
            }
        };
        // As `Principal::literal` and `Principal::prefix` spell it.
        let mut path = String::new();
        let found = match kind {
            Condition::Unit | Condition::Container => found,
            Condition::Cgroup | Condition::Executable => {
                path.reserve(found.len() + 1);
                for part in found.split('/').filter(|part| !part.is_empty()) {
                    path.push('/');
                    path.push_str(part);
                }
                &*path
            }
        };
        find_literal(found, hits);
        if kind == Condition::Cgroup {
            // And those above it.
            for above in found.match_indices('/').skip(1).filter_map(|(end, _)| found.get(..end)) {
                find_literal(above, hits);
            }
        }
        let prefixes = self.prefixes.iter().filter_map(|length| found.get(..*length));
        for (principal, trie) in prefixes.filter_map(|prefix| self.globs.get(prefix)).flatten() {
            hits.examined += 1;
            if principal.describes(found) {
                trie.find(statements, resource, hits);
            }
        }
    }
}
