//! The users and groups of this host.

use std::fs::read_to_string;

use nix::unistd::{Group, User};

use crate::access::policy::Accounts;
use crate::config::suggest::nearest;

/// What the system's name service knows: `/etc/passwd`, LDAP, systemd's dynamic users, …
pub struct System;

impl Accounts for System {
    fn uid(&self, user: &str) -> Result<Option<u32>, String> {
        let found = User::from_name(user).map_err(|error| error.desc().to_owned())?;
        Ok(found.map(|user| user.uid.as_raw()))
    }

    fn gid(&self, group: &str) -> Result<Option<u32>, String> {
        let found = Group::from_name(group).map_err(|error| error.desc().to_owned())?;
        Ok(found.map(|group| group.gid.as_raw()))
    }
}

/// A user whose name is nearly that. Of the local ones only: others may be too many to ask for.
pub fn nearest_user(name: &str) -> Option<String> {
    nearest_in("/etc/passwd", name)
}

/// A group whose name is nearly that.
pub fn nearest_group(name: &str) -> Option<String> {
    nearest_in("/etc/group", name)
}

fn nearest_in(file: &str, name: &str) -> Option<String> {
    let text = read_to_string(file).ok()?;
    let names = text.lines().filter_map(|line| line.split(':').next());
    nearest(name, names).filter(|near| *near != name).map(str::to_owned)
}
