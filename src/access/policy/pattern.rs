//! What a statement is about.

use std::fmt;

use thiserror::Error;

use super::glob::GlobError;
use super::path_glob::{Component, PathGlob, States};
use super::resource::{Part, Resource};
use super::statement::Effect;
use crate::tree::FileName;

/// A glob over `scope/name[/key]`, in the spelling of file names below the mountpoint.
///
/// One that matches a secret covers all its keys, and nothing else below it: where `db` and `db/creds` are
/// secrets, `prod/db` covers the keys of `db` and not `db/creds`. One that matches a key covers that key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(PathGlob);

/// Why a text is no pattern, or can match nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PatternError {
    #[error(transparent)]
    Glob(#[from] GlobError),
    #[error("it starts with `/`")]
    Absolute,
    #[error("it names a scope and no secret")]
    ScopeOnly,
    #[error("no file is called so")]
    Impossible,
}

/// How what a pattern matches lies to a place. Each is a question to [`Pattern::bears`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// It matches the secret.
    Matches,
    /// It matches the secret, or may match one of its keys.
    Touches,
    /// It matches the secret, or all its keys whatever they are called.
    Covers,
    /// It may match something further below than the keys.
    ReachesBelow,
    /// It covers every secret further below.
    CoversBelow,
}

impl Relation {
    pub(super) const ALL: [Self; 5] =
        [Self::Matches, Self::Touches, Self::Covers, Self::ReachesBelow, Self::CoversBelow];

    /// What an allow or a deny must be to the place for it to bear on it; None for keys, which are compared.
    ///
    /// Of what stands for several keys an allow needs to give one and a deny to take all; of a document, in
    /// which all keys are, it is the other way round.
    pub(super) fn needed(part: Part<'_>, effect: Effect) -> Option<Self> {
        match (part, effect) {
            (Part::Secret, Effect::Allow) | (Part::Document, Effect::Deny) => Some(Self::Touches),
            (Part::Secret, Effect::Deny) | (Part::Document, Effect::Allow) => Some(Self::Covers),
            (Part::Folder | Part::Directory, Effect::Allow) => Some(Self::ReachesBelow),
            (Part::Folder | Part::Directory, Effect::Deny) => Some(Self::CoversBelow),
            (Part::Key(_), _) => None,
        }
    }
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.starts_with('/') {
            return Err(PatternError::Absolute);
        }
        let glob = PathGlob::parse(text)?;
        if !glob.has_deep() && glob.least_components() < 2 {
            return Err(PatternError::ScopeOnly);
        }
        if !text.split('/').all(may_be_file_name) {
            return Err(PatternError::Impossible);
        }
        Ok(Self(glob))
    }

    pub(super) fn components(&self) -> &[Component] {
        self.0.components()
    }

    /// May it match anything in the scope?
    pub fn may_match_in(&self, scope: &str) -> bool {
        self.0.can_go_on(self.0.after([scope]))
    }

    /// May it match anything below the directory, be it a key?
    pub fn may_match_below(&self, directory: &Resource<'_>) -> bool {
        self.0.can_go_on(self.0.after(directory.components()))
            || directory.part != Part::Folder && self.is(Relation::Touches, self.0.after(directory.components()))
    }

    /// Does a statement with this pattern and effect bear on the resource?
    pub(super) fn bears(&self, effect: Effect, resource: &Resource<'_>) -> bool {
        let states = self.0.after(resource.components());
        match (Relation::needed(resource.part, effect), resource.part) {
            (Some(relation), _) => self.is(relation, states),
            (None, Part::Key(key)) => self.0.is_end(states) || self.0.is_end(self.0.then(states, key)),
            (None, _) => false,
        }
    }

    /// The relation to the place of the first `depth` components, all of which are literal.
    pub(super) fn is_at(&self, relation: Relation, depth: usize) -> bool {
        let literals = self.components().iter().take(depth).filter_map(|component| match component {
            Component::Literal(literal) => Some(&**literal),
            Component::Glob(_) | Component::Any | Component::Deep => None,
        });
        self.is(relation, self.0.after(literals))
    }

    fn is(&self, relation: Relation, states: States) -> bool {
        let glob = &self.0;
        match relation {
            Relation::Matches => glob.is_end(states),
            Relation::Touches => glob.is_end(states) || glob.is_end(glob.then_some(states)),
            Relation::Covers => glob.is_end(states) || glob.is_end(glob.then_any(states)),
            Relation::ReachesBelow => glob.can_go_on(states),
            // One component is a secret and two are its key, so what covers all keys of all secrets counts.
            Relation::CoversBelow => glob.matches_all_from(glob.then_any(glob.then_any(states))),
        }
    }
}

