//! A user of the daemon's own. Root's daemon, without any of root's capabilities but to read, still is root to every service
//! that asks the kernel who connects, and owns all that is root's. So it becomes a user who owns nothing.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::unistd::{Gid, Uid, User, setgroups, setresgid, setresuid};
use rustix::process::{parent_process_death_signal, set_parent_process_death_signal};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities};

use super::capabilities::names;
use super::foreign;
use super::hidepid::{self, Shows};
use super::layer::{Layer, State};
use super::owner::owner;
use super::process;
use super::reach::Reach;
use crate::config::OwnUser;

/// The setting.
pub const NAME: &str = "user";
/// Who that is unless the setting names another.
const USUAL: &str = "hushfs";
/// What the change itself needs.
const NEEDED: CapabilitySet = CapabilitySet::SETUID.union(CapabilitySet::SETGID);
/// `nobody`: whom the kernel names where it has no number for somebody.
const OVERFLOW: u32 = 65_534;

/// Becomes that user, for good. What root's capabilities there are stays, for whoever takes them next.
///
/// # Errors
/// Where a user that the setting names cannot be had, and where the kernel refuses what every kernel allows.
pub fn enter(wanted: &OwnUser, reach: &Reach) -> io::Result<Layer> {
    let named = match wanted {
        OwnUser::No => return Ok(Layer::off(NAME)),
        OwnUser::Usual => None,
        OwnUser::Named(name) => Some(name.as_str()),
    };
    let layer = |state, detail| Layer { name: NAME.to_owned(), state, detail };
    if owner().uid != 0 {
        return Ok(layer(State::Unneeded, format!("uid {} started the daemon, and not root", owner().uid)));
    }
    let found = match (named, needs_root(reach)) {
        (None, Some(why)) => Err(format!("it stays root, as {why}")),
        _ => Account::find(named.unwrap_or(USUAL)),
    };
    match found {
        Ok(account) => {
            account.become_it()?;
            Ok(Layer::on(NAME, format!("{}, uid {}", account.name, account.uid)))
        }
        Err(why) if named.is_none() => Ok(layer(State::Missing, why)),
        Err(why) => Err(io::Error::other(why)),
    }
}

/// What root may be needed for, and what to do where it is not.
fn needs_root(reach: &Reach) -> Option<String> {
    let why = root_is_needed_for(reach)?;
    Some(format!("{why}; user = \"{USUAL}\" in [sandbox] has it become that user all the same"))
}

fn root_is_needed_for(reach: &Reach) -> Option<String> {
    let has = capabilities(None).ok()?.effective;
    if !has.contains(CapabilitySet::DAC_READ_SEARCH) {
        return Some("without CAP_DAC_READ_SEARCH no other user could read what is root's".to_owned());
    }
    if !reach.programs.is_empty() {
        return Some("what the programs need that it may start may be root's alone".to_owned());
    }
    if let Some(folder) = reach.write.first() {
        return Some(format!("{}, which it may write to, may be root's alone", folder.display()));
    }
    let foreign = reach.read.iter().find(|path| foreign::judges_by_itself(path))?;
    Some(format!("{} is on a file system that judges by itself who reads, such as NFS", foreign.display()))
}

/// What on this host keeps root's daemon from becoming that user; None where nothing does.
pub fn obstacle(wanted: &OwnUser, reach: &Reach) -> Option<String> {
    match wanted {
        OwnUser::No => None,
        OwnUser::Usual => needs_root(reach).or_else(|| Account::find(USUAL).err()),
        OwnUser::Named(name) => Account::find(name).err(),
    }
}

