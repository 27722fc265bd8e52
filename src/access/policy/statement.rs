//! One `[[grant]]`.

use std::hash::{Hash, Hasher};

use super::pattern::Pattern;
use super::principal::Principal;
use crate::access::Action;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    Allow,
    Deny,
}

/// A set of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Actions(u8);

impl Actions {
    pub fn contains(self, action: Action) -> bool {
        self.0 & Self::bit(action) != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[must_use]
    pub fn with(self, action: Action) -> Self {
        Self(self.0 | Self::bit(action))
    }

    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(move |action| self.contains(*action))
    }

    fn bit(action: Action) -> u8 {
        match action {
            Action::List => 1,
            Action::Read => 2,
            Action::ReadPrevious => 4,
        }
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        actions.into_iter().fold(Self::default(), Self::with)
    }
}

/// Who may, or may not, do what to what. Principals are alternatives, and so are actions and resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub effect: Effect,
    pub principals: Vec<Principal>,
    pub actions: Actions,
    pub resources: Vec<Pattern>,
    /// Where it is written: `file:line`.
    pub place: String,
}

/// By what it says, wherever it is written.
impl Hash for Statement {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { effect, principals, actions, resources, place: _ } = self;
        (effect, principals, actions, resources).hash(state);
    }
}

impl Statement {
    /// Does it speak of the action?
    ///
    /// An allow gives what it names. A deny takes what it names and what is worth nothing or too much
    /// without it: who may not look a name up cannot open it, and who may not read a value has no business
    /// with the one before.
    pub fn bears_on(&self, action: Action) -> bool {
        match (self.effect, action) {
            (Effect::Allow, action) => self.actions.contains(action),
            (Effect::Deny, Action::List) => self.actions.contains(Action::List),
            (Effect::Deny, Action::Read) => self.actions.contains(Action::Read) || self.bears_on(Action::List),
            (Effect::Deny, Action::ReadPrevious) => {
                self.actions.contains(Action::ReadPrevious) || self.bears_on(Action::Read)
            }
        }
    }
}
