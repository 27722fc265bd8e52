//! What one configuration has otherwise than another.

use super::settings::{Config, IdentitySettings, ScopeName};
use crate::access::policy::Statement;

/// What another configuration brings to a mount that lives. Names are in order; the places are `file:line`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub added: Vec<ScopeName>,
    /// Scopes whose provider would give something else.
    pub changed: Vec<ScopeName>,
    /// Scopes that would be given the same, which is used for longer or shorter.
    pub adjusted: Vec<ScopeName>,
    pub removed: Vec<ScopeName>,
    /// How many scopes are what they were.
    pub unchanged: usize,
    pub grants: Replaced,
    /// `[[identity]]` tables; their order counts.
    pub identities: Replaced,
    pub root: bool,
    pub max_bytes: bool,
    pub audit: bool,
}

/// Tables that are there now, where they are written, and those that are not there any more, where they were.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    /// The same tables, in another order that counts.
    pub reordered: bool,
}

impl Replaced {
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && !self.reordered
    }
}

impl Changes {
    pub fn between(before: &Config, after: &Config) -> Self {
        // A setting that is new must be compared below, or by `fixed`: one that is not would be ignored without a word.
        let Config {
            mountpoint: _,
            allow_other: _,
            events: _,
            root: _,
            max_bytes: _,
            control: _,
            audit: _,
            metrics: _,
            sandbox: _,
            scopes: _,
            grants: _,
            identities: _,
        } = after;
        let mut changes = Self {
            removed: before.scopes.keys().filter(|name| !after.scopes.contains_key(*name)).cloned().collect(),
            grants: grants(&before.grants, &after.grants),
            identities: identities(&before.identities, &after.identities),
            root: before.root != after.root,
            max_bytes: before.max_bytes != after.max_bytes,
            audit: before.audit != after.audit,
            ..Self::default()
        };
        for (name, scope) in &after.scopes {
            match before.scopes.get(name) {
                None => changes.added.push(name.clone()),
                Some(was) if was == scope => changes.unchanged += 1,
                Some(was) if was.gives_the_same_as(scope) => changes.adjusted.push(name.clone()),
                Some(_) => changes.changed.push(name.clone()),
            }
        }
        changes
    }

    /// Is everything what it was?
    pub fn is_empty(&self) -> bool {
        let Self { added, changed, adjusted, removed, unchanged: _, grants, identities, root, max_bytes, audit } = self;
        [added, changed, adjusted, removed].into_iter().all(Vec::is_empty)
            && grants.is_empty()
            && identities.is_empty()
            && !(*root || *max_bytes || *audit)
    }

    /// Can anybody be another's equal, or see another thing, than before?
    pub fn are_of_access(&self) -> bool {
        !self.grants.is_empty() || !self.identities.is_empty() || self.root
    }
}

/// The settings that a mount which lives cannot change, each with what it is and what it was to be.
pub fn fixed(before: &Config, after: &Config) -> Vec<String> {
    let mut fixed = Vec::new();
    if before.mountpoint != after.mountpoint {
        let (is, wanted) = (before.mountpoint.display(), after.mountpoint.display());
        fixed.push(format!("`mountpoint` is {is} and was to be {wanted}"));
    }
    if before.allow_other != after.allow_other {
        fixed.push(format!("`allow_other` is {} and was to be {}", before.allow_other, after.allow_other));
    }
    if before.events != after.events {
        fixed.push(format!("`events` is {} and was to be {}", before.events, after.events));
    }
    if before.control != after.control {
        let place = |config: &Config| {
            let socket = config.control.socket.as_deref();
            socket.map_or_else(|| "where it is by default".to_owned(), |socket| socket.display().to_string())
        };
        fixed.push(format!("[control] `socket` is {} and was to be {}", place(before), place(after)));
    }
    if before.audit.file != after.audit.file {
        let place = |config: &Config| {
            config.audit.file.as_deref().map_or_else(|| "nowhere".to_owned(), |file| file.display().to_string())
        };
        fixed.push(format!("[audit] `file` is {} and was to be {}", place(before), place(after)));
    }
    if before.metrics != after.metrics {
        let shown = |config: &Config| {
            let listen = config.metrics.listen.as_ref().map_or_else(|| "nowhere".to_owned(), ToString::to_string);
            if config.metrics.names { format!("{listen}, with names") } else { listen }
        };
        fixed.push(format!("[metrics] are to be had at {} and were to be at {}", shown(before), shown(after)));
    }
    if before.sandbox != after.sandbox {
        fixed.push("[sandbox] was to be another, and what the daemon has given up does not come back".to_owned());
    }
    fixed
}

/// Grants are the same whatever their order, and wherever they are written.
fn grants(before: &[Statement], after: &[Statement]) -> Replaced {
    let same = |one: &Statement, other: &Statement| {
        let of = |it: &Statement| (it.effect, it.actions);
        of(one) == of(other) && one.principals == other.principals && one.resources == other.resources
    };
    replaced(before, after, same, |statement| &statement.place)
}

fn identities(before: &[IdentitySettings], after: &[IdentitySettings]) -> Replaced {
    let same = |one: &IdentitySettings, other: &IdentitySettings| {
        one.acts_as == other.acts_as && one.principals == other.principals && one.scopes == other.scopes
    };
    let found = replaced(before, after, same, |settings| &settings.place);
    let is_in_order = before.len() == after.len() && before.iter().zip(after).all(|(one, other)| same(one, other));
    Replaced { reordered: found.is_empty() && !is_in_order, ..found }
}

/// Each counts as often as it is there.
fn replaced<T>(before: &[T], after: &[T], same: impl Fn(&T, &T) -> bool, place: impl Fn(&T) -> &String) -> Replaced {
    let mut left: Vec<&T> = before.iter().collect();
    let mut added = Vec::new();
    for one in after {
        match left.iter().position(|other| same(one, other)) {
            Some(at) => drop(left.remove(at)),
            None => added.push(place(one).clone()),
        }
    }
    Replaced { added, removed: left.into_iter().map(|one| place(one).clone()).collect(), reordered: false }
}
