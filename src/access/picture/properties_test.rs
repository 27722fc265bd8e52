//! What bits show where providers are asked as different identities and refuse some of them.

use std::collections::BTreeSet;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::{GroupDirectory, Identities};
use crate::access::policy::properties_test::{
    At, Host, at, host, policy_of, principal, process, root, statements, without_conditions,
};
use crate::access::policy::{Principal, Subject};
use crate::access::{Action, Assignment, Doubt};
use crate::config::{ActsAs, IdentityRole, IdentitySettings, ScopeName};
use crate::provider::Identity;

/// What the provider refuses: whole identities, and of those that name the user some users.
#[derive(Debug, Clone)]
struct Refused {
    own: bool,
    indices: BTreeSet<usize>,
    users: BTreeSet<(usize, u32)>,
}

impl Refused {
    fn has(&self, identity: Identity) -> bool {
        match identity {
            Identity::Own => self.own,
            Identity::Other { number, user } => {
                self.indices.contains(&number) || user.is_some_and(|uid| self.users.contains(&(number, uid)))
            }
        }
    }

    fn seen(&self) -> Vec<Identity> {
        self.users.iter().map(|(number, uid)| Identity::Other { number: *number, user: Some(*uid) }).collect()
    }
}

fn identity() -> impl Strategy<Value = IdentitySettings> {
    (vec(principal(), 1..3), any::<bool>(), any::<bool>()).prop_map(|(principals, names_user, in_both)| {
        let scopes = if in_both { vec!["prod", "test"] } else { vec!["prod"] };
        IdentitySettings {
            number: 0,
            principals,
            scopes: scopes.into_iter().filter_map(ScopeName::new).collect(),
            acts_as: ActsAs::AwsRole(IdentityRole {
                role_arn: "arn:aws:iam::123456789012:role/x".to_owned(),
                external_id: None,
                session_name: if names_user { "{uid}" } else { "x1" }.to_owned(),
            }),
            place: "hushfs.toml:1".to_owned(),
        }
    })
}

fn refused() -> impl Strategy<Value = Refused> {
    (any::<bool>(), btree_set(0..4_usize, 0..4), btree_set((0..4_usize, 0..6_u32), 0..6))
        .prop_map(|(own, indices, users)| Refused { own, indices, users })
}

fn scope(at: &At) -> Option<ScopeName> {
    ScopeName::new(at.0)
}

