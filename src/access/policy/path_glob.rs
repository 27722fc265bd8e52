//! Globs over paths.

use std::fmt;

use super::glob::{Glob, GlobError};

/// More components than any path that a provider can hold has; it lets a set of states be one word.
pub(super) const MOST_COMPONENTS: usize = 63;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    Literal(Box<str>),
    Glob(Glob),
    /// `*`
    Any,
    /// `**`
    Deep,
}

impl Component {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Literal(literal) => &**literal == text,
            Self::Glob(glob) => glob.matches(text),
            Self::Any | Self::Deep => true,
        }
    }
}

/// A glob over components separated by `/`.
///
/// Invariant: 1 to 63 components, no two `**` side by side, and no `**` before a `*` (`**/*` says the same
/// as `*/**`), so "matches everything that follows" can be read off the last component.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathGlob {
    components: Vec<Component>,
    text: Box<str>,
}

/// How much of a glob a path may have used up: a set of positions in its components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct States(u64);

impl PathGlob {
    /// `text` has no leading `/`.
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        if text.is_empty() {
            return Err(GlobError::Empty);
        }
        let mut components = Vec::new();
        for part in text.split('/') {
            let component = match part {
                "" => return Err(GlobError::EmptyComponent),
                "*" => Component::Any,
                "**" => Component::Deep,
                part => match Glob::parse(part)? {
                    glob if glob.is_literal() => Component::Literal(part.into()),
                    glob if glob.is_any() => Component::Any,
                    glob => Component::Glob(glob),
                },
            };
            if component == Component::Deep && components.last() == Some(&Component::Deep) {
                continue;
            }
            components.push(component);
            let mut at = components.len() - 1;
            while at > 0 && components[at] == Component::Any && components[at - 1] == Component::Deep {
                components.swap(at, at - 1);
                at -= 1;
            }
        }
        if components.len() > MOST_COMPONENTS {
            return Err(GlobError::TooManyComponents);
        }
        Ok(Self { components, text: text.into() })
    }

    pub fn components(&self) -> &[Component] {
        &self.components
    }

    pub fn is_literal(&self) -> bool {
        self.components.iter().all(|component| matches!(component, Component::Literal(_)))
    }

    /// What every path that it matches begins with, each component with a `/` before it.
    pub fn prefix(&self) -> String {
        let mut prefix = String::new();
        for component in &self.components {
            let (start, is_whole) = match component {
                Component::Literal(literal) => (&**literal, true),
                Component::Glob(glob) => (glob.prefix(), false),
                Component::Any => ("", false),
                Component::Deep => break,
            };
            prefix.push('/');
            prefix.push_str(start);
            if !is_whole {
                break;
            }
        }
        prefix
    }

    /// The fewest components that a path must have to match.
    pub fn least_components(&self) -> usize {
        self.components.iter().filter(|component| **component != Component::Deep).count()
    }

    pub fn has_deep(&self) -> bool {
        self.components.contains(&Component::Deep)
    }

    pub fn matches<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> bool {
        self.is_end(self.after(path))
    }

    /// Does it match the path or one that the path is below?
    pub fn matches_or_above<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> bool {
        let mut states = self.start();
        self.is_end(states)
            || path.into_iter().any(|component| {
                states = self.step(states, |pattern| pattern.matches(component));
                self.is_end(states)
            })
    }

    pub fn start(&self) -> States {
        self.past_deep(1)
    }

    /// The states after a whole path.
    pub fn after<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> States {
        path.into_iter().fold(self.start(), |states, component| self.then(states, component))
    }

    pub fn then(&self, states: States, component: &str) -> States {
        self.step(states, |pattern| pattern.matches(component))
    }

    /// After one more component, whichever suits the glob best.
    pub fn then_some(&self, states: States) -> States {
        self.step(states, |_| true)
    }

    /// After one more component, whatever it is.
    pub fn then_any(&self, states: States) -> States {
        self.step(states, |pattern| matches!(pattern, Component::Any | Component::Deep))
    }

    /// Is what was read so far matched?
    pub fn is_end(&self, states: States) -> bool {
        states.0 >> self.components.len() & 1 == 1
    }

    /// Can anything longer than what was read so far be matched?
    pub fn can_go_on(&self, states: States) -> bool {
        states.0 & !(1 << self.components.len()) != 0
    }

    /// Is everything matched from here on, what was read so far included?
    pub fn matches_all_from(&self, states: States) -> bool {
        let last = self.components.len() - 1;
        self.components[last] == Component::Deep && states.0 >> last & 1 == 1
    }

    fn step(&self, states: States, matches: impl Fn(&Component) -> bool) -> States {
        let mut next = 0;
        for (at, component) in self.components.iter().enumerate() {
            if states.0 >> at & 1 == 1 && matches(component) {
                next |= if *component == Component::Deep { 1 << at } else { 1 << (at + 1) };
            }
        }
        self.past_deep(next)
    }

    /// `**` may also stand for nothing. In order, so that one pass is enough.
    fn past_deep(&self, mut states: u64) -> States {
        for (at, component) in self.components.iter().enumerate() {
            if *component == Component::Deep && states >> at & 1 == 1 {
                states |= 1 << (at + 1);
            }
        }
        States(states)
    }
}

impl fmt::Display for PathGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PathGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}
