//! Permission bits and POSIX access control lists, as the kernel reads them.

use std::collections::BTreeMap;

/// A file that its owner may read.
pub const FILE: u16 = 0o400;
/// A directory that its owner may list and pass.
pub const DIRECTORY: u16 = 0o500;
/// Symbolic links have no permissions of their own; this is what every file system shows.
pub const LINK: u16 = 0o777;

/// The extended attribute that [`Acl::to_xattr`] is the value of.
pub const XATTR: &str = "system.posix_acl_access";

/// The most entries of a list. An extended attribute could hold 8191, but the kernel asks a FUSE file system
/// for its list with a buffer of one page, and refuses everyone (`E2BIG`) where it does not fit: 4 bytes of
/// header and 8 per entry, in a page of 4 KiB.
pub const MOST_ENTRIES: usize = (4096 - 4) / 8;

const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
/// The id of entries that have none. A name with it would make the kernel refuse the whole list.
pub(super) const NO_ID: u32 = u32::MAX;

/// What a yes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `r--`
    File,
    /// `r-x`
    Directory,
    /// `--x`: what is below can be reached by name, and nobody can list it.
    Passage,
}

/// Who may read a file, or list and pass a directory: every entry is all of that or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    pub kind: Kind,
    pub owner_uid: u32,
    pub owner_gid: u32,
    pub owner: bool,
    /// The owning group.
    pub group: bool,
    pub other: bool,
    /// Named users; never the owner.
    pub users: BTreeMap<u32, bool>,
    /// Named groups; never the owning group.
    pub groups: BTreeMap<u32, bool>,
    /// There were more entries than the kernel takes, so this says yes where only the decision at `open`
    /// says no.
    pub is_coarse: bool,
}

impl Acl {
    /// How many entries its binary form has.
    pub fn entries(&self) -> usize {
        if self.has_names() { 4 + self.users.len() + self.groups.len() } else { 3 }
    }

    fn has_names(&self) -> bool {
        !self.users.is_empty() || !self.groups.is_empty()
    }

    fn bits(&self, yes: bool) -> u16 {
        match (yes, self.kind) {
            (false, _) => 0,
            (true, Kind::File) => 0o4,
            (true, Kind::Directory) => 0o5,
            (true, Kind::Passage) => 0o1,
        }
    }

    /// With named entries the mask is always a yes: where it is empty the kernel does not look at the list
    /// at all, and a user who is named to be refused would be let in as one of the others.
    fn mask(&self) -> bool {
        self.has_names()
    }

    /// The permission bits. As POSIX has it, those of the group show the mask where there are named entries.
    pub fn to_mode(&self) -> u16 {
        let group = if self.has_names() { self.mask() } else { self.group };
        self.bits(self.owner) << 6 | self.bits(group) << 3 | self.bits(self.other)
    }

    /// As [`Acl::to_mode`] where the kernel does not ask for lists: who has an entry with a yes is one of the
    /// others to it, and must not be told no.
    pub fn to_mode_without_list(&self) -> u16 {
        let named = self.users.values().chain(self.groups.values()).any(|yes| *yes);
        self.bits(self.owner) << 6 | self.bits(self.group || named) << 3 | self.bits(self.other || named)
    }

    /// The value of `system.posix_acl_access`; None where the permission bits say it all.
    pub fn to_xattr(&self) -> Option<Vec<u8>> {
        if !self.has_names() {
            return None;
        }
        let mut value = Vec::with_capacity(4 + 8 * self.entries());
        value.extend_from_slice(&VERSION.to_le_bytes());
        let mut entry = |tag: u16, yes: bool, id: u32| {
            value.extend_from_slice(&tag.to_le_bytes());
            value.extend_from_slice(&self.bits(yes).to_le_bytes());
            value.extend_from_slice(&id.to_le_bytes());
        };
        entry(USER_OBJ, self.owner, NO_ID);
        self.users.iter().for_each(|(uid, yes)| entry(USER, *yes, *uid));
        entry(GROUP_OBJ, self.group, NO_ID);
        self.groups.iter().for_each(|(gid, yes)| entry(GROUP, *yes, *gid));
        entry(MASK, self.mask(), NO_ID);
        entry(OTHER, self.other, NO_ID);
        Some(value)
    }

