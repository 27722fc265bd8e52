//! What holds for every policy, caller and resource.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::access::picture::{GroupDirectory, RefusesNobody};

pub(in crate::access) const OWNER: u32 = 1;
pub(super) const OWNER_GROUP: u32 = 11;

/// Who is in which group; a caller's groups are what it says of the caller.
#[derive(Debug, Clone)]
pub(in crate::access) struct Host(pub BTreeMap<u32, BTreeSet<u32>>);

impl GroupDirectory for Host {
    fn members_of(&self, gid: u32) -> Vec<u32> {
        self.0.iter().filter(|(_, gids)| gids.contains(&gid)).map(|(uid, _)| *uid).collect()
    }

    fn groups_of(&self, uid: u32) -> Vec<u32> {
        self.0.get(&uid).into_iter().flatten().copied().collect()
    }
}

/// A process, each fact of which is found, absent or unknown.
#[derive(Debug, Clone)]
pub(in crate::access) struct Process(pub [Finding<'static>; 4]);

impl Evidence for Process {
    fn unit(&self) -> Finding<'_> {
        self.0[0]
    }

    fn cgroup(&self) -> Finding<'_> {
        self.0[1]
    }

    fn container(&self) -> Finding<'_> {
        self.0[2]
    }

    fn executable(&self) -> Finding<'_> {
        self.0[3]
    }
}

#[derive(Debug, Clone, Copy)]
pub(in crate::access) struct At(pub &'static str, &'static str, Part<'static>);

impl At {
    pub(in crate::access) fn resource(&self) -> Resource<'static> {
        Resource::directory(self.0, self.1).with(self.2)
    }

    /// What its bits show.
    pub(in crate::access) fn action(&self) -> Action {
        if self.resource().is_directory() { Action::List } else { Action::Read }
    }
}

pub(in crate::access) fn principal() -> impl Strategy<Value = Principal> {
    let simple = prop_oneof![
        6 => (0..6u32).prop_map(Principal::User),
        6 => (10..14u32).prop_map(Principal::Group),
        2 => Just(Principal::Everyone),
    ];
    let condition = prop::sample::select(vec![
        "unit:a.service",
        "unit:*.service",
        "unit:a*.service",
        "cgroup:/x",
        "cgroup:/x/*",
        "cgroup:/**/y",
        "container:c1",
        "container:c*",
        "exe:/bin/a",
        "exe:/bin/*",
        "exe:/bin/**",
    ]);
    prop_oneof![5 => simple, 1 => condition.prop_map(|text| Principal::parse(text, &NoAccounts).unwrap())]
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let component = || prop::sample::select(vec!["a", "b", "*", "**", "a*", "?b"]);
    let scope = prop::sample::select(vec!["prod", "test", "*", "p*", "**"]);
    (scope, vec(component(), 1..4)).prop_map(|(scope, rest)| {
        Pattern::parse(&format!("{scope}/{}", rest.join("/"))).expect("a pattern with a scope and a name")
    })
}

fn statement() -> impl Strategy<Value = Statement> {
    let effect = prop_oneof![2 => Just(Effect::Allow), 1 => Just(Effect::Deny)];
    let actions = prop::sample::subsequence(Action::ALL.to_vec(), 1..=3);
    (effect, vec(principal(), 1..3), actions, vec(pattern(), 1..3)).prop_map(
        |(effect, principals, actions, resources)| Statement {
            effect,
            principals,
            actions: actions.into_iter().collect(),
            resources,
            place: "hushfs.toml:1".to_owned(),
        },
    )
}

pub(in crate::access) fn statements() -> impl Strategy<Value = Vec<Statement>> {
    vec(statement(), 0..8)
}

pub(in crate::access) fn policy_of(statements: Vec<Statement>, root: RootPolicy) -> Policy {
    Policy::new(statements, OWNER, OWNER_GROUP, root)
}

