//! `[[identity]]`: as whom providers are asked for whom.

use std::collections::BTreeSet;

use super::section::Section;
use super::{Problems, acts_as, as_table, principals, tables, unknown};
use crate::access::policy::Principal;
use crate::config::diagnostic::{Diagnostic, quoted};
use crate::config::keys;
use crate::config::settings::{IdentitySettings, Scope, ScopeName};
use crate::config::suggest::nearest;
use crate::config::written::Item;

const TITLE: &str = "[[identity]]";

/// Reads every `[[identity]]`. `names` are those of all scopes, `scopes` those that are otherwise right.
pub fn all(root: &Section<'_>, names: &[&str], scopes: &[&Scope], problems: &Problems) -> Vec<IdentitySettings> {
    let Some(elements) = tables::all(root, "identity", TITLE) else { return Vec::new() };
    let mut read: Vec<(IdentitySettings, &Item)> = Vec::new();
    for element in elements {
        let Some(identity) = one(element, names, scopes, problems) else { continue };
        for scope in &identity.scopes {
            let hides = |(earlier, _): &&(IdentitySettings, &Item)| {
                let has_it = |principal| earlier.principals.contains(principal);
                earlier.scopes.contains(scope)
                    && (has_it(&Principal::Everyone) || identity.principals.iter().all(has_it))
            };
            if let Some((_, first)) = read.iter().find(hides) {
                problems.add(
                    Diagnostic::error(format!("this identity can never apply in the scope {}", quoted(scope.as_str())))
                        .at(element.key.clone())
                        .also(first.key.clone(), "all of its callers have this one: the first that fits counts")
                        .help("put the one for fewer callers first, or remove it"),
                );
            }
        }
        read.push((identity, element));
    }
    let mut identities: Vec<_> = read.into_iter().map(|(identity, _)| identity).collect();
    tell_apart(&mut identities);
    identities
}

/// A number for each table. Those that act as the same may come to have each other's in another configuration, where
/// that makes no difference to the provider.
fn tell_apart(identities: &mut [IdentitySettings]) {
    let mut taken = BTreeSet::new();
    for settings in identities {
        while !taken.insert(settings.number) {
            settings.number = settings.number.wrapping_add(1);
        }
    }
}

/// None if there is nothing to make of it.
fn one(element: &Item, names: &[&str], scopes: &[&Scope], problems: &Problems) -> Option<IdentitySettings> {
    let section = Section::new(TITLE, as_table(element)?, &[keys::IDENTITY], problems);
    section.reject_unknown();
    // One with a mistake is left out, so that no other rule complains of what is left of it.
    let mut sound = true;
    let principals = principals::read(&section, TITLE, element, &mut sound);
    let acts_as = acts_as::read(&section, element);
    let mut of = Vec::new();
    let expected = "a list of scopes, such as [\"prod\"]";
    for (name, item) in tables::texts(&section, TITLE, "scopes", expected, element, &mut sound) {
        match ScopeName::new(name).filter(|_| names.contains(&name)) {
            Some(scope) => {
                let settings = scopes.iter().find(|it| it.name == scope).map(|it| &it.provider);
                if let Some(problem) = settings.and_then(|it| acts_as::misfit(it, acts_as.as_ref(), name, item)) {
                    section.add(problem);
                    sound = false;
                }
                of.push(scope);
            }
            None => {
                section.add(no_such_scope(name, item, names));
                sound = false;
            }
        }
    }
    let line = element.key.line().number;
    let place = format!("{}:{line}", element.key.file.path.display());
    let principals = principals.into_iter().map(|(principal, _)| principal).collect();
    let acts_as = acts_as?;
    let number = acts_as.number();
    Some(IdentitySettings { number, principals, scopes: of, acts_as, place }).filter(|_| sound)
}

fn no_such_scope(name: &str, item: &Item, names: &[&str]) -> Diagnostic {
    let problem = Diagnostic::error(format!("there is no scope {}", quoted(name)))
        .at(item.place.clone())
        .label("expected the name of a scope");
    match nearest(name, names.iter().copied()) {
        Some(near) => problem.help(format!("did you mean {}?", quoted(near))),
        None if names.is_empty() => problem.note("there are no scopes"),
        None => problem.note(format!("the scopes are {}", unknown::list(names))),
    }
}
