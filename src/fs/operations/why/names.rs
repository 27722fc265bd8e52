//! Numbers as the names that operators know.

use std::collections::{BTreeMap, BTreeSet};

use nix::unistd::{Gid, Group, Uid, User};

use crate::access::Assignment;
use crate::access::evidence::Evidence;
use crate::access::policy::{Policy, Principal};

/// More than an explanation could show; each is a question to the name service.
const MOST: usize = 1000;

#[derive(Default)]
pub struct Names {
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
}

impl Names {
    /// Of the caller, and of whomever grants and identities name.
    pub async fn of(evidence: &Evidence, policy: &Policy, assignment: &Assignment) -> Self {
        let caller = evidence.caller();
        let mut users = BTreeSet::from([caller.uid]);
        let mut groups: BTreeSet<u32> = evidence.groups().unwrap_or_default().iter().copied().collect();
        groups.insert(caller.gid);
        let granted = policy.statements().iter().flat_map(|statement| &statement.principals);
        for principal in granted.chain(assignment.principals()) {
            match principal {
                Principal::User(uid) => drop(users.insert(*uid)),
                Principal::Group(gid) => drop(groups.insert(*gid)),
                Principal::Everyone
                | Principal::Unit(_)
                | Principal::Cgroup(_)
                | Principal::Container(_)
                | Principal::Executable(_) => {}
            }
        }
        // The name service may take its time.
        let asked = tokio::task::spawn_blocking(move || Self {
            users: users.into_iter().take(MOST).filter_map(|uid| Some((uid, user_name(uid)?))).collect(),
            groups: groups.into_iter().take(MOST).filter_map(|gid| Some((gid, group_name(gid)?))).collect(),
        });
        asked.await.unwrap_or_default()
    }

    pub fn user(&self, uid: u32) -> Option<&str> {
        self.users.get(&uid).map(String::as_str)
    }

    /// As it can be written in a grant.
    pub fn principal(&self, principal: &Principal) -> String {
        let name = match principal {
            Principal::User(uid) => self.users.get(uid).map(|name| format!("user:{name}")),
            Principal::Group(gid) => self.groups.get(gid).map(|name| format!("group:{name}")),
            Principal::Everyone
            | Principal::Unit(_)
            | Principal::Cgroup(_)
            | Principal::Container(_)
            | Principal::Executable(_) => None,
        };
        name.unwrap_or_else(|| principal.to_string())
    }
}

fn user_name(uid: u32) -> Option<String> {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name)
}

fn group_name(gid: u32) -> Option<String> {
    Group::from_gid(Gid::from_raw(gid)).ok().flatten().map(|group| group.name)
}
