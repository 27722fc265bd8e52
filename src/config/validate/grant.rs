//! `[[grant]]`: who may do what to what.
//!
//! What a mistake does decides how loud we are: an allow that gives nothing is a warning, a deny that takes
//! nothing is an error.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::section::Section;
use super::{Problems, as_table, principals, tables, unknown};
use crate::access::Action;
use crate::access::policy::{Actions, Effect, Pattern, PatternError, Principal, Statement};
use crate::config::diagnostic::{Diagnostic, quoted};
use crate::config::keys;
use crate::config::settings::RootPolicy;
use crate::config::suggest::nearest;
use crate::config::written::Item;

const TITLE: &str = "[[grant]]";

const ACTIONS_EXPECTED: &str = "a list of \"list\", \"read\" and \"read-previous\"";
const RESOURCES_EXPECTED: &str = "a list of globs over scope/name[/key], such as [\"prod/db-*\"]";

const ACTIONS: &[(&str, Action)] =
    &[("list", Action::List), ("read", Action::Read), ("read-previous", Action::ReadPrevious)];

/// What else the configuration says that bears on grants.
pub struct Host<'a> {
    /// The names of the scopes, whether or not they are otherwise right.
    pub scopes: Vec<&'a str>,
    pub allow_other: bool,
    pub root: RootPolicy,
}

/// Reads every `[[grant]]`.
pub fn all(root: &Section<'_>, host: &Host<'_>, problems: &Problems) -> Vec<Statement> {
    let Some(elements) = tables::all(root, "grant", TITLE) else { return Vec::new() };
    let mut read: Vec<(Statement, &Item)> = Vec::new();
    let mut known: BTreeMap<_, &Item> = BTreeMap::new();
    for element in elements {
        let Some(statement) = one(element, host, problems) else { continue };
        match known.entry(meaning(&statement)) {
            Entry::Vacant(free) => drop(free.insert(element)),
            Entry::Occupied(first) => problems.add(
                Diagnostic::warning("this grant says what another one says")
                    .at(element.key.clone())
                    .also(first.get().key.clone(), "the same is said here")
                    .help("remove one of them"),
            ),
        }
        read.push((statement, element));
    }
    if let (false, Some(problem)) = (host.allow_other, for_nobody(&read, host.root)) {
        problems.add(problem);
    }
    read.into_iter().map(|(statement, _)| statement).collect()
}

/// None if there is nothing to make of it.
fn one(element: &Item, host: &Host<'_>, problems: &Problems) -> Option<Statement> {
    let section = Section::new(TITLE, as_table(element)?, &[keys::GRANT], problems);
    section.reject_unknown();
    let effect = section.choice("effect", &[("allow", Effect::Allow), ("deny", Effect::Deny)]).unwrap_or(Effect::Allow);
    // A grant with a mistake is left out, so that no other rule complains of what is left of it.
    let mut sound = true;

    let principals = principals::read(&section, TITLE, element, &mut sound);
    let mut actions = Actions::default();
    for (text, item) in tables::texts(&section, TITLE, "actions", ACTIONS_EXPECTED, element, &mut sound) {
        match ACTIONS.iter().find(|(word, _)| *word == text) {
            Some((_, action)) => actions = actions.with(*action),
            None => {
                section.add(bad_action(text, item));
                sound = false;
            }
        }
    }
    let mut resources = Vec::new();
    for (text, item) in tables::texts(&section, TITLE, "resources", RESOURCES_EXPECTED, element, &mut sound) {
        match Pattern::parse(text) {
            Ok(pattern) => {
                if !host.scopes.iter().any(|scope| pattern.may_match_in(scope)) {
                    section.add(no_such_scope(text, item, effect, host));
                }
                resources.push(pattern);
            }
            Err(error) => {
                section.add(bad_pattern(text, item, error));
                sound = false;
            }
        }
    }
    for (_, item) in principals.iter().filter(|(principal, _)| *principal == Principal::User(0)) {
        if effect == Effect::Deny && host.root == RootPolicy::Allow {
            section.add(root_is_past_denies(item));
        }
    }
    let line = element.key.line().number;
    sound.then(|| Statement {
        effect,
        principals: principals.into_iter().map(|(principal, _)| principal).collect(),
        actions,
        resources,
        place: format!("{}:{line}", element.key.file.path.display()),
    })
}

