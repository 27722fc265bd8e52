//! What an operator asks of memory: to have it all asked for anew, or forgotten.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::freshness::{Failure, Good};
use super::memory::{Memory, ValueKey};
use super::source::Source;
use super::sources::Sources;
use crate::provider::VersionSelector;
use crate::tree::{Below, Document, SecretNode};

/// Values of one scope that are asked for at a time: fewer than calls are let through, so that none waits for
/// another until its own time is up, and readers have room.
const AT_A_TIME: usize = 32;

/// What came of asking for a value anew.
pub struct Renewed {
    pub key: ValueKey,
    /// The version that memory held.
    pub before: String,
    /// The version that it holds now, or why there is none or no newer one.
    pub after: Result<String, Failure>,
}

/// How much was forgotten.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    pub values: usize,
    pub listings: usize,
    /// Answers about single names, and refusals.
    pub names: usize,
}

impl Memory {
    /// Asks for every value below a place that memory holds, and forgets what it knows of names there.
    pub async fn renew(&self, sources: &Sources, below: &Below) -> Vec<Renewed> {
        let below = self.meant(below);
        // Before the values: who looks for a new name may come meanwhile.
        self.forget_names(&below);
        self.values.forget(|key, kept| {
            // What is on its way for the first time may be from before.
            let holds_none = kept.is_none_or(|kept| kept.good.is_none());
            holds_none && (below.covers(&key.at) || below.is_a_key_of(&key.at))
        });
        let mut turns = HashMap::new();
        let mut asking = JoinSet::new();
        for (key, good) in self.values().into_iter().filter(|(key, _)| below.covers(&key.at)) {
            if !may_change(&key, &good) {
                continue;
            }
            // Where no provider can be made there is no value either: an identity that is not there any more.
            let Some(Ok(source)) = sources.get(&key.at.scope, key.at.identity) else { continue };
            if source.generation != key.generation {
                continue;
            }
            let turn = turns.entry((key.at.scope.clone(), key.at.identity));
            let turn = Arc::clone(turn.or_insert_with(|| Arc::new(Semaphore::new(AT_A_TIME))));
            let (values, before) = (Arc::clone(&self.values), good.value.version.clone());
            asking.spawn(async move {
                let _turn = turn.acquire_owned().await;
                let fetch = || Arc::<Source>::clone(&source).fetch(key.at.path.name().clone(), key.version.clone());
                let fetched = values.refresh(&key, &source.values(), fetch).await;
                Renewed { key, before, after: fetched.map(|good| good.value.version.clone()) }
            });
        }
        let mut renewed = asking.join_all().await;
        renewed.sort_by_key(|renewed| place_of(&renewed.key));
        renewed
    }

    /// Forgets and wipes everything below a place: values, names, and what is predicted of permissions.
    pub fn forget(&self, below: &Below) -> Forgotten {
        let below = self.meant(below);
        let (listings, mut names) = self.forget_names(&below);
        let forgotten = self.values.forget(|key, _| below.covers(&key.at) || below.is_a_key_of(&key.at));
        let values = forgotten.iter().filter(|(_, kept)| kept.good.is_some()).count();
        names += forgotten.len() - values;
        self.predictions.forget(&below);
        Forgotten { values, listings, names }
    }

    /// The secret whose key it is, where a place is one as far as memory knows.
    pub fn meant(&self, below: &Below) -> Below {
        let Some(of) = below.of_its_key() else { return below.clone() };
        let values = self.values();
        let holds = |place: &Below| values.iter().any(|(key, _)| place.covers(&key.at));
        if !holds(below) && holds(&of) && !self.is_listed(below) { of } else { below.clone() }
    }

    fn is_listed(&self, below: &Below) -> bool {
        let Below::Path { scope, path, .. } = below else { return false };
        let listings = self.listings.entries().into_iter().filter(|(key, _)| key.scope == *scope);
        let mut known = listings.filter_map(|(_, kept)| kept.good.as_ref().map(|good| Arc::clone(&good.value)));
        known.any(|listing| listing.find(path).is_some())
    }

    /// How many listings and how many answers about single names.
    fn forget_names(&self, below: &Below) -> (usize, usize) {
        let listings = self.listings.forget(|key, _| below.has_scope(&key.scope)).len();
        let names = self.presences.forget(|key, _| below.covers(&key.at) || below.is_below(&key.at)).len();
        self.key_names.forget(|key, _| below.covers(&key.at) || below.is_a_key_of(&key.at));
        (listings, names)
    }
}

/// A version that was asked for by its own id is what it is; one by another name may be another by now.
fn may_change(key: &ValueKey, good: &Good<Document>) -> bool {
    match &key.version {
        VersionSelector::Current | VersionSelector::Previous => true,
        VersionSelector::Named(id) => good.value.version != *id,
    }
}

/// In the order of names, the current version first.
fn place_of(key: &ValueKey) -> (String, String, crate::provider::Identity, u8, String) {
    let SecretNode { scope, identity, path } = &key.at;
    let (rank, name) = match &key.version {
        VersionSelector::Current => (0, String::new()),
        VersionSelector::Previous => (1, String::new()),
        VersionSelector::Named(id) => (2, id.clone()),
    };
    (scope.to_string(), path.as_str().to_owned(), *identity, rank, name)
}
