//! The tags that listings and descriptions brought along, so that a read need not ask for them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_sdk_secretsmanager::types::Tag;

/// By whole name; secrets without tags have no entry. As fresh as the last listing or look.
#[derive(Default)]
pub(super) struct Tags(Mutex<HashMap<String, Vec<(String, String)>>>);

impl Tags {
    /// What is known of `name`; empty if nothing is.
    pub(super) fn of(&self, name: &str) -> Vec<(String, String)> {
        self.map().get(name).cloned().unwrap_or_default()
    }

    pub(super) fn remember(&self, name: &str, tags: Vec<(String, String)>) {
        let mut map = self.map();
        if tags.is_empty() {
            map.remove(name);
        } else {
            map.insert(name.to_owned(), tags);
        }
    }

    /// A whole listing: forgets the tags of what is no longer there.
    pub(super) fn replace(&self, all: HashMap<String, Vec<(String, String)>>) {
        *self.map() = all;
    }

    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<(String, String)>>> {
        // Each change is one call on the map: a panic leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The SDK's tags as pairs; a tag without a value has an empty one.
pub(super) fn pairs(tags: Option<Vec<Tag>>) -> Vec<(String, String)> {
    let pair = |tag: Tag| tag.key.map(|key| (key, tag.value.unwrap_or_default()));
    tags.unwrap_or_default().into_iter().filter_map(pair).collect()
}