pub(in crate::access) fn root() -> impl Strategy<Value = RootPolicy> {
    prop::sample::select(vec![RootPolicy::Allow, RootPolicy::Deny])
}

pub(in crate::access) fn at() -> impl Strategy<Value = At> {
    let path = prop::sample::select(vec!["a", "b", "ab", "a/b", "b/a", "a/a/b"]);
    let part = prop::sample::select(vec![
        Part::Key("a"),
        Part::Key("b"),
        Part::Document,
        Part::Secret,
        Part::Folder,
        Part::Directory,
    ]);
    prop_oneof![
        8 => (prop::sample::select(vec!["prod", "test"]), path, part).prop_map(|(scope, path, part)| At(scope, path, part)),
        1 => Just(At("prod", "", Part::Folder)),
        1 => Just(At("", "", Part::Folder)),
    ]
}

pub(in crate::access) fn host() -> impl Strategy<Value = Host> {
    vec(btree_set(10..14u32, 0..4), 6).prop_map(|groups| Host((0..).zip(groups).collect()))
}

pub(in crate::access) fn process() -> impl Strategy<Value = Process> {
    let one = |values: Vec<&'static str>| {
        prop_oneof![
            1 => Just(Finding::Absent),
            1 => Just(Finding::Unknown),
            4 => prop::sample::select(values).prop_map(Finding::Is),
        ]
    };
    (
        one(vec!["a.service", "b.service", "a.scope"]),
        one(vec!["/", "/x", "/x/y", "/x/y/z", "/y"]),
        one(vec!["c1", "c2", "d"]),
        one(vec!["/bin/a", "/bin/b", "/bin/a/b"]),
    )
        .prop_map(|(unit, cgroup, container, executable)| Process([unit, cgroup, container, executable]))
}

#[derive(Debug, Clone)]
struct Someone {
    uid: u32,
    groups: Vec<u32>,
    groups_complete: bool,
    process: Process,
}

impl Someone {
    fn subject(&self) -> Subject<'_> {
        Subject { uid: self.uid, groups: &self.groups, groups_complete: self.groups_complete, evidence: &self.process }
    }
}

