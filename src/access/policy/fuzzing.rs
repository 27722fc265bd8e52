//! Grants.

use super::{
    Accounts, Effect, Glob, NoEvidence, Part, PathGlob, Pattern, Policy, Principal, Resource, Statement, Subject,
};
use crate::access::Action;
use crate::config::RootPolicy;

/// Of longer texts the definition, which is slow, is not asked.
const SHORT: usize = 64;

/// Lines: a path, then globs. Each glob matches what it is defined to, and whoever is denied everything has nothing.
pub fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n');
    let path = lines.next().unwrap_or_default();
    let mut statements = Vec::new();
    for line in lines.take(16) {
        glob(line, path);
        path_glob(line, path);
        let (effect, rest) = line.strip_prefix('!').map_or((Effect::Allow, line), |rest| (Effect::Deny, rest));
        let (who, what) = rest.split_once(' ').unwrap_or(("everyone", rest));
        let principal = Principal::parse(who, &Nobody);
        if let Ok(principal) = &principal {
            assert_eq!(Principal::parse(&principal.to_string(), &Nobody).as_ref(), Ok(principal));
        }
        if let (Ok(principal), Ok(pattern)) = (principal, Pattern::parse(what)) {
            statements.push(statement(effect, principal, pattern));
        }
    }
    decide(statements, path);
}

fn decide(statements: Vec<Statement>, path: &str) {
    let (scope, path) = path.split_once('/').unwrap_or((path, ""));
    let subject = Subject { uid: 7, groups: &[7], groups_complete: true, evidence: &NoEvidence };
    let parts = [Part::Secret, Part::Folder, Part::Directory, Part::Document, Part::Key("k")];
    let places = || parts.into_iter().map(|part| Resource::directory(scope, path).with(part));
    let allowed = |statements: &[Statement]| {
        let policy = Policy::new(statements.to_vec(), 1, 1, RootPolicy::Allow);
        let one = |place: Resource<'_>| Action::ALL.map(|action| policy.decide(&subject, action, &place).is_allowed());
        places().map(one).collect::<Vec<_>>()
    };
    let before = allowed(&statements);
    let everything = Pattern::parse("**").expect("a pattern");
    let more = |effect| [statements.clone(), vec![statement(effect, Principal::Everyone, everything.clone())]].concat();
    for (denied, allowed) in allowed(&more(Effect::Deny)).iter().zip(&before) {
        assert_eq!(*denied, [false; 3], "was {allowed:?}");
    }
    for (after, before) in allowed(&more(Effect::Allow)).iter().flatten().zip(before.iter().flatten()) {
        assert!(after >= before);
    }
}

fn statement(effect: Effect, principal: Principal, pattern: Pattern) -> Statement {
    let actions = Action::ALL.into_iter().collect();
    Statement { effect, principals: vec![principal], actions, resources: vec![pattern], place: String::new() }
}

fn glob(pattern: &str, text: &str) {
    let Ok(glob) = Glob::parse(pattern) else { return };
    let found = glob.matches(text);
    assert!(!found || text.starts_with(glob.prefix()));
    if pattern.len().max(text.len()) <= SHORT {
        let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
        let is_one = |p: &char, c: &char| *p == '?' || p == c;
        assert_eq!(found, by_definition(&pattern, &text, |p| *p == '*', is_one));
    }
}

fn path_glob(pattern: &str, path: &str) {
    let Ok(glob) = PathGlob::parse(pattern) else { return };
    let parts: Vec<&str> = path.split('/').collect();
    let found = glob.matches(parts.iter().copied());
    assert!(!found || glob.matches_or_above(parts.iter().copied()));
    if pattern.len().max(path.len()) <= SHORT {
        let components: Vec<&str> = pattern.split('/').collect();
        let is_one = |p: &&str, part: &&str| Glob::parse(p).is_ok_and(|glob| glob.matches(part));
        assert_eq!(found, by_definition(&components, &parts, |p| *p == "**", is_one), "{pattern:?} {path:?}");
    }
}

/// Which beginnings of the text a beginning of the pattern matches, one more of it at a time.
fn by_definition<P, T>(
    pattern: &[P],
    text: &[T],
    is_many: impl Fn(&P) -> bool,
    is_one: impl Fn(&P, &T) -> bool,
) -> bool {
    let mut matched = vec![false; text.len() + 1];
    matched[0] = true;
    for part in pattern {
        let mut next = vec![false; text.len() + 1];
        if is_many(part) {
            let first = matched.iter().position(|it| *it).unwrap_or(matched.len());
            next[first..].fill(true);
        } else {
            for (at, one) in text.iter().enumerate() {
                next[at + 1] = matched[at] && is_one(part, one);
            }
        }
        matched = next;
    }
    matched[text.len()]
}

/// A host with one user and one group.
struct Nobody;

impl Accounts for Nobody {
    fn uid(&self, user: &str) -> Result<Option<u32>, String> {
        Ok((user == "ann").then_some(7))
    }

    fn gid(&self, group: &str) -> Result<Option<u32>, String> {
        Ok((group == "ops").then_some(7))
    }
}