    /// Does the kernel let this caller in, capabilities aside? The order of questions is its own: owner,
    /// named user, any of the groups, others. `gids` are the caller's group and supplementary groups.
    pub fn permits(&self, uid: u32, gids: &[u32]) -> bool {
        if uid == self.owner_uid {
            return self.owner;
        }
        if let Some(yes) = self.users.get(&uid) {
            return *yes && self.mask();
        }
        let named = gids.iter().filter_map(|gid| self.groups.get(gid).map(|yes| *yes && self.mask()));
        let owning = gids.contains(&self.owner_gid).then_some(self.group);
        // One of the groups is enough; with none of them among the entries the caller is one of the others.
        named.chain(owning).reduce(|one, another| one || another).unwrap_or(self.other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(users: &[(u32, bool)], groups: &[(u32, bool)]) -> Acl {
        Acl {
            kind: Kind::File,
            owner_uid: 10,
            owner_gid: 20,
            owner: true,
            group: false,
            other: false,
            users: users.iter().copied().collect(),
            groups: groups.iter().copied().collect(),
            is_coarse: false,
        }
    }

    #[test]
    fn without_names_the_bits_say_it_all() {
        assert_eq!((acl(&[], &[]).to_mode(), acl(&[], &[]).to_xattr()), (FILE, None));
        assert_eq!(Acl { kind: Kind::Directory, ..acl(&[], &[]) }.to_mode(), DIRECTORY);
        assert_eq!(Acl { group: true, other: true, ..acl(&[], &[]) }.to_mode(), 0o444);
    }

    #[test]
    fn the_binary_form_is_the_one_that_the_kernel_reads() {
        let value = acl(&[(1000, true), (5, false)], &[(50, true)]).to_xattr().unwrap();
        #[rustfmt::skip]
        let expected = [
            2, 0, 0, 0,
            0x01, 0, 4, 0, 0xff, 0xff, 0xff, 0xff,
            0x02, 0, 0, 0, 5, 0, 0, 0,
            0x02, 0, 4, 0, 0xe8, 3, 0, 0,
            0x04, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
            0x08, 0, 4, 0, 50, 0, 0, 0,
            0x10, 0, 4, 0, 0xff, 0xff, 0xff, 0xff,
            0x20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
        ];
        assert_eq!(value, expected);
        assert_eq!(value.len(), 4 + 8 * acl(&[(1000, true), (5, false)], &[(50, true)]).entries());
    }

    #[test]
    fn names_that_are_all_refused_still_have_the_kernel_look() {
        let denied = Acl { other: true, ..acl(&[(1000, false)], &[]) };
        assert_eq!(denied.to_mode(), 0o444, "with no group bit the kernel would skip the list");
        assert!(!denied.permits(1000, &[1000]));
        assert!(!denied.permits(1001, &[20]));
        assert!(denied.permits(1001, &[1001]));
    }

    #[test]
    fn one_group_is_enough_and_one_that_refuses_keeps_from_the_others() {
        let list = Acl { other: true, ..acl(&[(7, false)], &[(50, true), (51, false)]) };
        assert!(list.permits(1, &[51, 50]));
        assert!(!list.permits(1, &[51]));
        assert!(!list.permits(7, &[50]), "a named user is judged by that entry alone");
        assert!(list.permits(10, &[51]), "and the owner by the owner's");
    }

    /// The kernel as the oracle: every sort of list on a real file, read by real callers. Only root can be
    /// others, and the file system must know lists; elsewhere there is nothing to test with.
    #[test]
    fn the_kernel_judges_a_list_as_we_say_it_does() {
        use std::os::unix::fs::PermissionsExt;
        use std::process::Command;

        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let (maybe, sure) = ([None, Some(false), Some(true)], [false, true]);
        let mut lists = Vec::new();
        for user in maybe {
            for (one, other_one) in maybe.into_iter().flat_map(|one| maybe.map(|other| (one, other))) {
                for (group, other) in sure.into_iter().flat_map(|group| sure.map(|other| (group, other))) {
                    let users: Vec<_> = user.into_iter().map(|yes| (7, yes)).collect();
                    let named = [(50, one), (51, other_one)];
                    let groups: Vec<_> = named.into_iter().filter_map(|(gid, yes)| Some((gid, yes?))).collect();
                    lists.push(Acl { group, other, owner: group != other, ..acl(&users, &groups) });
                }
            }
        }
        let mut files = Vec::new();
        for (number, list) in lists.iter().enumerate() {
            let file = directory.path().join(number.to_string());
            std::fs::write(&file, "").unwrap();
            std::fs::set_permissions(&file, PermissionsExt::from_mode(u32::from(list.to_mode()))).unwrap();
            let owned = std::os::unix::fs::chown(&file, Some(list.owner_uid), Some(list.owner_gid));
            let listed = list
                .to_xattr()
                .map_or(Ok(()), |value| rustix::fs::setxattr(&file, XATTR, &value, rustix::fs::XattrFlags::empty()));
            if owned.is_err() || listed == Err(rustix::io::Errno::OPNOTSUPP) {
                eprintln!("skipped: not root, or no lists on this file system");
                return;
            }
            listed.unwrap();
            files.push(file);
        }
        for (uid, gids) in [
            (10, vec![50]),
            (7, vec![50]),
            (7, vec![20, 51]),
            (8, vec![8]),
            (8, vec![20]),
            (8, vec![20, 50]),
            (8, vec![8, 51]),
            (8, vec![51, 50]),
        ] {
            let ids: Vec<String> = gids.iter().map(u32::to_string).collect();
            let output = Command::new("setpriv")
                .args([format!("--reuid={uid}"), format!("--regid={}", ids[0]), format!("--groups={}", ids.join(","))])
                .args(["sh", "-c", "for file; do if test -r \"$file\"; then echo yes; else echo no; fi; done", "sh"])
                .args(&files)
                .output()
                .unwrap();
            let said: Vec<bool> = String::from_utf8_lossy(&output.stdout).lines().map(|line| line == "yes").collect();
            let expected: Vec<bool> = lists.iter().map(|list| list.permits(uid, &gids)).collect();
            assert_eq!(said, expected, "uid {uid}, groups {gids:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
