//! May this caller do this? Judged on every request, whatever the permission bits say.
//!
//! [`policy`] has the rules of grants, and [`picture`] shows them as permission bits, for which [`groups`]
//! knows who is in which. [`Assignment`] says as whom the provider is asked for a caller. [`evidence`] is what can be known of a caller, [`audit`] who was told
//! what, and [`explanation`] a decision told to people.

mod assignment;
pub mod audit;
pub mod evidence;
pub mod explanation;
pub mod groups;
mod identity;
pub mod mode;
pub mod picture;
pub mod policy;

pub use assignment::{Assignment, Doubt, Someone};
pub use identity::Caller;

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Learn names and metadata.
    List,
    /// Read values.
    Read,
    /// Read versions before the current one.
    ReadPrevious,
}

impl Action {
    pub const ALL: [Self; 3] = [Self::List, Self::Read, Self::ReadPrevious];
}

#[cfg(test)]
mod tests {
    use super::policy::{Allowed, NoEvidence, Policy, Refused, Resource, Subject, Verdict};
    use super::*;
    use crate::config::RootPolicy;

    fn decide(owner: u32, root: RootPolicy, caller: u32) -> Verdict {
        let policy = Policy::new(Vec::new(), owner, owner, root);
        let subject = Subject { uid: caller, groups: &[caller], groups_complete: true, evidence: &NoEvidence };
        let verdicts = Action::ALL.map(|action| policy.decide(&subject, action, &Resource::scope("prod")).verdict);
        assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]));
        verdicts[0]
    }

    #[test]
    fn only_the_owner_and_where_allowed_root_may_read() {
        assert_eq!(decide(1000, RootPolicy::Allow, 1000), Verdict::Allow(Allowed::Owner));
        assert_eq!(decide(1000, RootPolicy::Allow, 0), Verdict::Allow(Allowed::Root));
        assert_eq!(decide(1000, RootPolicy::Deny, 0), Verdict::Deny(Refused::NoGrant));
        assert_eq!(decide(1000, RootPolicy::Allow, 1001), Verdict::Deny(Refused::NoGrant));
        assert_eq!(decide(0, RootPolicy::Deny, 0), Verdict::Deny(Refused::NoGrant), "whoever runs the daemon");
        assert_eq!(decide(0, RootPolicy::Allow, 1000), Verdict::Deny(Refused::NoGrant));
    }

    #[test]
    fn an_unmapped_user_is_nobody_special() {
        assert_eq!(decide(0, RootPolicy::Allow, u32::MAX), Verdict::Deny(Refused::NoGrant));
    }
}
