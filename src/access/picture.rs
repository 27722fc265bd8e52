//! The picture of the decisions as permission bits: the same for every caller, so the kernel may cache it.
//!
//! It never says "no" where [`Policy::decide`] says yes and the provider does not say no, and it says "yes" where that says no only for what
//! bits cannot express: conditions, which are judged at every open, and groups that a process has and the
//! host's list of groups does not know of.

use std::collections::{BTreeMap, BTreeSet};

use super::Action;
use super::assignment::{Assignment, Someone};
use super::mode::{Acl, Kind, MOST_ENTRIES, NO_ID};
use super::policy::{Effect, Part, Policy, Principal, Resource, Statement, ways_to};
use crate::config::ScopeName;
use crate::provider::Identity;

#[cfg(test)]
mod properties_test;

/// Who is in which group on this host, primary groups included.
pub trait GroupDirectory {
    fn members_of(&self, gid: u32) -> Vec<u32>;
    fn groups_of(&self, uid: u32) -> Vec<u32>;
}

/// What the provider's IAM is known, or expected, to refuse of one place.
pub trait Iam {
    /// Is everyone refused who may be meant, whichever identity the provider is asked as for them?
    fn refuses(&self, someone: Someone<'_>) -> bool;
    /// Are some members of a group refused and others not, for all that is known?
    fn differs_within(&self, gid: u32) -> bool;
    /// Users with whom it may be another matter than with the others of their groups.
    fn users(&self) -> Vec<u32>;
    /// The same of groups.
    fn groups(&self) -> Vec<u32>;
}

/// One place in a scope with its identities.
pub struct Identities<'a> {
    pub assignment: &'a Assignment,
    pub scope: &'a ScopeName,
    pub directory: &'a dyn GroupDirectory,
    /// Is it known, or expected, that the provider refuses this identity?
    pub refuses: &'a dyn Fn(Identity) -> bool,
    /// The identities that somebody has come with.
    pub seen: &'a [Identity],
}

impl Iam for Identities<'_> {
    fn refuses(&self, someone: Someone<'_>) -> bool {
        self.assignment.possible(someone, self.scope).into_iter().all(self.refuses)
    }

    fn differs_within(&self, gid: u32) -> bool {
        let mut refusals = self.assignment.possible(Someone::Member(gid), self.scope).into_iter().map(self.refuses);
        let first = refusals.next();
        refusals.any(|refused| Some(refused) != first)
    }

    fn users(&self) -> Vec<u32> {
        let mut users = self.assignment.users_in(self.scope, self.directory);
        users.extend(self.seen.iter().filter_map(|identity| match identity {
            Identity::Own => None,
            Identity::Other { user, .. } => *user,
        }));
        users
    }

    fn groups(&self) -> Vec<u32> {
        self.assignment.groups_in(self.scope).collect()
    }
}

/// A provider that refuses nobody.
#[derive(Debug, Clone, Copy)]
pub struct RefusesNobody;

impl Iam for RefusesNobody {
    fn refuses(&self, _: Someone<'_>) -> bool {
        false
    }

    fn differs_within(&self, _: u32) -> bool {
        false
    }

    fn users(&self) -> Vec<u32> {
        Vec::new()
    }

    fn groups(&self) -> Vec<u32> {
        Vec::new()
    }
}

/// One way to a yes, as far as bits can express it: someone allowed and nobody denied.
#[derive(Debug, Default)]
struct Way {
    /// Everyone, or whoever meets a condition: bits cannot tell these apart.
    allows_others: bool,
    allowed_users: BTreeSet<u32>,
    allowed_groups: BTreeSet<u32>,
    denies_everyone: bool,
    denied_users: BTreeSet<u32>,
    denied_groups: BTreeSet<u32>,
}

