//! Three opinions of each policy in `policies.json`: what is predicted, what a read gets, and what a second
//! evaluator says. It is predicted twice: with MiniStack for IAM, whose simulation ignores the context of a
//! question, and with the second evaluator, which does not.
//!
//! A row has the `statements` of a role and of its `boundary`, if it has such, and the `secret` that is read, `db` unless
//! it says otherwise: that one has the tags team=data and env=prod, `other` has none. `{ARN}` and
//! `{PRINCIPAL}` are the secret's and the role's. Then what is expected:
//!
//! - `second`: the second evaluator's decision, which counts as the truth;
//! - `fetch`: does MiniStack let the read through? Where that is not the truth, `fetch_differs` says why;
//! - `predicted`, through the second evaluator: never a no or a yes that is not the truth;
//! - `by_ministack`, through MiniStack: where that is a wrong no or yes, `ministack_differs` says why.

use hushfs::config::{ActsAs, AssumeRole, IdentityRole};
use hushfs::provider::{ErrorKind, Known, Provider, VersionSelector};
use serde_json::{Value, json};

use crate::aws::{Aws, allow, policy, run};
use crate::suite::{self, Fixture, MARK};
use crate::support::ministack::ROOT_KEYS;
use crate::support::second_opinion::SecondOpinion;
use crate::test_name;

struct Row {
    expected: Value,
    role_arn: String,
    secret: String,
    arn: String,
    policy: Option<Value>,
    boundary: Option<Value>,
}

impl Row {
    fn read(expected: Value, number: usize, arns: &[(&str, String)]) -> Self {
        let role_arn = format!("arn:aws:iam::000000000000:role/row-{number}");
        let secret = expected["secret"].as_str().unwrap_or("db").to_owned();
        let arn = arns.iter().find(|(name, _)| *name == secret).expect("one of the secrets").1.clone();
        let whole = |statements: &Value| -> Value {
            let text = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
            serde_json::from_str(&text.replace("{ARN}", &arn).replace("{PRINCIPAL}", &role_arn)).expect("JSON")
        };
        let policy = expected.get("statements").map(whole);
        let boundary = expected.get("boundary").map(whole);
        Self { policy, boundary, expected, role_arn, secret, arn }
    }

    fn name(&self) -> &str {
        self.expected["name"].as_str().expect("a name")
    }

    /// With all that a read of this secret has.
    fn question(&self) -> Value {
        let mut context = json!({
            "aws:PrincipalArn": self.role_arn, "aws:PrincipalAccount": "000000000000",
            "aws:ResourceAccount": "000000000000", "aws:RequestedRegion": "us-east-1",
            "aws:SecureTransport": "false", "aws:SourceIp": "127.0.0.1",
            "secretsmanager:VersionStage": "AWSCURRENT", "secretsmanager:SecretId": self.arn,
        });
        if self.secret == "db" {
            context["aws:ResourceTag/team"] = "data".into();
            context["aws:ResourceTag/env"] = "prod".into();
        }
        json!({"principal": self.role_arn, "policies": Vec::from_iter(&self.policy), "boundary": self.boundary,
               "resource": self.arn, "context": context})
    }

    async fn predicted(&self, provider: &dyn Provider) -> &'static str {
        let role = IdentityRole { role_arn: self.role_arn.clone(), external_id: None, session_name: "hushfs".into() };
        let answer = provider.permissions(Some(&ActsAs::AwsRole(role)), &[suite::name(&self.secret)]).await;
        let permission = answer.unwrap_or_else(|error| panic!("{}: {error}", self.name())).remove(0);
        match permission.read {
            Known::Yes => "yes",
            Known::No => "no",
            Known::Unknown => "unknown",
        }
    }

    async fn fetched(&self, aws: &Aws) -> &'static str {
        let role = AssumeRole { role_arn: self.role_arn.clone(), external_id: None };
        let provider = suite::build(aws.scope_as("base", |settings| settings.assume_role = Some(role)));
        match provider.fetch(&suite::name(&self.secret), &VersionSelector::Current).await {
            Ok(_) => "yes",
            Err(error) if error.kind == ErrorKind::Denied => "no",
            Err(error) => panic!("{}: {error}", self.name()),
        }
    }
}

#[test]
fn a_predicted_no_is_never_allowed_and_a_predicted_yes_never_denied() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        aws.put("other", MARK.as_bytes()).await;
        aws.account.tag("prod/db", "team", "data").await;
        aws.account.tag("prod/db", "env", "prod").await;
        let arns = [("db", aws.account.arn("prod/db").await), ("other", aws.account.arn("prod/other").await)];
        let rows: Vec<Value> = serde_json::from_str(include_str!("policies.json")).expect("a table");
        assert!(rows.len() >= 40);
        let rows: Vec<Row> = rows.into_iter().enumerate().map(|(at, row)| Row::read(row, at, &arns)).collect();

        let server = &aws.account.server;
        let role = |(at, row): (usize, &Row)| {
            (
                format!("row-{at}"),
                row.policy.as_ref().map(Value::to_string),
                row.boundary.as_ref().map(Value::to_string),
            )
        };
        server.roles(&rows.iter().enumerate().map(role).collect::<Vec<_>>());
        let base = server.user("base", &policy(&allow(r#""sts:AssumeRole""#, "*")));
        aws.account.profile("base", (&base.0, &base.1), &server.url());
        let second = SecondOpinion::on(&rows.iter().map(Row::question).collect());
        aws.account.profile_with_iam("second", ROOT_KEYS, &server.url(), &second.url());
        let by_ministack = suite::build(aws.scope_as("root", |_| {}));
        let by_second = suite::build(aws.scope_as("second", |_| {}));

        let mut wrong = Vec::new();
        for (row, decision) in rows.iter().zip(&second.decisions) {
            let seen = json!({
                "second": decision, "fetch": row.fetched(&aws).await,
                "predicted": row.predicted(&*by_second).await, "by_ministack": row.predicted(&*by_ministack).await,
            });
            eprintln!("seen {seen} {}", row.name());
            wrong.extend(judge(row, &seen));
        }
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    });
}

/// What is wrong with a row.
fn judge(row: &Row, seen: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |holds: bool, text: String| {
        if !holds {
            wrong.push(format!("{}: {text}", row.name()));
        }
    };
    for column in ["second", "fetch", "predicted", "by_ministack"] {
        check(row.expected[column] == seen[column], format!("{column} is {}", seen[column]));
    }
    let truth = if seen["second"] == "Allowed" { "yes" } else { "no" };
    let says_why = |column: &str| row.expected[column].as_str().is_some_and(|why| !why.is_empty());
    let false_claim = |claim: &Value| (claim == "yes" || claim == "no") && claim != truth;
    let fetch_differs = seen["fetch"] != truth;
    check(!false_claim(&seen["predicted"]), format!("predicted {}, and it is {truth}", seen["predicted"]));
    let refused = seen["fetch"] == "no" || fetch_differs;
    check(seen["predicted"] != "no" || refused, "predicted no, and a read got it".into());
    check(fetch_differs == says_why("fetch_differs"), "`fetch_differs` must say why, or not be there".into());
    let ministack_differs = false_claim(&seen["by_ministack"]);
    check(
        ministack_differs == says_why("ministack_differs"),
        "`ministack_differs` must say why, or not be there".into(),
    );
    wrong
}