fn someone() -> impl Strategy<Value = Someone> {
    let uid = prop_oneof![9 => 0..6u32, 1 => Just(u32::MAX)];
    (uid, btree_set(10..14u32, 0..4), prop::bool::weighted(0.9), process()).prop_map(
        |(uid, groups, groups_complete, process)| Someone {
            uid,
            groups: groups.into_iter().collect(),
            groups_complete,
            process,
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    prop::sample::select(Action::ALL.to_vec())
}

/// The rules, statement by statement.
fn by_definition(policy: &Policy, subject: &Subject<'_>, action: Action, resource: &Resource<'_>) -> bool {
    if policy.is_past_all(subject.uid) {
        return true;
    }
    let parts = match resource.part {
        Part::Directory => vec![Part::Secret, Part::Folder],
        part => vec![part],
    };
    parts.into_iter().any(|part| {
        let about: Vec<&Statement> =
            policy.statements().iter().filter(|statement| statement.bears(&resource.with(part))).collect();
        ways_to(action).iter().any(|way| {
            let holds = |effect: Effect, matches: &[Match]| {
                about.iter().any(|statement| {
                    statement.effect == effect
                        && statement.bears_on(*way)
                        && matches.contains(&statement.matches(subject))
                })
            };
            (holds(Effect::Allow, &[Match::Yes]) || subject.uid == OWNER)
                && !holds(Effect::Deny, &[Match::Yes, Match::Unknown])
        })
    })
}

/// As far as bits can express it: whoever might meet a condition is allowed, and nobody is denied by one.
pub(in crate::access) fn without_conditions(statements: &[Statement]) -> Vec<Statement> {
    let simple = |statement: &Statement| {
        let mut statement = statement.clone();
        match statement.effect {
            Effect::Deny => statement.principals.retain(|principal| principal.condition().is_none()),
            Effect::Allow => {
                for principal in statement.principals.iter_mut().filter(|principal| principal.condition().is_some()) {
                    *principal = Principal::Everyone;
                }
            }
        }
        statement
    };
    statements.iter().map(simple).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: ProptestConfig::default().cases.max(2_000), ..ProptestConfig::default() })]

    #[test]
    fn the_index_decides_as_the_rules_do(
        statements in statements(), root in root(), someone in someone(), action in action(), at in at(),
    ) {
        let (policy, subject) = (policy_of(statements, root), someone.subject());
        let decision = policy.decide(&subject, action, &at.resource());
        prop_assert_eq!(decision.is_allowed(), by_definition(&policy, &subject, action, &at.resource()));
        if let Some(id) = decision.statement() {
            let bearing = policy.explain(&subject, action, &at.resource()).into_iter().find(|(known, _)| *known == id);
            let right = match decision.verdict {
                Verdict::Deny(Refused::Unknown(_)) => Bearing::MayApply,
                _ => Bearing::Applies,
            };
            prop_assert_eq!(bearing, Some((id, right)));
            prop_assert!(decision.considered.contains(&id));
        }
    }

    #[test]
    fn deny_always_wins(
        statements in statements(), root in root(), someone in someone(), action in action(), at in at(),
    ) {
        let (policy, subject) = (policy_of(statements.clone(), root), someone.subject());
        let denied = |policy: &Policy| {
            policy.explain(&subject, action, &at.resource()).into_iter().any(|(id, bearing)| {
                let statement = policy.statement(id).unwrap();
                statement.effect == Effect::Deny
                    && statement.bears_on(Action::List)
                    && matches!(bearing, Bearing::Applies | Bearing::MayApply)
            })
        };
        // Of a directory that may be two things a deny may take one.
        if denied(&policy) && at.2 != Part::Directory {
            let allowed = policy.decide(&subject, action, &at.resource()).is_allowed();
            prop_assert_eq!(allowed, policy.is_past_all(someone.uid));
        }
        let mut all = statements;
        all.insert(0, Statement {
            effect: Effect::Deny,
            principals: vec![Principal::Everyone],
            actions: [action].into_iter().collect(),
            resources: vec![Pattern::parse("**").unwrap()],
            place: String::new(),
        });
        if action != Action::List {
            let policy = policy_of(all, root);
            let allowed = policy.decide(&subject, action, &at.resource()).is_allowed();
            prop_assert_eq!(allowed, policy.is_past_all(someone.uid));
        }
    }

    #[test]
    fn another_allow_never_takes_and_another_deny_never_gives(
        statements in statements(), more in statement(), root in root(), someone in someone(), action in action(), at in at(),
    ) {
        let decide = |statements: Vec<Statement>| {
            policy_of(statements, root).decide(&someone.subject(), action, &at.resource()).is_allowed()
        };
        let before = decide(statements.clone());
        let after = decide([statements, vec![more.clone()]].concat());
        match more.effect {
            Effect::Allow => prop_assert!(after >= before),
            Effect::Deny => prop_assert!(after <= before),
        }
    }

    #[test]
    fn the_order_of_statements_principals_and_resources_means_nothing(
        (statements, shuffled) in statements().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        root in root(), someone in someone(), action in action(), at in at(), host in host(),
    ) {
        let mut shuffled = shuffled;
        for statement in &mut shuffled {
            statement.principals.reverse();
            statement.resources.reverse();
        }
        let (one, other) = (policy_of(statements, root), policy_of(shuffled, root));
        let decide = |policy: &Policy| policy.decide(&someone.subject(), action, &at.resource()).is_allowed();
        prop_assert_eq!(decide(&one), decide(&other));
        let picture = |policy: &Policy| policy.picture(action, &at.resource(), &host, &RefusesNobody);
        prop_assert_eq!(picture(&one), picture(&other));
    }

    /// Both halves at once: no "no" where the decision is yes, and no "yes" where it is no for a reason that
    /// bits can express.
    #[test]
    fn bits_say_what_is_decided_as_far_as_bits_can(
        statements in statements(), root in root(), host in host(), uid in 0..6u32, process in process(), at in at(),
    ) {
        let groups = host.groups_of(uid);
        let subject = Subject { uid, groups: &groups, groups_complete: true, evidence: &process };
        let expressible = policy_of(without_conditions(&statements), root);
        let policy = policy_of(statements, root);
        let acl = policy.picture(at.action(), &at.resource(), &host, &RefusesNobody);
        // Root's capabilities are above the list.
        if policy.is_past_all(uid) {
            return Ok(());
        }
        let shown = acl.permits(uid, &groups);
        prop_assert!(shown || !policy.decide(&subject, at.action(), &at.resource()).is_allowed(), "{:?}", acl);
        prop_assert_eq!(shown, expressible.decide(&subject, at.action(), &at.resource()).is_allowed(), "{:?}", acl);
    }

    /// Of one way to a yes, as every file is: groups that the host does not know of never make a wrong "no".
    #[test]
    fn a_process_with_more_groups_than_its_user_is_not_shut_out_of_files(
        statements in statements(), root in root(), host in host(), someone in someone(), at in at(),
    ) {
        if someone.uid == u32::MAX || at.resource().is_directory() {
            return Ok(());
        }
        let mut groups = host.groups_of(someone.uid);
        groups.extend(&someone.groups);
        let subject = Subject { groups: &groups, ..someone.subject() };
        let policy = policy_of(statements, root);
        if policy.is_past_all(someone.uid) {
            return Ok(());
        }
        let acl = policy.picture(Action::Read, &at.resource(), &host, &RefusesNobody);
        let decision = policy.decide(&subject, Action::Read, &at.resource());
        prop_assert!(acl.permits(someone.uid, &groups) || !decision.is_allowed(), "{:?}", acl);
    }

    /// Root that runs the daemon and is like any other has the owner's entry, whatever groups a process of its has.
    #[test]
    fn root_who_runs_the_daemon_and_needs_grants_is_not_shut_out_of_files(
        statements in statements(), host in host(), more in btree_set(10..14u32, 0..4), process in process(), at in at(),
    ) {
        if at.resource().is_directory() {
            return Ok(());
        }
        let mut groups = host.groups_of(0);
        groups.extend(more);
        let subject = Subject { uid: 0, groups: &groups, groups_complete: true, evidence: &process };
        let policy = Policy::new(statements, 0, OWNER_GROUP, RootPolicy::Deny);
        let acl = policy.picture(Action::Read, &at.resource(), &host, &RefusesNobody);
        let decision = policy.decide(&subject, Action::Read, &at.resource());
        prop_assert!(acl.permits(0, &groups) || !decision.is_allowed(), "{:?}", acl);
        prop_assert!(decision.verdict != Verdict::Allow(Allowed::Owner));
    }

    /// What may be opened can be looked up, all the way from the root.
    #[test]
    fn the_way_to_what_may_be_read_may_be_listed(
        statements in statements(), root in root(), someone in someone(), action in action(), at in at(),
    ) {
        let policy = policy_of(statements, root);
        let Part::Key(_) = at.2 else { return Ok(()) };
        if !policy.decide(&someone.subject(), action, &at.resource()).is_allowed() {
            return Ok(());
        }
        let mut way = vec![Resource::root(), Resource::scope(at.0), at.resource(), at.resource().with(Part::Secret)];
        way.extend(at.1.match_indices('/').map(|(end, _)| Resource::directory(at.0, &at.1[..end])));
        way.extend(at.1.match_indices('/').map(|(end, _)| Resource::folder(at.0, &at.1[..end])));
        for resource in way {
            prop_assert!(policy.decide(&someone.subject(), Action::List, &resource).is_allowed(), "{} {:?}", resource, resource.part);
        }
    }
}
