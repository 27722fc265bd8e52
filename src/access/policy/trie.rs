//! Statements by the places that they are about.
//!
//! A node is a place in the tree. A pattern is filed at the node of its leading literal components, and
//! every node on the way there knows the first statement of each effect and action that bears on it. So a
//! question about a place looks at the nodes on its path and at the globs that were filed there, and never
//! at the statements about other places.

use std::collections::HashMap;

use super::path_glob::Component;
use super::pattern::Relation;
use super::resource::{Part, Resource};
use super::statement::{Effect, Statement};
use super::{StatementId, statement_at};
use crate::access::Action;

/// Some patterns of some statements.
#[derive(Debug, Clone, Default)]
pub struct Trie {
    nodes: Vec<Node>,
}

/// A pattern of a statement.
#[derive(Debug, Clone, Copy)]
struct Entry {
    statement: StatementId,
    /// Which of the statement's resources.
    resource: u32,
}

#[derive(Debug, Clone, Default)]
struct Node {
    children: HashMap<Box<str>, usize>,
    /// Patterns that end here.
    here: Vec<Entry>,
    /// Patterns that go on with a glob, by what that begins with.
    globs: HashMap<Box<str>, Vec<Entry>>,
    /// The lengths, in bytes, of the keys of `globs`.
    prefixes: Vec<usize>,
    /// By relation: statements whose pattern is filed here or further below and has that relation to here.
    first: [First; Relation::ALL.len()],
}

/// The first statement of each effect and action.
#[derive(Debug, Clone, Copy, Default)]
struct First([[Option<StatementId>; Action::ALL.len()]; 2]);

/// What was found, and what it took.
#[derive(Debug, Default)]
pub struct Hits {
    /// Statements that bear on the resource, in no order and perhaps twice: of those alike, at least the
    /// first.
    pub statements: Vec<StatementId>,
    /// How many patterns were looked at.
    pub examined: usize,
    /// Is one statement enough?
    is_one_enough: bool,
}

impl Trie {
    /// Files all patterns of a statement. Statements are filed in their order.
    pub fn add(&mut self, id: StatementId, statement: &Statement) {
        for (resource, pattern) in statement.resources.iter().enumerate() {
            let entry = Entry { statement: id, resource: u32::try_from(resource).unwrap_or(u32::MAX) };
            let mut at = self.root();
            let mut components = pattern.components().iter();
            for depth in 0..=pattern.components().len() {
                let Some(node) = self.nodes.get_mut(at) else { break };
                for (relation, first) in Relation::ALL.into_iter().zip(&mut node.first) {
                    if pattern.is_at(relation, depth) {
                        first.note(id, statement);
                    }
                }
                match components.next() {
                    Some(Component::Literal(name)) => at = self.child(at, name),
                    Some(Component::Glob(glob)) => {
                        node.file_glob(glob.prefix(), entry);
                        break;
                    }
                    Some(Component::Any | Component::Deep) => {
                        node.file_glob("", entry);
                        break;
                    }
                    None => node.here.push(entry),
                }
            }
        }
    }

    fn root(&mut self) -> usize {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        0
    }

    fn child(&mut self, at: usize, name: &str) -> usize {
        let next = self.nodes.len();
        let Some(node) = self.nodes.get_mut(at) else { return at };
        let child = *node.children.entry(name.into()).or_insert(next);
        if child == next {
            self.nodes.push(Node::default());
        }
        child
    }

    /// Finds what bears on the resource, of statements alike the first. The part must not be a
    /// [`Part::Directory`], which is two questions.
    pub fn find(&self, statements: &[Statement], resource: &Resource<'_>, hits: &mut Hits) {
        let Some(node) = self.descend(statements, resource, hits) else { return };
        let Part::Key(key) = resource.part else {
            for effect in [Effect::Allow, Effect::Deny] {
                if let Some(relation) = Relation::needed(resource.part, effect) {
                    node.add_first(relation, effect, hits);
                }
            }
            return;
        };
        for effect in [Effect::Allow, Effect::Deny] {
            node.add_first(Relation::Matches, effect, hits);
        }
        examine(statements, node.globs_for(key), resource, hits);
        if let Some(below) = node.children.get(key).and_then(|child| self.nodes.get(*child)) {
            for effect in [Effect::Allow, Effect::Deny] {
                below.add_first(Relation::Matches, effect, hits);
            }
        }
    }

