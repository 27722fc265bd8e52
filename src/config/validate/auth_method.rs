//! `auth = { method = "…", … }`: each method has settings that it must be given, and others that it may be.

use super::section::Section;
use crate::config::diagnostic::Diagnostic;
use crate::config::written::Item;

/// One way to log in.
pub struct AuthMethod<M> {
    pub name: &'static str,
    pub means: M,
    /// What it must be given.
    pub needs: &'static [&'static str],
    /// What it may be given besides.
    pub takes: &'static [&'static str],
}

impl<M> AuthMethod<M> {
    fn knows(&self, key: &str) -> bool {
        self.needs.contains(&key) || self.takes.contains(&key)
    }
}

/// The method that is chosen; None where none is, or another word. `keys` are the settings of all methods. What the chosen
/// one lacks, and what is of no use to it, is told.
pub fn choose<M: Copy>(section: &Section<'_>, whole: &Item, keys: &[&'static str], all: &[AuthMethod<M>]) -> Option<M> {
    section.reject_unknown();
    let Some(item) = section.get("method") else {
        let words: Vec<String> = all.iter().map(|method| format!("\"{}\"", method.name)).collect();
        section.add(
            Diagnostic::error(format!("{} has no `method`", section.title()))
                .at(whole.key.clone())
                .label(format!("expected `method` in it: {}", words.join(", "))),
        );
        return None;
    };
    let choices: Vec<_> = all.iter().map(|method| (method.name, method)).collect();
    let method = section.choice("method", &choices)?;
    for key in method.needs.iter().copied().filter(|key| section.get(key).is_none()) {
        section.add(
            Diagnostic::error(format!("{} has no `{key}`", section.title()))
                .at(item.place.clone())
                .label(format!("expected `{key}` beside it")),
        );
    }
    for key in keys.iter().copied().filter(|key| *key != "method" && !method.knows(key)) {
        let Some(item) = section.get(key) else { continue };
        let whose = all.iter().filter(|method| method.knows(key)).map(|method| format!("\"{}\"", method.name));
        section.add(
            Diagnostic::error(format!("{} has no effect with the method \"{}\"", section.name(key), method.name))
                .at(item.key.clone())
                .help(format!("remove it, or use the method {}", whose.collect::<Vec<_>>().join(" or "))),
        );
    }
    Some(method.means)
}
