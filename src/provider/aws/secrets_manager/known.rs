//! What listings and descriptions said of secrets besides their values: ARN and tags, so that neither a read
//! nor a question to IAM need ask for them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_sdk_secretsmanager::types::Tag;

use super::super::iam::About;

/// By whole name; ARNs have the six characters that Secrets Manager puts behind the name. As fresh as the last
/// listing or look.
#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<String, About>>);

/// None where the answer has no ARN: then nothing is known that we could not do without.
pub(super) fn about(arn: Option<String>, tags: Option<Vec<Tag>>) -> Option<About> {
    let pair = |tag: Tag| tag.key.map(|key| (key, tag.value.unwrap_or_default()));
    let tags = tags.unwrap_or_default().into_iter().filter_map(pair).collect();
    arn.filter(|arn| !arn.is_empty()).map(|arn| About { arn, tags })
}

impl Known {
    pub(super) fn of(&self, name: &str) -> Option<About> {
        self.map().get(name).cloned()
    }

    /// The tags that are known of `name`; empty if nothing is.
    pub(super) fn tags(&self, name: &str) -> Vec<(String, String)> {
        self.map().get(name).map(|about| about.tags.clone()).unwrap_or_default()
    }

    pub(super) fn remember(&self, name: &str, about: Option<About>) {
        let mut map = self.map();
        match about {
            Some(about) => map.insert(name.to_owned(), about),
            None => map.remove(name),
        };
    }

    /// A whole listing: forgets what is no longer there.
    pub(super) fn replace(&self, all: HashMap<String, About>) {
        *self.map() = all;
    }

    /// `name` was met under this ARN: if that is another than the one known, the secret was made anew, and
    /// nothing that is known of the old one holds.
    pub(super) fn met(&self, name: &str, arn: &str) {
        let mut map = self.map();
        if map.get(name).is_some_and(|about| about.arn != arn) {
            map.remove(name);
        }
    }

    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<String, About>> {
        // Each change is one call on the map: a panic leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_was_made_anew_has_nothing_of_the_old_one() {
        let known = Known::default();
        let about = || About { arn: "arn:old".into(), tags: vec![("team".into(), "data".into())] };
        known.remember("db", Some(about()));
        known.met("db", "arn:old");
        assert_eq!(known.of("db"), Some(about()));
        known.met("db", "arn:new");
        assert_eq!((known.of("db"), known.tags("db")), (None, Vec::new()));
    }
}
