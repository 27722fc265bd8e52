//! Pictures that were made before, for as long as nothing has changed that they were made of.
//!
//! The kernel asks for bits and lists at every step of a path, and making one takes as long as there are users and
//! groups to show.

use std::sync::Arc;

use crate::access::Action;
use crate::access::groups::Membership;
use crate::access::mode::Acl;
use crate::provider::Identity;
use crate::tree::Node;

/// Pictures at the most; they hold numbers of users and groups, and no secret.
const MOST: u64 = 20_000;

/// What a picture is of. The same for every identity that looks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    node: Node,
    action: Action,
}

/// What it was made of, besides the policy, which stays as it is.
#[derive(Clone, Default)]
pub struct Grounds {
    pub members: Arc<Membership>,
    /// The identities that the provider refuses, in order.
    pub refused: Vec<Identity>,
    /// Those about whom that is known.
    pub known: Vec<Identity>,
    pub refuses_listing: bool,
}

impl Grounds {
    fn are(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.members, &other.members)
            && self.refused == other.refused
            && self.known == other.known
            && self.refuses_listing == other.refuses_listing
    }
}

pub struct Pictures(moka::sync::Cache<Key, (Arc<Acl>, Arc<Grounds>)>);

impl Default for Pictures {
    fn default() -> Self {
        Self(moka::sync::Cache::new(MOST))
    }
}

impl Pictures {
    /// The picture made on these grounds, now if it has not been made.
    pub fn get(&self, node: &Node, action: Action, grounds: Grounds, make: impl FnOnce(&Grounds) -> Acl) -> Arc<Acl> {
        let key = Key { node: node.under(Identity::Own), action };
        if let Some((picture, made_of)) = self.0.get(&key)
            && made_of.are(&grounds)
        {
            return picture;
        }
        let picture = Arc::new(make(&grounds));
        self.0.insert(key, (Arc::clone(&picture), Arc::new(grounds)));
        picture
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::mode::Kind;

    fn picture() -> Acl {
        let (users, groups) = Default::default();
        let (kind, owner, group, other) = (Kind::File, true, false, false);
        Acl { kind, owner_uid: 0, owner_gid: 0, owner, group, other, users, groups, is_coarse: false }
    }

    #[test]
    fn a_picture_is_made_anew_when_anything_has_changed_that_it_was_made_of_and_only_then() {
        let (pictures, grounds) = (Pictures::default(), Grounds::default());
        let made = std::cell::Cell::new(0);
        let get = |node: &Node, action, grounds: &Grounds| {
            pictures.get(node, action, grounds.clone(), |_| {
                made.set(made.get() + 1);
                picture()
            });
            made.get()
        };
        assert_eq!(get(&Node::Root, Action::List, &grounds), 1);
        assert_eq!(get(&Node::Root, Action::List, &grounds), 1);
        assert_eq!(get(&Node::Root, Action::Read, &grounds), 2);
        let changes = [
            Grounds { refused: vec![Identity::Own], ..grounds.clone() },
            Grounds { known: vec![Identity::Own], ..grounds.clone() },
            Grounds { refuses_listing: true, ..grounds.clone() },
            Grounds { members: Arc::default(), ..grounds.clone() },
        ];
        for (before, changed) in (2..).zip(&changes) {
            assert_eq!(get(&Node::Root, Action::List, changed), before + 1);
            assert_eq!(get(&Node::Root, Action::List, changed), before + 1);
        }
    }
}