    /// Does any statement bear on the resource?
    pub fn finds_any(&self, statements: &[Statement], resource: &Resource<'_>, examined: &mut usize) -> bool {
        let mut hits = Hits { is_one_enough: true, ..Hits::default() };
        self.find(statements, resource, &mut hits);
        *examined += hits.examined;
        !hits.statements.is_empty()
    }

    /// Finds everything that bears on the resource. Of a folder that takes as long as there is below it.
    pub fn find_all(&self, statements: &[Statement], resource: &Resource<'_>, hits: &mut Hits) {
        let Some(node) = self.descend(statements, resource, hits) else { return };
        let mut pending = vec![node];
        while let Some(node) = pending.pop() {
            examine(statements, node.here.iter().chain(node.globs.values().flatten()), resource, hits);
            pending.extend(node.children.iter().filter_map(|(name, child)| match resource.part {
                Part::Key(key) if **name != *key => None,
                _ => self.nodes.get(*child),
            }));
        }
    }

    /// The resource's node, if any pattern leads there. On the way, the globs above it are examined.
    fn descend(&self, statements: &[Statement], resource: &Resource<'_>, hits: &mut Hits) -> Option<&Node> {
        let mut node = self.nodes.first()?;
        for component in resource.components() {
            examine(statements, node.globs_for(component), resource, hits);
            node = node.children.get(component).and_then(|child| self.nodes.get(*child))?;
        }
        Some(node)
    }
}

fn examine<'a>(
    statements: &[Statement],
    entries: impl Iterator<Item = &'a Entry>,
    resource: &Resource<'_>,
    hits: &mut Hits,
) {
    for entry in entries {
        if hits.is_one_enough && !hits.statements.is_empty() {
            return;
        }
        hits.examined += 1;
        let Some(statement) = statement_at(statements, entry.statement) else { continue };
        let pattern = usize::try_from(entry.resource).ok().and_then(|index| statement.resources.get(index));
        if pattern.is_some_and(|pattern| pattern.bears(statement.effect, resource)) {
            hits.statements.push(entry.statement);
        }
    }
}

impl Node {
    fn file_glob(&mut self, prefix: &str, entry: Entry) {
        self.globs.entry(prefix.into()).or_default().push(entry);
        if !self.prefixes.contains(&prefix.len()) {
            self.prefixes.push(prefix.len());
        }
    }

    /// The globs here whose first component may match.
    fn globs_for<'a>(&'a self, component: &'a str) -> impl Iterator<Item = &'a Entry> {
        let prefixes = self.prefixes.iter().filter_map(|length| component.get(..*length));
        prefixes.filter_map(|prefix| self.globs.get(prefix)).flatten()
    }

    fn add_first(&self, relation: Relation, effect: Effect, hits: &mut Hits) {
        for (known, first) in Relation::ALL.into_iter().zip(&self.first) {
            if known == relation {
                let found = first.0.iter().zip([Effect::Allow, Effect::Deny]).filter(|(_, of)| *of == effect);
                for id in found.flat_map(|(ids, _)| ids).flatten() {
                    hits.examined += 1;
                    hits.statements.push(*id);
                }
            }
        }
    }
}

impl First {
    fn note(&mut self, id: StatementId, statement: &Statement) {
        for (ids, effect) in self.0.iter_mut().zip([Effect::Allow, Effect::Deny]) {
            for (known, action) in ids.iter_mut().zip(Action::ALL) {
                if effect == statement.effect && statement.bears_on(action) {
                    known.get_or_insert(id);
                }
            }
        }
    }
}
