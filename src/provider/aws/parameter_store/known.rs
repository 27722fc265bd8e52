//! What listings and looks said of secrets besides their values, so that a read asks for what is there and
//! for nothing else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::names::Spelled;

/// What a secret is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// The parameter that is called like the secret itself.
    pub(super) own: Option<Own>,
    /// Are there parameters in a directory of that name?
    pub(super) directory: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) name: Spelled,
    /// Of the one tier whose parameters cannot have a policy of their own.
    pub(super) is_standard: bool,
}

/// By the secret's name in the scope. As fresh as the last listing or look.
#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<String, Shape>>);

impl Known {
    pub(super) fn of(&self, name: &str) -> Option<Shape> {
        self.map().get(name).cloned()
    }

    /// Of what is not there nothing is kept: names that are looked at in vain are as many as callers like.
    pub(super) fn remember(&self, name: &str, shape: Shape) {
        if shape == Shape::default() {
            return self.forget(name);
        }
        self.map().insert(name.to_owned(), shape);
    }

    pub(super) fn forget(&self, name: &str) {
        self.map().remove(name);
    }

    /// A whole listing: forgets what is no longer there.
    pub(super) fn replace(&self, all: HashMap<String, Shape>) {
        *self.map() = all;
    }

    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<String, Shape>> {
        // Each change is one call on the map: a panic leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_takes_no_memory() {
        let known = Known::default();
        let directory = || Shape { own: None, directory: true };
        known.remember("db", directory());
        assert_eq!(known.of("db"), Some(directory()));
        for name in ["db", "nosuch"] {
            known.remember(name, Shape::default());
        }
        assert!(known.map().is_empty());
    }
}