impl Policy {
    /// Who may do `action` to the resource: `List` for directories, and for files `Read` or, of a version
    /// before the current one, `ReadPrevious`.
    pub fn picture(
        &self,
        action: Action,
        resource: &Resource<'_>,
        directory: &dyn GroupDirectory,
        iam: &dyn Iam,
    ) -> Acl {
        let ways = self.ways(action, resource);
        let may = |uid: u32, gids: &[u32]| {
            let granted = || ways.iter().any(|way| way.permits(uid, gids, self.is_owner(uid)));
            (self.is_past_all(uid) || granted()) && !iam.refuses(Someone::User(uid, gids))
        };
        // A process may have groups that the host does not know its user to be in. Whoever has two of which one is
        // granted and the other an identity's, and whoever is a named user's and in a group that is granted, has the
        // entry of a group.
        let (users, of_identities): (Vec<u32>, BTreeSet<u32>) = (iam.users(), iam.groups().into_iter().collect());
        let is_left_out = !of_identities.is_empty()
            && ways.iter().any(|way| {
                way.allowed_users.iter().any(|uid| !may(*uid, &directory.groups_of(*uid)))
                    || way.allowed_groups.iter().any(|gid| iam.refuses(Someone::Member(*gid)))
            });
        let group_may = |gid: u32| {
            let granted = ways.iter().any(|way| way.permits_group(gid));
            if iam.refuses(Someone::Member(gid)) {
                return granted && users.iter().any(|uid| !iam.refuses(Someone::User(*uid, &[gid])));
            }
            let some = is_left_out && of_identities.contains(&gid);
            granted || (some && ways.iter().any(|way| way.may_permit_some_of(gid)))
        };
        // Who needs a grant like any other has the owner's entry all the same, whatever groups a process has.
        let may_be_owner_by_a_group =
            !self.is_owner(self.owner_uid()) && ways.iter().any(|way| way.may_permit_by_a_group(self.owner_uid()));
        let others_may = ways.iter().any(|way| way.allows_others && !way.denies_everyone);
        let named_groups = ways.iter().flat_map(Way::groups).chain(of_identities.iter().copied());
        let mut acl = Acl {
            kind: if resource.is_directory() { Kind::Directory } else { Kind::File },
            owner_uid: self.owner_uid(),
            owner_gid: self.owner_gid(),
            owner: may(self.owner_uid(), &directory.groups_of(self.owner_uid())) || may_be_owner_by_a_group,
            group: group_may(self.owner_gid()),
            other: others_may && !iam.refuses(Someone::Other),
            users: BTreeMap::new(),
            groups: named_groups.filter(|gid| *gid != NO_ID).map(|gid| (gid, group_may(gid))).collect(),
            is_coarse: false,
        };
        acl.groups.remove(&self.owner_gid());
        // Refusing a group means something only against what others have.
        let others = acl.other;
        acl.groups.retain(|_, yes| *yes || others);
        // Those with an entry of their own: who is allowed or denied by name, whatever groups a process has.
        let by_name: BTreeSet<u32> = ways.iter().flat_map(Way::users).collect();
        let (sure, doubtful): (Vec<u32>, Vec<u32>) = by_name
            .into_iter()
            .partition(|uid| may(*uid, &directory.groups_of(*uid)) || ways.iter().all(|way| way.is_closed_to(*uid)));
        acl.users = sure.into_iter().map(|uid| (uid, may(uid, &directory.groups_of(uid)))).collect();
        // And of the others, and of the members of groups that are denied or whose members the provider tells apart,
        // those whom the list so far would judge wrong.
        let mut split: BTreeSet<u32> = ways.iter().flat_map(|way| way.denied_groups.iter().copied()).collect();
        let shown = acl.groups.keys().chain([&acl.owner_gid]);
        split.extend(shown.copied().filter(|gid| iam.differs_within(*gid) || iam.refuses(Someone::Member(*gid))));
        let members = split.into_iter().flat_map(|gid| directory.members_of(gid)).filter(|uid| *uid != NO_ID);
        for uid in doubtful.into_iter().chain(members).chain(users.into_iter().filter(|uid| *uid != NO_ID)) {
            let gids = directory.groups_of(uid);
            let yes = may(uid, &gids);
            if acl.permits(uid, &gids) != yes {
                acl.users.insert(uid, yes);
            }
        }
        acl.users.remove(&self.owner_uid());
        coarsened(acl)
    }

