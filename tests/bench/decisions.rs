//! What a decision, and a picture of decisions, cost with more and more grants that do not match: `make bench`.
//!
//! Six grants are about the callers and the place; all others are not, and are of one kind a line. The policies
//! of one line take turns, and what can be compared are the ratios.

mod measure;

use std::hint::black_box;
use std::time::Duration;

use hushfs::access::Action;
use hushfs::access::picture::{GroupDirectory, RefusesNobody};
use hushfs::access::policy::{
    Accounts, Effect, Evidence, Finding, Pattern, Policy, Principal, Resource, Statement, Subject,
};
use hushfs::config::RootPolicy;
use measure::{median, per_second, times_as_long};

const SIZES: [u32; 3] = [10, 1_000, 10_000];
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(20);

const USER: u32 = 1000;
const GROUP: u32 = 2000;
const NOBODY_IN_PARTICULAR: u32 = 3000;
const CONTAINER: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";

/// About the callers and the place: by each sort of principal.
fn matching() -> Vec<Statement> {
    let principals = [
        "uid:1000".to_owned(),
        "gid:2000".to_owned(),
        "unit:worker.service".to_owned(),
        "cgroup:/system.slice/worker.service".to_owned(),
        format!("container:{CONTAINER}"),
        "exe:/usr/bin/psql".to_owned(),
    ];
    principals.iter().map(|principal| allow(&[principal], "prod/app/db")).collect()
}

/// User and group: one is granted the place as a user, one as a group, one by what its process is.
const CALLERS: [(u32, u32); 3] =
    [(USER, NOBODY_IN_PARTICULAR), (NOBODY_IN_PARTICULAR, GROUP), (NOBODY_IN_PARTICULAR, NOBODY_IN_PARTICULAR)];

/// Each of them.
const CALLER: [&str; 3] = ["uid:1000", "gid:2000", "unit:worker.service"];

type Make = fn(u32) -> Statement;

/// What does not match, and is found not to without a look at it.
const OTHERS: [(&str, Make); 10] = [
    ("other users, this secret", |n| allow(&[&format!("uid:{}", 10_000 + n)], "prod/app/db")),
    ("other groups, this secret", |n| allow(&[&format!("gid:{}", 10_000 + n)], "prod/app/db")),
    ("other units, this secret", |n| allow(&[&format!("unit:u{n}.service")], "prod/app/db")),
    ("other units by a glob, this secret", |n| allow(&[&format!("unit:u{n}-*.service")], "prod/app/db")),
    ("other executables, this secret", |n| allow(&[&format!("exe:/opt/a{n}/run")], "prod/app/db")),
    ("other executables by a glob, this secret", |n| allow(&[&format!("exe:/opt/a{n}/*")], "prod/app/db")),
    ("denies of other users, this secret", |n| deny(&[&format!("uid:{}", 10_000 + n)], "prod/app/db")),
    ("these callers, other secrets", |n| allow(&CALLER, &format!("prod/app/db{n}"))),
    ("these callers, other folders", |n| allow(&CALLER, &format!("prod/app{n}/**"))),
    ("these callers, other secrets by a glob", |n| allow(&CALLER, &format!("prod/app/{n}-*"))),
];

/// What does not match, and has to be held against the caller or the place to see that: globs that begin
/// alike.
const LOOKED_AT: [(&str, Make); 3] = [
    ("unit:*-N.service, this secret", |n| allow(&[&format!("unit:*-{n}.service")], "prod/app/db")),
    ("these callers, prod/**/sN", |n| allow(&CALLER, &format!("prod/**/s{n}"))),
    ("other units, prod/**/sN", |n| allow(&[&format!("unit:u{n}.service")], &format!("prod/**/s{n}"))),
];

fn places() -> [(&'static str, Resource<'static>); 6] {
    [
        ("the root", Resource::root()),
        ("the scope", Resource::scope("prod")),
        ("the folder", Resource::directory("prod", "app")),
        ("the secret", Resource::directory("prod", "app/db")),
        ("a key", Resource::key("prod", "app/db", "PASSWORD")),
        ("all keys", Resource::document("prod", "app/db")),
    ]
}

/// The places whose pictures are shown.
const SHOWN: [&str; 3] = ["the scope", "the secret", "a key"];

