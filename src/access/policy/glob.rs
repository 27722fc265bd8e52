//! Globs: `*` and `?` within one component, `**` for any number of components. No classes, no braces, no
//! regular expressions.

use std::fmt;

use thiserror::Error;

use super::path_glob::MOST_COMPONENTS;

/// Why a text is no glob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GlobError {
    #[error("it is empty")]
    Empty,
    #[error("it has an empty component")]
    EmptyComponent,
    #[error("`**` stands for whole components and cannot be part of one")]
    DeepInComponent,
    #[error("`{0}` has no meaning here")]
    Unsupported(char),
    #[error("it holds a control character")]
    Control,
    #[error("it has more than {MOST_COMPONENTS} components")]
    TooManyComponents,
}

/// A glob over one text without parts, such as a unit's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Glob(Box<str>);

impl Glob {
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        if text.is_empty() {
            return Err(GlobError::Empty);
        }
        if text.contains("**") {
            return Err(GlobError::DeepInComponent);
        }
        // A reader of shell globs would take these for more than themselves, and a deny would then match nothing.
        match text.chars().find(|c| "[]{}\\".contains(*c) || c.is_control()) {
            Some(c) if c.is_control() => Err(GlobError::Control),
            Some(c) => Err(GlobError::Unsupported(c)),
            None => Ok(Self(text.into())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Does it stand for one text only?
    pub fn is_literal(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    /// Does it match every text?
    pub(super) fn is_any(&self) -> bool {
        &*self.0 == "*"
    }

    /// What every text that it matches begins with.
    pub fn prefix(&self) -> &str {
        self.0.split(['*', '?']).next().unwrap_or_default()
    }

    /// In at most `pattern * text` steps: a mismatch goes back to the last `*` only.
    pub fn matches(&self, text: &str) -> bool {
        let (mut pattern, mut text) = (self.0.chars(), text.chars());
        let mut retry = None;
        loop {
            let mut rest = pattern.clone();
            match rest.next() {
                Some('*') => {
                    pattern = rest;
                    retry = Some((pattern.clone(), text.clone()));
                    continue;
                }
                Some(wanted) => {
                    let mut further = text.clone();
                    if further.next().is_some_and(|found| wanted == '?' || wanted == found) {
                        (pattern, text) = (rest, further);
                        continue;
                    }
                }
                None if text.as_str().is_empty() => return true,
                None => {}
            }
            // One more character for the last `*`, and again from there.
            let Some((after_star, start)) = retry.as_mut() else { return false };
            if start.next().is_none() {
                return false;
            }
            (pattern, text) = (after_star.clone(), start.clone());
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
