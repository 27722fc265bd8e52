//! Who is in which group, for the permission bits. Decisions do not ask here: they ask what groups the
//! calling thread has.
//!
//! The name service may take its time, so it is asked in the background and what it said last is used. Asked
//! about are only the users and groups that grants and identities name.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use super::picture::GroupDirectory;
use super::policy::Principal;

/// How old what is known may become.
const LIFETIME: Duration = Duration::from_secs(60);
/// How long the daemon's start waits for the name service.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was said last.
#[derive(Default)]
pub struct Groups {
    known: RwLock<Arc<Membership>>,
}

/// Groups by user.
#[derive(Debug, Default)]
pub struct Membership(BTreeMap<u32, BTreeSet<u32>>);

impl GroupDirectory for Membership {
    fn members_of(&self, gid: u32) -> Vec<u32> {
        self.0.iter().filter(|(_, gids)| gids.contains(&gid)).map(|(uid, _)| *uid).collect()
    }

    fn groups_of(&self, uid: u32) -> Vec<u32> {
        self.0.get(&uid).into_iter().flatten().copied().collect()
    }
}

impl Groups {
    pub fn now(&self) -> Arc<Membership> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The groups among principals.
    pub fn named_in<'a>(principals: impl Iterator<Item = &'a Principal>) -> impl Iterator<Item = u32> {
        principals.filter_map(|it| if let Principal::Group(gid) = it { Some(*gid) } else { None })
    }

    /// Asks once, and then again and again, until the task is aborted. Ready when the first answer is there, or
    /// is too long in coming.
    pub async fn follow(self: &Arc<Self>, principals: Vec<Principal>, owner: u32) -> tokio::task::JoinHandle<()> {
        let groups: BTreeSet<u32> = Self::named_in(principals.iter()).collect();
        let named = principals.iter().filter_map(|it| if let Principal::User(uid) = it { Some(*uid) } else { None });
        let users: BTreeSet<u32> = named.chain([owner]).collect();
        let (first, answered) = tokio::sync::oneshot::channel();
        let this = Arc::clone(self);
        let task = tokio::spawn(async move {
            let mut first = Some(first);
            loop {
                let (users, groups) = (users.clone(), groups.clone());
                if let Ok(known) = tokio::task::spawn_blocking(move || ask(users, &groups)).await {
                    *this.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
                }
                if let Some(first) = first.take() {
                    let _ = first.send(());
                }
                tokio::time::sleep(LIFETIME).await;
            }
        });
        if tokio::time::timeout(PATIENCE, answered).await.is_err() {
            tracing::warn!(
                "the host's name service does not say who is in which group; until it does, permission bits may differ \
                 from what is granted"
            );
        }
        task
    }
}

/// Blocks for as long as the name service does.
fn ask(mut users: BTreeSet<u32>, groups: &BTreeSet<u32>) -> Membership {
    for gid in groups {
        let members = Group::from_gid(Gid::from_raw(*gid)).ok().flatten().map(|group| group.mem).unwrap_or_default();
        let known = members.iter().filter_map(|name| User::from_name(name).ok().flatten());
        users.extend(known.map(|user| user.uid.as_raw()));
    }
    // Whose primary group it is no group's list of members says, and not every name service lists all users.
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    users.extend(passwd.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(2);
        let (uid, gid): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        groups.contains(&gid).then_some(uid)
    }));
    Membership(users.into_iter().map(|uid| (uid, groups_of(uid))).collect())
}

fn groups_of(uid: u32) -> BTreeSet<u32> {
    let Some(user) = User::from_uid(Uid::from_raw(uid)).ok().flatten() else { return BTreeSet::new() };
    let all = CString::new(user.name).ok().and_then(|name| getgrouplist(&name, user.gid).ok());
    all.unwrap_or_default().into_iter().chain([user.gid]).map(Gid::as_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_in_their_primary_group() {
        let root = ask(BTreeSet::new(), &BTreeSet::from([0]));
        assert!(root.members_of(0).contains(&0));
        assert!(root.groups_of(0).contains(&0));
        assert!(root.groups_of(4_000_000_000).is_empty());
    }
}
