//! As whom the provider is asked for whom: the `[[identity]]` tables. A caller never chooses.
//!
//! The first that fits a caller counts, in reading order; without one it is the scope's own identity. Where it
//! cannot be known whether one fits, nobody is asked: the next one could give what that one would not.

use crate::config::{IdentitySettings, ScopeName};
use crate::provider::Identity;

use super::picture::GroupDirectory;
use super::policy::{Match, Principal, Subject};

/// Whom the `[[identity]]` at `index` fits, counted from 0 in reading order, cannot be told from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    pub index: usize,
}

/// All identities.
#[derive(Debug, Clone, Default, Hash)]
pub struct Assignment(Vec<IdentitySettings>);

/// Someone as permission bits know them.
#[derive(Debug, Clone, Copy)]
pub enum Someone<'a> {
    /// A user in these groups and no others.
    User(u32, &'a [u32]),
    /// Whoever is in this group, and in no other that an identity names.
    Member(u32),
    /// Whoever has no entry: all groups that identities name have one.
    Other,
}

impl Assignment {
    pub fn new(identities: Vec<IdentitySettings>) -> Self {
        Self(identities)
    }

    /// Each known by its place in the list.
    #[cfg(test)]
    pub fn numbered(mut identities: Vec<IdentitySettings>) -> Self {
        identities.iter_mut().enumerate().for_each(|(number, settings)| settings.number = number);
        Self(identities)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn settings(&self, identity: Identity) -> Option<&IdentitySettings> {
        match identity {
            Identity::Own => None,
            Identity::Other { number, .. } => self.0.iter().find(|settings| settings.number == number),
        }
    }

    /// The one at a place in reading order.
    pub fn at(&self, Doubt { index }: Doubt) -> Option<&IdentitySettings> {
        self.0.get(index)
    }

    pub fn principals(&self) -> impl Iterator<Item = &Principal> {
        self.0.iter().flat_map(|settings| &settings.principals)
    }

    /// Those of a scope.
    pub fn in_scope(&self, scope: &ScopeName) -> impl Iterator<Item = &IdentitySettings> {
        self.0.iter().filter(move |settings| settings.scopes.contains(scope))
    }

    /// As whom the scope's provider is asked for the caller.
    pub fn of(&self, subject: &Subject<'_>, scope: &ScopeName) -> Result<Identity, Doubt> {
        for (index, settings) in self.0.iter().enumerate().filter(|(_, it)| it.scopes.contains(scope)) {
            match settings.matches(subject) {
                Match::Yes => return Ok(identity(settings, Some(subject.uid))),
                Match::No => {}
                Match::Unknown => return Err(Doubt { index }),
            }
        }
        Ok(Identity::Own)
    }

    /// As whom the provider may come to be asked for someone of whom no more is known.
    pub fn possible(&self, someone: Someone<'_>, scope: &ScopeName) -> Vec<Identity> {
        let user = match someone {
            Someone::User(uid, _) => Some(uid),
            Someone::Member(_) | Someone::Other => None,
        };
        let mut possible = Vec::new();
        for settings in self.in_scope(scope) {
            let fits: Vec<Match> = settings.principals.iter().map(|principal| someone.is(principal)).collect();
            if fits.iter().any(|fit| *fit != Match::No) {
                possible.push(identity(settings, user));
            }
            if fits.contains(&Match::Yes) {
                return possible;
            }
        }
        possible.push(Identity::Own);
        possible
    }

    /// Users with whom it may be another matter than with the others of their groups: those that a scope's
    /// identities name, and the members of the groups that they name.
    pub fn users_in(&self, scope: &ScopeName, directory: &dyn GroupDirectory) -> Vec<u32> {
        let principals = self.in_scope(scope).flat_map(|settings| &settings.principals);
        let users = principals.flat_map(|principal| match principal {
            Principal::User(uid) => vec![*uid],
            Principal::Group(gid) => directory.members_of(*gid),
            Principal::Everyone
            | Principal::Unit(_)
            | Principal::Cgroup(_)
            | Principal::Container(_)
            | Principal::Executable(_) => Vec::new(),
        });
        users.collect()
    }

    /// Groups that a scope's identities name.
    pub fn groups_in(&self, scope: &ScopeName) -> impl Iterator<Item = u32> {
        let principals = self.in_scope(scope).flat_map(|settings| &settings.principals);
        principals.filter_map(|principal| if let Principal::Group(gid) = principal { Some(*gid) } else { None })
    }
}

fn identity(settings: &IdentitySettings, user: Option<u32>) -> Identity {
    Identity::Other { number: settings.number, user: user.filter(|_| settings.acts_as.names_the_user()) }
}

impl IdentitySettings {
    fn matches(&self, subject: &Subject<'_>) -> Match {
        Principal::any(&self.principals, subject)
    }
}

impl Someone<'_> {
    /// Is whoever this is meant by the principal? Unknown where some may be.
    fn is(self, principal: &Principal) -> Match {
        let sure = |yes| if yes { Match::Yes } else { Match::No };
        match (principal, self) {
            (Principal::Everyone, _) => Match::Yes,
            (Principal::User(uid), Self::User(user, _)) => sure(*uid == user),
            // Users who are named are looked at one by one.
            (Principal::User(_), Self::Member(_) | Self::Other) => Match::No,
            (Principal::Group(gid), Self::User(_, gids)) => sure(gids.contains(gid)),
            // Whoever is in another group too has that one's entry besides, and known members are looked at one by one.
            (Principal::Group(gid), Self::Member(group)) => sure(*gid == group),
            (Principal::Group(_), Self::Other) => Match::No,
            (Principal::Unit(_) | Principal::Cgroup(_) | Principal::Container(_) | Principal::Executable(_), _) => {
                Match::Unknown
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::NoEvidence;
    use super::*;
    use crate::config::{ActsAs, IdentityRole};

    fn settings(principals: Vec<Principal>, session_name: &str) -> IdentitySettings {
        IdentitySettings {
            number: 0,
            principals,
            scopes: vec![scope("prod")],
            acts_as: ActsAs::AwsRole(IdentityRole {
                role_arn: "arn:aws:iam::123456789012:role/x".into(),
                external_id: None,
                session_name: session_name.into(),
            }),
            place: "hushfs.toml:1".into(),
        }
    }

    fn scope(name: &str) -> ScopeName {
        ScopeName::new(name).unwrap()
    }

    fn of(assignment: &Assignment, uid: u32, groups: &[u32], groups_complete: bool) -> Result<Identity, Doubt> {
        let subject = Subject { uid, groups, groups_complete, evidence: &NoEvidence };
        assignment.of(&subject, &scope("prod"))
    }

    #[test]
    fn the_first_that_fits_counts_and_else_it_is_the_scopes_own() {
        let assignment = Assignment::numbered(vec![
            settings(vec![Principal::Group(50)], "{host}"),
            settings(vec![Principal::User(1000), Principal::Group(60)], "{uid}"),
        ]);
        let first = Identity::Other { number: 0, user: None };
        assert_eq!(of(&assignment, 1000, &[50], true), Ok(first));
        assert_eq!(of(&assignment, 1000, &[7], true), Ok(Identity::Other { number: 1, user: Some(1000) }));
        assert_eq!(of(&assignment, 1001, &[60], true), Ok(Identity::Other { number: 1, user: Some(1001) }));
        assert_eq!(of(&assignment, 1001, &[7], true), Ok(Identity::Own));
        let subject = Subject { uid: 1000, groups: &[50], groups_complete: true, evidence: &NoEvidence };
        assert_eq!(assignment.of(&subject, &scope("test")), Ok(Identity::Own), "another scope");
    }

    #[test]
    fn what_cannot_be_known_of_a_caller_gives_them_no_identity_at_all() {
        let unit = Principal::parse("unit:a.service", &crate::access::policy::NoAccounts).unwrap();
        let assignment =
            Assignment::numbered(vec![settings(vec![unit], "x"), settings(vec![Principal::Everyone], "x")]);
        assert_eq!(of(&assignment, 1000, &[50], true), Err(Doubt { index: 0 }));
        let assignment = Assignment::numbered(vec![settings(vec![Principal::Group(50)], "x")]);
        assert_eq!(of(&assignment, 1000, &[7], false), Err(Doubt { index: 0 }));
        assert_eq!(of(&assignment, u32::MAX, &[50], true), Ok(Identity::Other { number: 0, user: None }));
        let assignment = Assignment::numbered(vec![settings(vec![Principal::Everyone], "x")]);
        assert_eq!(of(&assignment, u32::MAX, &[50], true), Err(Doubt { index: 0 }));
    }

    #[test]
    fn whoever_may_be_meant_is_shown_as_possible() {
        let assignment = Assignment::numbered(vec![
            settings(vec![Principal::Group(50)], "x"),
            settings(vec![Principal::User(1000)], "x"),
            settings(vec![Principal::Group(60)], "x"),
        ]);
        let possible = |someone| {
            let found = assignment.possible(someone, &scope("prod"));
            found.iter().map(|it| if let Identity::Other { number, .. } = it { *number } else { 9 }).collect::<Vec<_>>()
        };
        assert_eq!(possible(Someone::User(1000, &[60])), [1]);
        assert_eq!(possible(Someone::User(1001, &[])), [9]);
        assert_eq!(possible(Someone::Member(60)), [2]);
        assert_eq!(possible(Someone::Member(50)), [0]);
        assert_eq!(possible(Someone::Other), [9]);
    }
}
