//! Decisions and pictures of single policies.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::properties_test::{Host, OWNER, OWNER_GROUP, Process, policy_of};
use super::*;
use crate::access::mode::MOST_ENTRIES;
use crate::access::picture::RefusesNobody;

fn grant(effect: Effect, principal: Principal, resource: &str) -> Statement {
    Statement {
        effect,
        principals: vec![principal],
        actions: [Action::List, Action::Read].into_iter().collect(),
        resources: vec![Pattern::parse(resource).unwrap()],
        place: String::new(),
    }
}

fn allow(principal: Principal, resource: &str) -> Statement {
    grant(Effect::Allow, principal, resource)
}

fn allow_if(condition: String) -> Statement {
    allow(Principal::parse(&condition, &NoAccounts).unwrap(), "prod/**")
}

/// Answers nothing and counts the questions.
#[derive(Default)]
struct Counting(Cell<usize>);

impl Counting {
    fn asked(&self) -> Finding<'_> {
        self.0.set(self.0.get() + 1);
        Finding::Absent
    }
}

impl Evidence for Counting {
    fn unit(&self) -> Finding<'_> {
        self.asked()
    }

    fn cgroup(&self) -> Finding<'_> {
        self.asked()
    }

    fn container(&self) -> Finding<'_> {
        self.asked()
    }

    fn executable(&self) -> Finding<'_> {
        self.asked()
    }
}

/// The patterns looked at, for every sort of resource together.
fn examined(statements: Vec<Statement>, uid: u32, gid: u32) -> usize {
    let policy = policy_of(statements, RootPolicy::Allow);
    let evidence = Process(["u7.service", "/u7.slice/u7.service", "7c0de", "/opt/u7/run"].map(Finding::Is));
    let subject = Subject { uid, groups: &[gid], groups_complete: true, evidence: &evidence };
    let resources = [
        Resource::root(),
        Resource::scope("prod"),
        Resource::directory("prod", "app7"),
        Resource::key("prod", "app7", "k"),
        Resource::document("prod", "app7"),
    ];
    let decide = |resource: &Resource<'_>| {
        let decision = policy.decide(&subject, ways_to(Action::List)[1], resource);
        assert!(decision.is_allowed(), "{resource}");
        decision.examined
    };
    resources.iter().map(decide).sum()
}

#[test]
fn a_decision_does_not_look_at_grants_that_do_not_match() {
    type Make = fn(u32) -> Statement;
    let sorts: [(&str, Make); 13] = [
        ("users", |n| allow(Principal::User(1000 + n), "prod/**")),
        ("groups", |n| allow(Principal::Group(1000 + n), "prod/**")),
        ("units", |n| allow_if(format!("unit:u{n}.service"))),
        ("beginnings of units", |n| allow_if(format!("unit:u{n}*.service"))),
        ("beginnings of containers", |n| allow_if(format!("container:{n}c*"))),
        ("executables", |n| allow_if(format!("exe:/opt/u{n}/run"))),
        ("executables in folders", |n| allow_if(format!("exe:/opt/u{n}/*"))),
        ("control groups", |n| allow_if(format!("cgroup:/u{n}.slice"))),
        ("beginnings of control groups", |n| allow_if(format!("cgroup:/u{n}.slice/u*"))),
        ("secrets of one group", |n| allow(Principal::Group(1007), &format!("prod/app{n}"))),
        ("folders of one group", |n| allow(Principal::Group(1007), &format!("prod/app{n}/**"))),
        ("beginnings of names of one group", |n| allow(Principal::Group(1007), &format!("prod/app{n}*/**"))),
        ("secrets of everyone", |n| allow(Principal::Everyone, &format!("prod/app{n}"))),
    ];
    for (what, make) in sorts {
        let few = examined((0..10).map(make).collect(), 1007, 1007);
        let many = examined((0..10_000).map(make).collect(), 1007, 1007);
        assert!(many <= few, "{what}: {few} of 10 and {many} of 10,000 were looked at");
        assert!(few <= 40, "{what}: {few}");
    }
}

#[test]
fn a_process_is_looked_at_only_where_it_decides() {
    let unit = || Principal::parse("unit:a.service", &NoAccounts).unwrap();
    let asked = |statements: Vec<Statement>, uid: u32, resource: Resource<'_>| {
        let evidence = Counting::default();
        let subject = Subject { uid, groups: &[], groups_complete: true, evidence: &evidence };
        let _ = policy_of(statements, RootPolicy::Allow).decide(&subject, Action::Read, &resource);
        evidence.0.get()
    };
    let here = Resource::key("prod", "a", "k");
    assert_eq!(asked(vec![allow(unit(), "test/**")], 5, here), 0, "another scope");
    assert_eq!(asked(vec![allow(unit(), "prod/**")], OWNER, here), 0, "allowed already");
    assert_eq!(asked(vec![allow(unit(), "prod/**")], 0, here), 0, "root");
    assert_eq!(asked(vec![allow(unit(), "prod/**")], 5, here), 1);
    assert_eq!(asked(vec![grant(Effect::Deny, unit(), "prod/**")], OWNER, here), 1, "may be denied");
}