/// Is there a file name that the component of a pattern matches?
fn may_be_file_name(component: &str) -> bool {
    // What is escaped at the start of a name, and `%` that starts no escape, is in no name.
    if component.starts_with(['.', '@']) {
        return false;
    }
    if !component.contains(['*', '?']) {
        return FileName::parse(component.as_ref()).is_some();
    }
    component.match_indices('%').all(|(at, _)| {
        let escape = component.as_bytes().get(at + 1..).unwrap_or_default();
        escape.iter().take(2).take_while(|byte| !b"*?".contains(byte)).all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'))
    })
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bears(pattern: &str, effect: Effect, resource: Resource<'_>) -> bool {
        Pattern::parse(pattern).unwrap().bears(effect, &resource)
    }

    fn allows(pattern: &str, resource: Resource<'_>) -> bool {
        bears(pattern, Effect::Allow, resource)
    }

    fn denies(pattern: &str, resource: Resource<'_>) -> bool {
        bears(pattern, Effect::Deny, resource)
    }

    #[test]
    fn a_secret_covers_its_keys_and_not_the_secrets_below_it() {
        assert!(allows("prod/db", Resource::key("prod", "db", "user")));
        assert!(!allows("prod/db", Resource::key("prod", "db/creds", "user")));
        assert!(!allows("prod/db", Resource::secret("prod", "db/creds")));
        assert!(allows("prod/db/creds", Resource::key("prod", "db/creds", "user")));
        assert!(allows("prod/db/*", Resource::key("prod", "db/creds", "user")));
        assert!(allows("prod/db/*", Resource::key("prod", "db", "user")));
        // A key and a secret of one name are at one place, and a pattern is about places.
        assert!(allows("prod/db/creds", Resource::key("prod", "db", "creds")));
    }

    #[test]
    fn a_star_is_one_level_of_secrets_with_their_keys() {
        assert!(allows("prod/*", Resource::key("prod", "db", "user")));
        assert!(!allows("prod/*", Resource::key("prod", "airflow/conn", "user")));
        assert!(allows("prod/**", Resource::key("prod", "airflow/conn", "user")));
        assert!(allows("**", Resource::key("prod", "db", "user")));
        assert!(!allows("prod/db-*", Resource::key("prod", "db", "user")));
        assert!(allows("*/db", Resource::key("test", "db", "user")));
    }

    #[test]
    fn a_directory_is_passed_by_whoever_is_given_anything_below_it() {
        for folder in [Resource::root(), Resource::scope("prod"), Resource::folder("prod", "a")] {
            assert!(allows("prod/a/b/key", folder), "{folder}");
            assert!(allows("**/key", folder), "{folder}");
            assert!(!denies("prod/a/b", folder), "{folder}");
            assert!(denies("**", folder), "{folder}");
        }
        assert!(!allows("prod/a/b", Resource::folder("prod", "b")));
        assert!(!allows("prod/a", Resource::folder("prod", "a")));
        assert!(allows("prod/a/key", Resource::secret("prod", "a")));
        assert!(!denies("prod/a/key", Resource::secret("prod", "a")));
        assert!(denies("prod/a/*", Resource::secret("prod", "a")));
        assert!(denies("prod/a/**", Resource::folder("prod", "a")));
        assert!(denies("prod/a/*/**", Resource::folder("prod", "a")));
        assert!(denies("prod/a/**/*", Resource::folder("prod", "a")));
        assert!(denies("prod/a/*/*/**", Resource::folder("prod", "a")));
        assert!(!denies("prod/a/*", Resource::folder("prod", "a")));
        assert!(!denies("prod/a/**/x", Resource::folder("prod", "a")));
    }

    #[test]
    fn a_document_needs_all_keys_and_loses_to_a_deny_of_one() {
        let document = Resource::document("prod", "db");
        assert!(allows("prod/db", document) && allows("prod/db/*", document) && allows("prod/**", document));
        assert!(!allows("prod/db/user", document) && !allows("prod/db/u*", document));
        assert!(denies("prod/db/user", document) && denies("prod/db/u*", document) && denies("prod/*/user", document));
        assert!(!denies("prod/db/user/x", document) && !denies("prod/db2/user", document));
    }

    #[test]
    fn what_may_match_below_a_directory_is_told() {
        let below = |pattern: &str, directory| Pattern::parse(pattern).unwrap().may_match_below(&directory);
        assert!(below("prod/a/b", Resource::scope("prod")));
        assert!(below("prod/a", Resource::secret("prod", "a")));
        assert!(!below("prod/a", Resource::folder("prod", "a")));
        assert!(!below("prod/a", Resource::scope("test")));
    }

    #[test]
    fn a_pattern_that_can_match_nothing_is_refused() {
        for (text, error) in [
            ("/prod/db", PatternError::Absolute),
            ("prod", PatternError::ScopeOnly),
            ("*", PatternError::ScopeOnly),
            ("prod/.json", PatternError::Impossible),
            ("prod/db/@current", PatternError::Impossible),
            ("prod/%41", PatternError::Impossible),
            ("prod/100%*", PatternError::Glob(GlobError::Empty)),
            ("prod/%2f*", PatternError::Impossible),
            ("prod/%g*", PatternError::Impossible),
            ("prod//db", PatternError::Glob(GlobError::EmptyComponent)),
        ] {
            if text == "prod/100%*" {
                assert!(Pattern::parse(text).is_ok(), "the star may stand for an escape's digits");
            } else {
                assert_eq!(Pattern::parse(text), Err(error), "{text}");
            }
        }
        for text in ["**", "prod/**", "prod/%2Ejson", "prod/a%2Fb*", "p?/db"] {
            assert!(Pattern::parse(text).is_ok(), "{text}");
        }
    }
}