fn plain(identities: Vec<IdentitySettings>) -> Vec<IdentitySettings> {
    let mut identities = identities;
    for identity in &mut identities {
        identity.principals.retain(|principal: &Principal| principal.condition().is_none());
    }
    identities
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: ProptestConfig::default().cases.max(4_000), ..ProptestConfig::default() })]

    /// The bits never say "no" where an open is granted and answered.
    #[test]
    fn bits_say_no_only_where_the_provider_or_a_grant_does(
        statements in statements(), identities in vec(identity(), 0..4), refused in refused(), root in root(),
        host in host(), uid in 0..6u32, process in process(), at in at(),
    ) {
        let Some(scope) = scope(&at) else { return Ok(()) };
        let (policy, assignment) = (policy_of(statements, root), Assignment::numbered(identities));
        if policy.is_past_all(uid) {
            return Ok(());
        }
        let groups = host.groups_of(uid);
        let subject = Subject { uid, groups: &groups, groups_complete: true, evidence: &process };
        let opens = policy.decide(&subject, at.action(), &at.resource()).is_allowed()
            && assignment.of(&subject, &scope).is_ok_and(|identity| !refused.has(identity));
        let acl = policy.picture(at.action(), &at.resource(), &host, &Identities {
            assignment: &assignment, scope: &scope, directory: &host, refuses: &|it| refused.has(it), seen: &refused.seen(),
        });
        prop_assert!(acl.permits(uid, &groups) || !opens, "{:?}", acl);
    }

    /// Nor on account of groups that the host does not know of, of one way to a yes, as every file is; but for those
    /// who have an entry of their own for the groups that it does know of.
    #[test]
    fn a_process_with_more_groups_than_its_user_is_not_shut_out_for_its_users_identity(
        statements in statements(), identities in vec(identity(), 0..4), refused in refused(), root in root(),
        host in host(), uid in 0..6u32, more in btree_set(10..14u32, 0..4), process in process(), at in at(),
    ) {
        let Some(scope) = scope(&at).filter(|_| !at.resource().is_directory()) else { return Ok(()) };
        let (policy, assignment) = (policy_of(statements, root), Assignment::numbered(identities));
        if policy.is_past_all(uid) {
            return Ok(());
        }
        let mut groups = host.groups_of(uid);
        groups.extend(more);
        let subject = Subject { uid, groups: &groups, groups_complete: true, evidence: &process };
        let opens = policy.decide(&subject, Action::Read, &at.resource()).is_allowed()
            && assignment.of(&subject, &scope).is_ok_and(|identity| !refused.has(identity));
        let acl = policy.picture(Action::Read, &at.resource(), &host, &Identities {
            assignment: &assignment, scope: &scope, directory: &host, refuses: &|it| refused.has(it), seen: &refused.seen(),
        });
        let has_an_entry = uid == acl.owner_uid || acl.users.contains_key(&uid);
        prop_assert!(acl.permits(uid, &groups) || !opens || has_an_entry, "{:?}", acl);
    }

    /// And never "yes" where it is not, for a reason that bits can express.
    #[test]
    fn bits_say_what_grants_and_the_provider_say_as_far_as_bits_can(
        statements in statements(), identities in vec(identity(), 0..4), refused in refused(), root in root(),
        host in host(), uid in 0..6u32, process in process(), at in at(),
    ) {
        let Some(scope) = scope(&at) else { return Ok(()) };
        let expressible = policy_of(without_conditions(&statements), root);
        let (policy, assignment) = (policy_of(statements, root), Assignment::numbered(plain(identities)));
        if policy.is_past_all(uid) {
            return Ok(());
        }
        let groups = host.groups_of(uid);
        let subject = Subject { uid, groups: &groups, groups_complete: true, evidence: &process };
        let identity: Result<Identity, Doubt> = assignment.of(&subject, &scope);
        let opens = expressible.decide(&subject, at.action(), &at.resource()).is_allowed()
            && identity.is_ok_and(|identity| !refused.has(identity));
        let acl = policy.picture(at.action(), &at.resource(), &host, &Identities {
            assignment: &assignment, scope: &scope, directory: &host, refuses: &|it| refused.has(it), seen: &refused.seen(),
        });
        prop_assert_eq!(acl.permits(uid, &groups), opens, "{:?}", acl);
    }

    /// A provider that refuses more shows no more.
    #[test]
    fn another_refusal_never_gives(
        statements in statements(), identities in vec(identity(), 0..4), refused in refused(), more in refused(),
        root in root(), host in host(), uid in 0..6u32, at in at(),
    ) {
        let Some(scope) = scope(&at) else { return Ok(()) };
        let (policy, assignment) = (policy_of(statements, root), Assignment::numbered(plain(identities)));
        if policy.is_past_all(uid) {
            return Ok(());
        }
        let both = Refused {
            own: refused.own || more.own,
            indices: &refused.indices | &more.indices,
            users: &refused.users | &more.users,
        };
        let shown = |refused: &Refused| {
            let acl = policy.picture(at.action(), &at.resource(), &host, &Identities {
                assignment: &assignment, scope: &scope, directory: &host, refuses: &|it| refused.has(it), seen: &refused.seen(),
            });
            acl.permits(uid, &host.groups_of(uid))
        };
        prop_assert!(shown(&both) <= shown(&refused));
    }
}

/// The generators above make such cases: a test that cannot meet them proves nothing.
#[test]
fn a_group_that_the_provider_refuses_loses_its_bit_and_others_keep_theirs() {
    use crate::access::policy::{Actions, Effect, Pattern, Resource, Statement};
    let read = |principals: Vec<Principal>| Statement {
        effect: Effect::Allow,
        principals,
        actions: [Action::Read].into_iter().collect::<Actions>(),
        resources: vec![Pattern::parse("prod/**").unwrap()],
        place: String::new(),
    };
    let policy = policy_of(
        vec![read(vec![Principal::Group(50), Principal::Group(60), Principal::User(5)])],
        crate::config::RootPolicy::Deny,
    );
    let role = |group| IdentitySettings {
        number: 0,
        principals: vec![Principal::Group(group)],
        scopes: vec![ScopeName::new("prod").unwrap()],
        acts_as: ActsAs::AwsRole(IdentityRole {
            role_arn: "arn:aws:iam::123456789012:role/x".to_owned(),
            external_id: None,
            session_name: "x1".to_owned(),
        }),
        place: String::new(),
    };
    let assignment = Assignment::numbered(vec![role(50), role(60)]);
    let scope = ScopeName::new("prod").unwrap();
    let host = Host([(5, [50].into()), (6, [60].into())].into());
    let acl = policy.picture(
        Action::Read,
        &Resource::key("prod", "db", "KEY"),
        &host,
        &Identities {
            assignment: &assignment,
            scope: &scope,
            directory: &host,
            refuses: &|identity| identity == (Identity::Other { number: 0, user: None }),
            seen: &[],
        },
    );
    assert!(!acl.permits(5, &[50]) && !acl.permits(7, &[50]), "{acl:?}");
    assert!(acl.permits(6, &[60]) && acl.owner, "{acl:?}");
}