fn main() {
    println!("Decisions: one for each of 3 callers (by user, by group, by unit) and 6 places (root to key), allowed");
    println!("{:42}{:>12}{}   patterns looked at with 10, 1000, 10000", "all grants but 6:", "decisions/s", columns());
    let mixed: Make = |n| OTHERS[n as usize % OTHERS.len()].1(n);
    for (what, make) in OTHERS.into_iter().chain([("all of these in turns", mixed)]).chain(LOOKED_AT) {
        let policies = SIZES.map(|size| policy(size, make));
        let mut rates = SIZES.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for (policy, rates) in policies.iter().zip(&mut rates) {
                let mut decisions = 0;
                let rounds = per_second(ROUND, || decisions = decide_all(policy, &mut 0));
                rates.push(rounds * f64::from(decisions));
            }
        }
        let looked_at = policies.each_ref().map(|policy| {
            let mut examined = 0;
            let decisions = decide_all(policy, &mut examined);
            format!("{:9.1}", examined as f64 / f64::from(decisions))
        });
        println!("{what:42}{:12.0}{}  {}", median(rates[0].clone()), ratios(&rates), looked_at.concat());
    }

    println!("\nPictures: of one place");
    println!("{:42}{:>12}{}", "all grants but 6:", "pictures/s", columns());
    for (what, make) in [OTHERS[8], OTHERS[0], ("all of the above in turns", mixed)] {
        let policies = SIZES.map(|size| policy(size, make));
        for (place, resource) in places().into_iter().filter(|(place, _)| SHOWN.contains(place)) {
            let action = if resource.is_directory() { Action::List } else { Action::Read };
            let mut rates = SIZES.map(|_| Vec::new());
            for _ in 0..ROUNDS {
                for (policy, rates) in policies.iter().zip(&mut rates) {
                    rates.push(per_second(ROUND, || {
                        black_box(policy.picture(action, &resource, &NoMembers, &RefusesNobody));
                    }));
                }
            }
            println!("{:42}{:12.0}{}", format!("{what}: {place}"), median(rates[0].clone()), ratios(&rates));
        }
    }
}

fn policy(size: u32, make: Make) -> Policy {
    let mut statements = matching();
    let others = size - u32::try_from(statements.len()).unwrap();
    statements.extend((0..others).map(make));
    Policy::new(statements, 0, 0, RootPolicy::Allow)
}

/// How many decisions it were.
fn decide_all(policy: &Policy, examined: &mut usize) -> u32 {
    let mut decisions = 0;
    for (uid, gid) in CALLERS {
        let subject = Subject { uid, groups: &[gid], groups_complete: true, evidence: &Process };
        for (_, resource) in places() {
            let decision = black_box(policy).decide(&subject, Action::Read, &resource);
            assert!(decision.is_allowed(), "{resource}");
            *examined += decision.examined;
            decisions += 1;
        }
    }
    decisions
}

fn columns() -> String {
    format!("{:>20}{:>20}", "times as long, 1000", "10000")
}

fn ratios(rates: &[Vec<f64>]) -> String {
    times_as_long(rates)[1..].iter().map(|ratio| format!("{ratio:20.2}")).collect()
}

fn allow(principals: &[&str], resource: &str) -> Statement {
    grant(Effect::Allow, principals, resource)
}

fn deny(principals: &[&str], resource: &str) -> Statement {
    grant(Effect::Deny, principals, resource)
}

fn grant(effect: Effect, principals: &[&str], resource: &str) -> Statement {
    Statement {
        effect,
        principals: principals.iter().map(|principal| Principal::parse(principal, &ByNumber).unwrap()).collect(),
        actions: [Action::List, Action::Read].into_iter().collect(),
        resources: vec![Pattern::parse(resource).unwrap()],
        place: String::new(),
    }
}

/// A process that is known already: what looking into `/proc` costs is no part of the decision.
struct Process;

impl Evidence for Process {
    fn unit(&self) -> Finding<'_> {
        Finding::Is("worker.service")
    }

    fn cgroup(&self) -> Finding<'_> {
        Finding::Is("/system.slice/worker.service")
    }

    fn container(&self) -> Finding<'_> {
        Finding::Is(CONTAINER)
    }

    fn executable(&self) -> Finding<'_> {
        Finding::Is("/usr/bin/psql")
    }
}

struct ByNumber;

impl Accounts for ByNumber {
    fn uid(&self, _: &str) -> Result<Option<u32>, String> {
        Ok(None)
    }

    fn gid(&self, _: &str) -> Result<Option<u32>, String> {
        Ok(None)
    }
}

struct NoMembers;

impl GroupDirectory for NoMembers {
    fn members_of(&self, _: u32) -> Vec<u32> {
        Vec::new()
    }

    fn groups_of(&self, _: u32) -> Vec<u32> {
        Vec::new()
    }
}