#[test]
fn what_cannot_be_known_is_refused() {
    let unit = || Principal::parse("unit:a.service", &NoAccounts).unwrap();
    let decide = |statements: Vec<Statement>| {
        let subject = Subject { uid: 5, groups: &[], groups_complete: true, evidence: &NoEvidence };
        policy_of(statements, RootPolicy::Allow)
            .decide(&subject, Action::Read, &Resource::key("prod", "a", "k"))
            .verdict
    };
    assert_eq!(decide(vec![allow(unit(), "prod/**")]), Verdict::Deny(Refused::NoGrant));
    let both = vec![allow(Principal::Everyone, "prod/**"), grant(Effect::Deny, unit(), "prod/a")];
    assert_eq!(decide(both), Verdict::Deny(Refused::Unknown(StatementId(1))));
}

#[test]
fn a_denied_secret_is_not_seen_in_a_folder_that_is() {
    let policy = policy_of(
        vec![allow(Principal::User(5), "prod/**"), grant(Effect::Deny, Principal::User(5), "prod/db")],
        RootPolicy::Allow,
    );
    let subject = Subject { uid: 5, groups: &[], groups_complete: true, evidence: &NoEvidence };
    let lists = |resource| policy.decide(&subject, Action::List, &resource).is_allowed();
    assert!(!lists(Resource::secret("prod", "db")));
    assert!(!lists(Resource::key("prod", "db", "user")));
    assert!(lists(Resource::scope("prod")));
    // Where a secret is below it, it has to be passed.
    assert!(lists(Resource::directory("prod", "db")));
    assert!(lists(Resource::secret("prod", "db/creds")));
}

#[test]
fn a_denied_group_is_shown_as_its_members() {
    let host = Host(
        [(5, vec![10, 12]), (6, vec![10]), (7, vec![12])].map(|(uid, gids)| (uid, gids.into_iter().collect())).into(),
    );
    let picture = |statements: Vec<Statement>| {
        policy_of(statements, RootPolicy::Allow).picture(
            Action::Read,
            &Resource::key("prod", "a", "k"),
            &host,
            &RefusesNobody,
        )
    };
    let acl =
        picture(vec![allow(Principal::Everyone, "prod/**"), grant(Effect::Deny, Principal::Group(10), "prod/**")]);
    assert!(acl.other && acl.group);
    assert_eq!((acl.users.get(&6), acl.groups.get(&10)), (None, Some(&false)), "the group's entry is enough");
    let acl = picture(vec![
        allow(Principal::User(6), "prod/**"),
        allow(Principal::Group(12), "prod/**"),
        grant(Effect::Deny, Principal::Group(10), "prod/**"),
        grant(Effect::Deny, Principal::User(7), "prod/**"),
    ]);
    assert_eq!(acl.users.into_iter().collect::<Vec<_>>(), [(5, false), (7, false)]);
    assert_eq!(acl.groups.into_iter().collect::<Vec<_>>(), [(12, true)]);
    assert!(!acl.other && !acl.group);
}

#[test]
fn a_condition_is_a_yes_to_all_and_the_decision_judges_it() {
    let unit = Principal::parse("unit:a.service", &NoAccounts).unwrap();
    let policy = policy_of(vec![allow(unit, "prod/a")], RootPolicy::Allow);
    let mode = |action, resource| policy.picture(action, &resource, &Host(BTreeMap::new()), &RefusesNobody).to_mode();
    assert_eq!(mode(Action::Read, Resource::key("prod", "a", "k")), 0o444);
    assert_eq!(mode(Action::Read, Resource::key("prod", "b", "k")), 0o400);
    assert_eq!(mode(Action::List, Resource::scope("prod")), 0o555);
    assert_eq!(mode(Action::List, Resource::scope("test")), 0o500);
    let nobody = policy_of(Vec::new(), RootPolicy::Deny);
    let picture =
        nobody.picture(Action::Read, &Resource::key("prod", "a", "k"), &Host(BTreeMap::new()), &RefusesNobody);
    assert_eq!((picture.to_mode(), picture.to_xattr()), (0o400, None));
}

#[test]
fn more_names_than_the_kernel_takes_make_a_picture_without_a_wrong_no() {
    let host = Host(BTreeMap::new());
    let picture = |statements: Vec<Statement>| {
        policy_of(statements, RootPolicy::Allow).picture(
            Action::Read,
            &Resource::key("prod", "a", "k"),
            &host,
            &RefusesNobody,
        )
    };
    let most = u32::try_from(MOST_ENTRIES).unwrap() - 4;
    let users = |count: u32, effect| (100..100 + count).map(move |uid| grant(effect, Principal::User(uid), "prod/**"));

    let fits = picture(users(most, Effect::Allow).collect());
    assert!(!fits.is_coarse && !fits.other);
    assert_eq!(fits.to_xattr().map(|value| value.len()), Some(4092));

    let none_named = picture(users(most + 1, Effect::Allow).collect());
    assert!(none_named.is_coarse && none_named.permits(100, &[]) && none_named.permits(100, &[OWNER_GROUP]));
    assert_eq!(none_named.to_mode(), 0o444);

    let mut statements: Vec<Statement> = users(most + 1, Effect::Deny).collect();
    statements.push(allow(Principal::User(7), "prod/**"));
    let without_denies = picture(statements);
    assert!(without_denies.is_coarse && without_denies.permits(7, &[]) && !without_denies.permits(8, &[]));
}
