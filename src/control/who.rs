//! Whom a question is about.

use nix::unistd::{Uid, User, getgrouplist};

use super::protocol::Who;
use crate::access::evidence::Evidence;

/// What is known of them. Asks the host's name service, which may take its time.
///
/// # Errors
/// In words, where there is no such user or process.
pub fn evidence(who: &Who, peer: Option<i32>) -> Result<Evidence, String> {
    match who {
        Who::Myself => {
            let pid =
                peer.and_then(|pid| u32::try_from(pid).ok()).ok_or("who asks cannot be told; say so with --uid")?;
            Evidence::of_live(pid).ok_or_else(|| "who asks cannot be looked at; say so with --uid".to_owned())
        }
        Who::Pid(pid) => {
            Evidence::of_live(*pid).ok_or_else(|| format!("there is no process {pid}, or it may not be looked at"))
        }
        Who::User(name) => {
            let user =
                User::from_name(name).map_err(|error| format!("the user {name:?} cannot be looked up: {error}"))?;
            user.map(account).ok_or_else(|| format!("there is no user {name:?} on this host"))
        }
        Who::Uid(uid) => {
            let user = User::from_uid(Uid::from_raw(*uid))
                .map_err(|error| format!("uid {uid} cannot be looked up: {error}"))?;
            // Nobody has that name; as a process it would be in the group of its number, if in any.
            Ok(user.map_or_else(|| Evidence::of_account(*uid, *uid, Vec::new()), account))
        }
    }
}

fn account(user: User) -> Evidence {
    let name = std::ffi::CString::new(user.name).unwrap_or_default();
    let groups = getgrouplist(&name, user.gid).unwrap_or_default();
    Evidence::of_account(user.uid.as_raw(), user.gid.as_raw(), groups.into_iter().map(|gid| gid.as_raw()).collect())
}
