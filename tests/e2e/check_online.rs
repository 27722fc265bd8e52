//! `hushfs check --online`: who the providers take us for, and what of the configured access they would refuse.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::cloud::Cloud;
use crate::support::daemon::{HUSHFS, Place};
use crate::support::fault_proxy::Fault;
use crate::support::store::Store;

pub fn check(place: &Place, cloud: &Cloud, keys: (&str, &str), configuration: &str, args: &[&str]) -> Output {
    place.configure(configuration);
    let mut command: Command = cloud.command(place, Some(keys));
    // The same environment as the daemon's, another command.
    let environment: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
    command = Command::new(HUSHFS);
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    for service in ["STS", "IAM"] {
        command.env(format!("AWS_ENDPOINT_URL_{service}"), cloud.proxy.url());
    }
    command.args(["check", "--online"]).args(args).arg("--config").arg(place.path().join("hushfs.toml"));
    command.output().expect("hushfs runs")
}

fn document(statements: Value) -> String {
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

pub fn findings(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(!text.contains("the value itself"), "{text}");
    let json: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
    json["online"].as_array().unwrap().clone()
}

#[test]
fn each_scope_and_identity_says_who_we_are_and_what_it_would_refuse() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    for name in ["db", "web", "billing"] {
        cloud.create(name, b"the value itself");
    }
    let of = |name: &str| format!("arn:aws:secretsmanager:us-east-1:000000000000:secret:{name}-??????");
    let policy = document(json!([
        {"Effect": "Allow", "Action": ["secretsmanager:*", "iam:SimulatePrincipalPolicy", "sts:AssumeRole"], "Resource": "*"},
        {"Effect": "Deny", "Action": "secretsmanager:GetSecretValue", "Resource": of("billing")},
    ]));
    let keys = cloud.account.server.user("app", &policy);
    let anyone = document(json!([{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]));
    let some = document(json!([
        {"Effect": "Allow", "Action": "secretsmanager:ListSecrets", "Resource": "*"},
        {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": of("web")},
    ]));
    let role = cloud.account.server.role("some", &anyone, &some);
    let store = Store::new(place.path());
    let configuration = format!(
        "allow_other = true\n[[grant]]\nprincipals = [\"uid:2001\", \"uid:2002\"]\nactions = [\"read\"]\nresources = [\"prod/db\", \"prod/web\"]\n\
         [[identity]]\nprincipals = [\"uid:2002\"]\nscopes = [\"prod\"]\naws.role_arn = {role:?}\n{}{}",
        cloud.scope("prod", ""),
        store.scope("dev")
    );
    let output = check(&place, &cloud, (&keys.0, &keys.1), &configuration, &["--json"]);
    assert_eq!(output.status.code(), Some(77), "{output:?}");
    let found = findings(&output);
    assert_eq!(found.len(), 3, "{found:#?}");

    assert_eq!(found[0]["scope"], "dev");
    assert!(found[0]["whoami"]["ok"].as_str().unwrap().starts_with("age identity age1"), "{:#}", found[0]);

    let own = &found[1];
    assert_eq!(own["whoami"]["ok"], "arn:aws:iam::000000000000:user/app");
    assert_eq!((&own["list"]["ok"], &own["granted"]), (&json!(3), &json!(3)), "the user who runs it may read all");
    assert_eq!(own["refused"][0]["secret"], "billing");
    assert!(own["refused"][0]["why"].as_str().unwrap().contains("explicitDeny"), "{own:#}");
    assert_eq!(own["read"]["ok"], "db");

    let other = &found[2];
    assert_eq!((&other["identity"], &other["user"]), (&json!(role), &json!(2002)));
    assert!(other["whoami"]["ok"].as_str().unwrap().contains("assumed-role/some/"), "{other:#}");
    assert_eq!(other["granted"], 2);
    assert_eq!(other["refused"].as_array().unwrap().len(), 1, "{other:#}");
    assert_eq!(other["refused"][0]["secret"], "db");
    assert_eq!(other["read"]["ok"], "web");

    let text = check(&place, &cloud, (&keys.0, &keys.1), &configuration, &[]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.starts_with("ok: 2 scopes\n"), "{text}");
    for line in [
        "prod (aws-secrets-manager)\n  it takes us for arn:aws:iam::000000000000:user/app\n",
        "  it lists 3 secrets, of which 3 are granted to callers like that\n",
        "  WOULD REFUSE billing: ",
        &format!("prod (aws-secrets-manager) as {role} for uid 2002\n"),
        "  it gave web, which was dropped\n",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn all_is_well_where_all_is_well_and_a_refusal_met_by_trying_is_told_where_iam_may_not_be_asked() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    cloud.create("db", b"the value itself");
    let allowed = document(json!([{"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"}]));
    let keys = cloud.account.server.user("app", &allowed);
    let scope = cloud.scope("prod", "");
    let output = check(&place, &cloud, (&keys.0, &keys.1), &scope, &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found = findings(&output);
    assert_eq!((&found[0]["unknown"], &found[0]["read"]["ok"]), (&json!(1), &json!("db")));
    assert!(found[0]["unknown_because"].as_str().unwrap().contains("iam:SimulatePrincipalPolicy"), "{found:#?}");

    let only_names = document(json!([{"Effect": "Allow", "Action": "secretsmanager:ListSecrets", "Resource": "*"}]));
    cloud.account.server.change_user("app", &only_names);
    let output = check(&place, &cloud, (&keys.0, &keys.1), &scope, &["--json"]);
    assert_eq!(output.status.code(), Some(77), "{output:?}");
    assert_eq!(findings(&output)[0]["read"]["failed"]["kind"], "denied");

    cloud.proxy.set("*", Fault::Hang);
    let scope = cloud.scope("prod", "timeout = \"3s\"");
    let output = check(&place, &cloud, (&keys.0, &keys.1), &scope, &["--json"]);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert_eq!(findings(&output)[0]["whoami"]["failed"]["kind"], "timed_out");

    let output = check(&place, &cloud, ("AKIAWRONG", "wrong"), &scope, &["--json"]);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
}