    fn ways(&self, action: Action, resource: &Resource<'_>) -> Vec<Way> {
        let parts: &[Part<'_>] = match &resource.part {
            Part::Directory => &[Part::Secret, Part::Folder],
            part => std::slice::from_ref(part),
        };
        let mut ways = Vec::new();
        for part in parts {
            let about: Vec<&Statement> = self.about(&resource.with(*part)).collect();
            for way_to in ways_to(action) {
                let mut way = Way::default();
                about.iter().filter(|statement| statement.bears_on(*way_to)).for_each(|statement| way.add(statement));
                ways.push(way);
            }
        }
        ways
    }
}

impl Way {
    fn add(&mut self, statement: &Statement) {
        for principal in &statement.principals {
            match (principal, statement.effect) {
                (Principal::Everyone, Effect::Allow) => self.allows_others = true,
                (Principal::Everyone, Effect::Deny) => self.denies_everyone = true,
                (Principal::User(uid), Effect::Allow) => drop(self.allowed_users.insert(*uid)),
                (Principal::User(uid), Effect::Deny) => drop(self.denied_users.insert(*uid)),
                (Principal::Group(gid), Effect::Allow) => drop(self.allowed_groups.insert(*gid)),
                (Principal::Group(gid), Effect::Deny) => drop(self.denied_groups.insert(*gid)),
                (condition, effect) => {
                    debug_assert!(condition.condition().is_some());
                    self.allows_others |= effect == Effect::Allow;
                }
            }
        }
    }

    fn permits(&self, uid: u32, gids: &[u32], is_owner: bool) -> bool {
        let in_any = |groups: &BTreeSet<u32>| gids.iter().any(|gid| groups.contains(gid));
        let denied = self.denies_everyone || self.denied_users.contains(&uid) || in_any(&self.denied_groups);
        let allowed =
            is_owner || self.allows_others || self.allowed_users.contains(&uid) || in_any(&self.allowed_groups);
        allowed && !denied
    }

    /// Is whoever has this group permitted, if nothing else is known of them?
    fn permits_group(&self, gid: u32) -> bool {
        let allowed = self.allows_others || self.allowed_groups.contains(&gid);
        allowed && !self.denies_everyone && !self.denied_groups.contains(&gid)
    }

    /// May this user be permitted for a group that a process has, and the host does not know the user to be in?
    fn may_permit_by_a_group(&self, uid: u32) -> bool {
        !self.allowed_groups.is_empty() && !self.denies_everyone && !self.denied_users.contains(&uid)
    }

    /// May somebody who has this group be permitted, for another reason if not for this one?
    fn may_permit_some_of(&self, gid: u32) -> bool {
        !self.allows_nobody() && !self.denies_everyone && !self.denied_groups.contains(&gid)
    }

    /// Is there nothing in it for this user, whatever groups they are in?
    fn is_closed_to(&self, uid: u32) -> bool {
        self.allows_nobody() || self.denies_everyone || self.denied_users.contains(&uid)
    }

    fn allows_nobody(&self) -> bool {
        !self.allows_others && self.allowed_users.is_empty() && self.allowed_groups.is_empty()
    }

    fn users(&self) -> impl Iterator<Item = u32> {
        self.allowed_users.iter().chain(&self.denied_users).copied()
    }

    fn groups(&self) -> impl Iterator<Item = u32> {
        self.allowed_groups.iter().chain(&self.denied_groups).copied()
    }
}

/// As many entries as the kernel takes, at the price of a yes too many: without those who are refused, and if
/// that is not enough without any names.
fn coarsened(mut acl: Acl) -> Acl {
    if acl.entries() <= MOST_ENTRIES {
        return acl;
    }
    acl.is_coarse = true;
    acl.users.retain(|_, yes| *yes);
    acl.groups.retain(|_, yes| *yes);
    if acl.entries() > MOST_ENTRIES {
        acl.users.clear();
        acl.groups.clear();
        acl.group = true;
        acl.other = true;
    }
    acl
}