/// Without `allow_other` only the user who runs the daemon comes by.
fn for_nobody(grants: &[(Statement, &Item)], root: RootPolicy) -> Option<Diagnostic> {
    let is_root_granted = root == RootPolicy::Deny && crate::sandbox::owner().uid == 0;
    // What is granted to a group, a unit or a program may be granted to root, too.
    let is_roots = |statement: &Statement| {
        let others = |principal: &Principal| matches!(principal, Principal::User(uid) if *uid != 0);
        is_root_granted && !statement.principals.iter().all(others)
    };
    let mut allowing = grants.iter().filter(|(statement, _)| statement.effect == Effect::Allow);
    let (_, element) = allowing.clone().find(|(statement, _)| !is_roots(statement))?;
    let what = if allowing.any(|(statement, _)| is_roots(statement)) {
        "grants to others than root give nobody anything without `allow_other = true`"
    } else {
        "grants give nobody anything without `allow_other = true`"
    };
    let note = match root {
        RootPolicy::Allow => {
            "the kernel lets only the user who runs the daemon pass, who may do everything without a grant"
        }
        RootPolicy::Deny => {
            "the kernel lets only the user who runs the daemon pass: root has what is granted to root \
             (`root = \"deny\"`), anybody else may do everything without a grant"
        }
    };
    let problem = Diagnostic::warning(what).at(element.key.clone()).note(note);
    Some(problem.help("set `allow_other = true`"))
}

/// What a grant says, however it is put.
fn meaning(statement: &Statement) -> (Effect, Actions, BTreeSet<Principal>, BTreeSet<Pattern>) {
    let principals = statement.principals.iter().cloned().collect();
    (statement.effect, statement.actions, principals, statement.resources.iter().cloned().collect())
}

fn bad_action(text: &str, item: &Item) -> Diagnostic {
    let problem = Diagnostic::error(format!("there is no action {}", quoted(text)))
        .at(item.place.clone())
        .label("expected \"list\", \"read\" or \"read-previous\"");
    match nearest(text, ACTIONS.iter().map(|(word, _)| *word)) {
        Some(near) => problem.help(format!("did you mean \"{near}\"?")),
        None => problem,
    }
}

fn bad_pattern(text: &str, item: &Item, error: PatternError) -> Diagnostic {
    let problem = Diagnostic::error(format!("the resource {} cannot be used: {error}", quoted(text)))
        .at(item.place.clone())
        .label("expected a glob over scope/name[/key], such as \"prod/db-*\"");
    match error {
        PatternError::Glob(error) => principals::about_globs(problem, error),
        PatternError::Absolute => problem.help("write it from the mountpoint on: the scope comes first"),
        PatternError::ScopeOnly => problem.help(format!("for everything in the scope write \"{text}/**\"")),
        PatternError::Impossible => problem
            .note("names are those of the files: `/` in a name, `%`, and a leading `.` or `@` are `%2F`, `%25`, `%2E` and `%40`")
            .note("what is not listed, such as `@current` and `.json`, goes with the keys that it shows"),
    }
}

fn no_such_scope(text: &str, item: &Item, effect: Effect, host: &Host<'_>) -> Diagnostic {
    let scope = text.split('/').next().unwrap_or(text);
    let (problem, so) = match effect {
        Effect::Allow => (Diagnostic::warning(format!("the resource {} is in no scope", quoted(text))), "allows"),
        Effect::Deny => (Diagnostic::error(format!("the resource {} is in no scope", quoted(text))), "denies"),
    };
    let problem =
        problem.at(item.place.clone()).label(format!("no scope matches {}: this {so} nothing", quoted(scope)));
    match nearest(scope, host.scopes.iter().copied()) {
        Some(near) => problem.help(format!("did you mean {}?", quoted(near))),
        None if host.scopes.is_empty() => problem.note("there are no scopes"),
        None => problem.note(format!("the scopes are {}", unknown::list(&host.scopes))),
    }
}

fn root_is_past_denies(item: &Item) -> Diagnostic {
    Diagnostic::error("root is let past every deny, so this one takes nothing")
        .at(item.place.clone())
        .label("root")
        .help("set `root = \"deny\"`: then root is a caller like any other")
}