#[derive(Debug)]
struct Account {
    name: String,
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Account {
    /// The user of this name, if a daemon of root's can be that one; otherwise why not, and what to do.
    fn find(name: &str) -> Result<Self, String> {
        let user = User::from_name(name).map_err(|error| format!("the user {name} cannot be looked up: {error}"))?;
        let user = user.ok_or_else(|| {
            let what = if name == USUAL { "systemd-sysusers hushfs.conf" } else { "useradd --system" };
            format!("there is no user {name}; make one ({what}), and restart hushfs")
        })?;
        let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
        owns_nothing(name, uid, gid)?;
        let has = capabilities(None).map_err(|errno| errno.to_string())?.effective;
        if !has.contains(NEEDED) {
            let lacking = names(NEEDED.difference(has));
            return Err(format!(
                "to become {name} it lacks capabilities ({lacking}); give them to the unit or container"
            ));
        }
        let map = |kind: &str| fs::read_to_string(format!("/proc/self/{kind}")).unwrap_or_default();
        if !is_mapped(&map("uid_map"), uid) || !is_mapped(&map("gid_map"), gid) || map("setgroups").trim() == "deny" {
            return Err(format!("in this user namespace nobody can become {name}"));
        }
        let groups = match hidepid::shows() {
            Shows::All | Shows::ToTracers => Vec::new(),
            Shows::ToGroup(0) => {
                return Err(format!(
                    "/proc is mounted with hidepid, and {name} could not tell callers apart: give it the gid= of a group \
                     other than root's, which hushfs then takes along"
                ));
            }
            Shows::ToGroup(group) => vec![Gid::from_raw(group)],
        };
        if let Some(socket) = closed_notify_socket() {
            return Err(format!("{name} could not write to {}, which is NOTIFY_SOCKET", socket.display()));
        }
        Ok(Self { name: name.to_owned(), uid: user.uid, gid: user.gid, groups })
    }

    fn become_it(&self) -> io::Result<()> {
        let ends_with = parent_process_death_signal()?;
        let CapabilitySets { permitted, .. } = capabilities(None)?;
        set_keep_capabilities(true)?;
        setgroups(&self.groups)?;
        setresgid(self.gid, self.gid, self.gid)?;
        setresuid(self.uid, self.uid, self.uid)?;
        set_keep_capabilities(false)?;
        // The change has taken them out of effect, let debuggers in where `fs.suid_dumpable` says so, and forgotten with
        // whose end ours comes.
        set_capabilities(
            None,
            CapabilitySets { effective: permitted, permitted, inheritable: CapabilitySet::empty() },
        )?;
        process::hide()?;
        Ok(set_parent_process_death_signal(ends_with)?)
    }
}

fn owns_nothing(name: &str, uid: u32, gid: u32) -> Result<(), String> {
    if uid == 0 || gid == 0 {
        return Err(format!("{name} is root, or in root's group (uid {uid}, gid {gid}); name another user"));
    }
    if uid == OVERFLOW || gid == OVERFLOW {
        return Err(format!("{name} is who everybody is whom the kernel cannot name ({OVERFLOW}); name another user"));
    }
    Ok(())
}

/// Has a user namespace with this map a number for it? Lines of: the first number inside, the first outside, how many.
fn is_mapped(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_ascii_whitespace().map(|number| number.parse::<u64>().ok());
        let (Some(Some(first)), _, Some(Some(count))) = (numbers.next(), numbers.next(), numbers.next()) else {
            return false;
        };
        (first..first.saturating_add(count)).contains(&u64::from(id))
    })
}

/// Where whoever waits for READY=1 listens to root alone. systemd's is open to everybody.
fn closed_notify_socket() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("NOTIFY_SOCKET")?);
    let is_closed = fs::metadata(&path).is_ok_and(|found| found.permissions().mode() & 0o002 == 0);
    is_closed.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_root_nor_nobody_is_a_user_of_its_own() {
        assert!(owns_nothing("hushfs", 998, 998).is_ok());
        for (uid, gid) in [(0, 998), (998, 0), (65_534, 998), (998, 65_534)] {
            assert!(owns_nothing("hushfs", uid, gid).is_err(), "{uid} {gid}");
        }
    }

    #[test]
    fn who_has_no_number_in_the_user_namespace_is_known_to_have_none() {
        let all = "         0          0 4294967295\n";
        assert!(is_mapped(all, 998) && is_mapped("0 1000 1\n1 100000 65536\n", 998));
        assert!(!is_mapped("0 1000 1\n", 998) && !is_mapped("", 998) && !is_mapped("nonsense", 998));
    }

    #[test]
    fn a_user_that_is_not_there_is_said_to_be_missing_with_what_to_do() {
        let why = Account::find("hushfs-no-such-user").unwrap_err();
        assert!(why.contains("no user hushfs-no-such-user") && why.contains("useradd"), "{why}");
    }
}
