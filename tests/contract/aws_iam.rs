//! AWS: who we are, and what IAM is expected to say to a read.

use std::time::Duration;

use hushfs::config::{ActsAs, AssumeRole, IdentityRole};
use hushfs::provider::{ErrorKind, Known, Permission, Provider};

use crate::aws::{Aws, SECRETS, allow, policy, run};
use crate::suite::{self, Fixture, MARK, expect_error};
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::ministack::ROOT_KEYS;
use crate::support::ports;
use crate::support::second_opinion::SecondOpinion;
use crate::test_name;

const ACCOUNT: &str = "arn:aws:iam::000000000000";

/// Everything that a prediction may ask for, and nothing that reads a value.
const ASKING: &str = r#"{"Effect":"Allow","Action":["iam:SimulatePrincipalPolicy","secretsmanager:DescribeSecret",
    "secretsmanager:GetResourcePolicy"],"Resource":"*"}"#;

async fn ask(provider: &dyn Provider, identity: Option<&ActsAs>, names: &[&str]) -> Vec<Permission> {
    let names: Vec<_> = names.iter().map(|name| suite::name(name)).collect();
    let permissions = provider.permissions(identity, &names).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(permissions.len(), names.len());
    for permission in &permissions {
        eprintln!("{:?}: {}", permission.read, permission.why);
        assert!(!permission.why.is_empty() && !permission.why.contains('\n'), "{:?}", permission.why);
    }
    permissions
}

async fn one(provider: &dyn Provider, name: &str) -> Permission {
    ask(provider, None, &[name]).await.remove(0)
}

fn role(arn: &str) -> ActsAs {
    ActsAs::AwsRole(IdentityRole { role_arn: arn.into(), external_id: None, session_name: "hushfs".into() })
}

fn read(statement: &str) -> String {
    format!("{ASKING},{statement}")
}

#[test]
fn we_are_the_user_whose_keys_these_are() {
    run(test_name!(), async |aws| {
        let provider = aws.provider_as("alice", &allow(r#""sts:*""#, "*"));
        assert_eq!(provider.whoami().await.unwrap(), format!("{ACCOUNT}:user/alice"));
    });
}

#[test]
fn we_are_a_session_of_the_role_that_was_taken_on() {
    run(test_name!(), async |aws| {
        let (provider, _) = as_role(&aws, "reader", &read(&allow(r#""secretsmanager:GetSecretValue""#, "*")));
        let arn = provider.whoami().await.unwrap();
        assert!(arn.starts_with("arn:aws:sts::000000000000:assumed-role/reader/hushfs-"), "{arn}");
    });
}

/// A provider whose scope takes on a new role with this policy; and the role's ARN.
fn as_role(aws: &Aws, name: &str, statements: &str) -> (std::sync::Arc<dyn Provider>, String) {
    let trust = policy(r#"{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}"#);
    let role_arn = aws.account.server.role(name, &trust, &policy(statements));
    let (id, secret) = aws.account.server.user("base", &policy(&allow(r#""sts:AssumeRole""#, "*")));
    aws.account.profile("base", (&id, &secret), &aws.proxy.url());
    let role = AssumeRole { role_arn: role_arn.clone(), external_id: None };
    (suite::build(aws.scope_as("base", |settings| settings.assume_role = Some(role))), role_arn)
}

#[test]
fn who_we_are_is_not_known_with_credentials_that_are_refused() {
    run(test_name!(), async |aws| {
        aws.account.profile("changing", ("AKIAIOSFODNN7EXAMPLE", "old"), &aws.account.server.url());
        let provider = suite::build(aws.scope_as("changing", |_| {}));
        expect_error(provider.whoami().await, ErrorKind::CredentialsRejected);
        // The session was given up: keys that were replaced meanwhile are used.
        aws.account.profile("changing", ROOT_KEYS, &aws.account.server.url());
        assert_eq!(provider.whoami().await.unwrap(), format!("{ACCOUNT}:root"));
    });
}

#[test]
fn what_policies_allow_is_yes_and_what_they_deny_is_no() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        aws.put("db-secret", MARK.as_bytes()).await;
        aws.put("other", MARK.as_bytes()).await;
        let statements = format!(
            r#"{},{},{{"Effect":"Deny","Action":"*","Resource":"{SECRETS}/db-secret-*"}}"#,
            ASKING,
            allow(r#""secretsmanager:GetSecretValue""#, &format!("{SECRETS}/db-*")),
        );
        let provider = aws.provider_as("reader", &statements);
        let allowed = one(&*provider, "db").await;
        assert_eq!(allowed.read, Known::Yes, "{}", allowed.why);
        assert!(allowed.why.contains("iam:SimulatePrincipalPolicy of arn:aws:iam::000000000000:user/reader: allowed"));
        // A deny of everything keeps us from describing it too: without its ARN there is no question.
        assert_eq!(one(&*provider, "db-secret").await.read, Known::Unknown);
        let implicit = one(&*provider, "other").await;
        assert_eq!(implicit.read, Known::No, "{}", implicit.why);
        assert!(implicit.why.contains("implicitDeny") && implicit.why.contains("no policy of its own"));
    });
}

#[test]
fn an_explicit_deny_is_no_without_asking_for_the_secret_s_policy() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        let deny = r#"{"Effect":"Deny","Action":"secretsmanager:GetSecretValue","Resource":"*"}"#;
        let provider = aws.provider_as("reader", &read(deny));
        let denied = one(&*provider, "db").await;
        assert_eq!(denied.read, Known::No, "{}", denied.why);
        assert!(denied.why.contains("explicitDeny"), "{}", denied.why);
        assert_eq!(aws.proxy.calls("GetResourcePolicy"), 0);
    });
}

#[test]
fn an_implicit_deny_is_unknown_where_the_secret_has_a_policy_or_it_may_not_be_seen() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        let provider = aws.provider_as("reader", ASKING);
        assert_eq!(one(&*provider, "db").await.read, Known::No);
        let own = r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/reader"},
            "Action":"secretsmanager:GetSecretValue","Resource":"*"}"#;
        aws.account.server.secret_policy("prod/db", &policy(own));
        let unknown = one(&*provider, "db").await;
        assert_eq!(unknown.read, Known::Unknown, "{}", unknown.why);
        suite::current(&*provider, "db").await;

        let blind = aws.provider_as("blind", &ASKING.replace("GetResourcePolicy", "ListSecretVersionIds"));
        let unknown = one(&*blind, "db").await;
        assert_eq!(unknown.read, Known::Unknown);
        assert!(unknown.why.contains("GetResourcePolicy"), "{}", unknown.why);
    });
}

#[test]
fn a_secret_whose_arn_cannot_be_had_is_unknown_and_the_others_are_not() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        aws.put("gone", MARK.as_bytes()).await;
        aws.delete("gone").await;
        let provider = aws.provider_as("reader", &read(&allow(r#""secretsmanager:GetSecretValue""#, "*")));
        let answers = ask(&*provider, None, &["a b", "gone", "db", "none"]).await;
        let known: Vec<_> = answers.iter().map(|answer| answer.read).collect();
        assert_eq!(known, [Known::Unknown, Known::Unknown, Known::Yes, Known::Unknown]);

        let blind = aws.provider_as("blind", &allow(r#""iam:SimulatePrincipalPolicy""#, "*"));
        let unknown = one(&*blind, "db").await;
        assert_eq!(unknown.read, Known::Unknown);
        assert!(unknown.why.contains("DescribeSecret") && unknown.why.contains("AccessDenied"), "{}", unknown.why);
    });
}

#[test]
fn arns_come_with_the_listing_and_cost_no_call_of_their_own() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        let everything = allow(r#""secretsmanager:*""#, "*");
        let provider = aws.provider_as("reader", &read(&everything));
        suite::listing(&*provider).await;
        aws.proxy.forget_calls();
        assert_eq!(one(&*provider, "db").await.read, Known::Yes);
        assert_eq!(aws.proxy.all_calls(), 0, "neither DescribeSecret nor GetResourcePolicy");
    });
}

#[test]
fn who_may_not_simulate_is_told_which_permission_is_lacking() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        let provider = aws.provider_as("reader", &allow(r#""secretsmanager:*""#, "*"));
        let error = expect_error(provider.permissions(None, &[suite::name("db")]).await, ErrorKind::Denied);
        let wanted = "allow iam:SimulatePrincipalPolicy on arn:aws:iam::000000000000:user/reader";
        assert!(error.detail.contains(wanted), "{error}");
    });
}

#[test]
fn root_is_above_its_policies_and_iam_is_not_asked() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        aws.account.profile("root-by-proxy", ROOT_KEYS, &aws.proxy.url());
        let provider = suite::build(aws.scope_as("root-by-proxy", |_| {}));
        let unknown = one(&*provider, "db").await;
        assert_eq!(unknown.read, Known::Unknown);
        assert!(unknown.why.contains("root"), "{}", unknown.why);
        assert_eq!(aws.proxy.calls("SimulatePrincipalPolicy"), 0);
    });
}

#[test]
fn a_role_that_the_scope_takes_on_is_asked_about_as_itself() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        aws.put("other", MARK.as_bytes()).await;
        let only = allow(r#""secretsmanager:GetSecretValue""#, &format!("{SECRETS}/db-??????"));
        let (provider, role_arn) = as_role(&aws, "reader", &read(&only));
        for (name, expected) in [("db", Known::Yes), ("other", Known::No)] {
            let permission = one(&*provider, name).await;
            assert_eq!(permission.read, expected, "{}", permission.why);
            assert!(permission.why.contains(&role_arn), "{}", permission.why);
        }
        suite::current(&*provider, "db").await;
        assert_eq!(aws.proxy.calls("AssumeRole"), 1, "one session of the role for all services");
        assert_eq!(aws.proxy.calls("GetCallerIdentity"), 1, "who we are is remembered");
    });
}

#[test]
fn roles_of_identities_are_asked_about_with_the_scope_s_own_credentials() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        let nobody =
            policy(r#"{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}"#);
        let reader = aws.account.server.role("reader", &nobody, &policy(&allow(r#""secretsmanager:*""#, "*")));
        let stranger = aws.account.server.role("stranger", &nobody, &policy(&allow(r#""s3:*""#, "*")));
        // The daemon itself may read nothing.
        let daemon = aws.provider_as("daemon", ASKING);
        for (arn, expected) in [(&reader, Known::Yes), (&stranger, Known::No)] {
            let answer = ask(&*daemon, Some(&role(arn)), &["db"]).await.remove(0);
            assert_eq!(answer.read, expected, "{}", answer.why);
            assert!(answer.why.contains(arn.as_str()), "{}", answer.why);
        }
        let elsewhere = role("arn:aws:iam::999999999999:role/reader");
        let answer = ask(&*daemon, Some(&elsewhere), &["db"]).await.remove(0);
        assert_eq!(answer.read, Known::Unknown);
        assert!(answer.why.contains("another account"), "{}", answer.why);
    });
}

#[test]
fn a_scope_at_its_own_endpoint_predicts_nothing_unless_iam_s_is_named() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        aws.account.raw_profile("[profile bare]\naws_access_key_id = test\naws_secret_access_key = test\n");
        let provider = suite::build(aws.scope_as("bare", |_| {}));
        for identity in [None, Some(role("arn:aws:iam::000000000000:role/r"))] {
            let unknown = ask(&*provider, identity.as_ref(), &["db"]).await.remove(0);
            assert_eq!(unknown.read, Known::Unknown);
            assert!(unknown.why.contains("AWS_ENDPOINT_URL_IAM"), "{}", unknown.why);
        }
        assert_eq!(aws.proxy.all_calls(), 0, "not even STS is asked");
    });
}

/// A provider that may read `db` and whose IAM is behind the proxy.
async fn behind_proxy(aws: &Aws) -> std::sync::Arc<dyn Provider> {
    aws.put("db", MARK.as_bytes()).await;
    let (id, secret) = aws.account.server.user("reader", &policy(&read(&allow(r#""secretsmanager:*""#, "*"))));
    aws.account.profile("reader", (&id, &secret), &aws.proxy.url());
    let mut scope = aws.scope_as("reader", |_| {});
    scope.cache.timeout = Duration::from_secs(20);
    suite::build(scope)
}

#[test]
fn an_iam_that_fails_is_the_error_that_it_is() {
    run(test_name!(), async |aws| {
        let provider = behind_proxy(&aws).await;
        let names = [suite::name("db")];
        let error = |code: &str| {
            format!("<ErrorResponse><Error><Code>{code}</Code><Message>m</Message></Error></ErrorResponse>")
        };
        let answer = |status, body: String| Fault::Answer { status, headers: vec!["Retry-After: 7".into()], body };
        let faults = [
            (answer(400, error("Throttling")), ErrorKind::Throttled),
            (answer(503, "<html>".into()), ErrorKind::Unreachable),
            (answer(500, error("PolicyEvaluation")), ErrorKind::Unreachable),
            (answer(403, error("AccessDenied")), ErrorKind::Denied),
            (answer(400, error("InvalidInput")), ErrorKind::Malformed),
            (Fault::CutBody, ErrorKind::Unreachable),
            (Fault::Huge { bytes: 20 << 20 }, ErrorKind::TooLarge),
        ];
        for (fault, kind) in faults {
            aws.proxy.set("SimulatePrincipalPolicy", fault);
            let error = expect_error(provider.permissions(None, &names).await, kind);
            if kind == ErrorKind::Throttled {
                assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
            }
        }
        aws.proxy.set("SimulatePrincipalPolicy", answer(403, error("InvalidClientTokenId")));
        expect_error(provider.permissions(None, &names).await, ErrorKind::CredentialsRejected);
        aws.proxy.set("SimulatePrincipalPolicy", answer(404, error("NoSuchEntity")));
        let unknown = one(&*provider, "db").await;
        assert_eq!(unknown.read, Known::Unknown);
        assert!(unknown.why.contains("no such user or role"), "{}", unknown.why);
        aws.proxy.set("SimulatePrincipalPolicy", Fault::Pass);
        assert_eq!(one(&*provider, "db").await.read, Known::Yes, "it recovers");
    });
}

#[test]
fn an_iam_that_is_not_there_or_silent_is_an_outage() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        let closed = ports::free_address();
        let (id, secret) = aws.account.server.user("reader", &policy(ASKING));
        aws.account.profile_with_iam("reader", (&id, &secret), &aws.account.server.url(), &format!("http://{closed}"));
        let names = [suite::name("db")];
        let provider = suite::build(aws.scope_as("reader", |_| {}));
        expect_error(provider.permissions(None, &names).await, ErrorKind::Unreachable);

        aws.account.profile("silent", (&id, &secret), &aws.proxy.url());
        aws.proxy.set("SimulatePrincipalPolicy", Fault::Hang);
        let mut scope = aws.scope_as("silent", |_| {});
        scope.cache.timeout = Duration::from_secs(2);
        expect_error(suite::build(scope).permissions(None, &names).await, ErrorKind::TimedOut);
    });
}

#[test]
fn an_answer_of_iam_that_cannot_be_understood_is_malformed_and_never_quoted() {
    run(test_name!(), async |aws| {
        let provider = behind_proxy(&aws).await;
        let odd = [
            format!("<html>{MARK}</html>"),
            format!("{{\"{MARK}\":1}}"),
            format!("<SimulatePrincipalPolicyResponse><{MARK}"),
            "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult>".into(),
            String::new(),
        ];
        for body in odd {
            aws.proxy.set("SimulatePrincipalPolicy", Fault::body(&body));
            expect_error(provider.permissions(None, &[suite::name("db")]).await, ErrorKind::Malformed);
        }
    });
}

/// One page that says of these secrets what it is told to.
fn page(results: &[(&str, &str)], marker: Option<&str>) -> Fault {
    let member = |(arn, decision): &(&str, &str)| {
        format!("<member><EvalResourceName>{arn}</EvalResourceName><EvalDecision>{decision}</EvalDecision></member>")
    };
    let members: String = results.iter().map(member).collect();
    let more = marker.map_or(String::new(), |text| format!("<IsTruncated>true</IsTruncated><Marker>{text}</Marker>"));
    Fault::body(&format!(
        "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult>{more}<EvaluationResults>{members}\
         </EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
    ))
}

#[test]
fn a_secret_that_the_answer_leaves_out_is_unknown_and_an_endless_answer_ends() {
    run(test_name!(), async |aws| {
        let provider = behind_proxy(&aws).await;
        aws.proxy.set(
            "SimulatePrincipalPolicy",
            page(&[("arn:of-another", "explicitDeny"), ("*", "explicitDeny")], Some("m")),
        );
        let unknown = one(&*provider, "db").await;
        assert_eq!(unknown.read, Known::Unknown);
        assert!(unknown.why.contains("leaves this secret out"), "{}", unknown.why);
        assert_eq!(aws.proxy.calls("SimulatePrincipalPolicy"), 2, "the same marker again is the end");
    });
}

#[test]
fn what_policies_ask_of_single_secrets_is_asked_again_those_with_the_same_tags_together() {
    run(test_name!(), async |aws| {
        let teams = [("a", Some("data")), ("b", Some("data")), ("c", Some("web")), ("d", None), ("e", Some("data"))];
        for (name, team) in teams {
            aws.put(name, MARK.as_bytes()).await;
            if let Some(team) = team {
                aws.account.tag(&format!("prod/{name}"), "team", team).await;
            }
        }
        let by_team = r#"{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*",
            "Condition":{"StringEquals":{"aws:ResourceTag/team":"data"}}}"#;
        let (provider, iam) = with_full_iam(&aws, by_team).await;
        let names = teams.map(|(name, _)| name);
        let answers = ask(&*provider, None, &names).await;
        let known: Vec<_> = answers.iter().map(|answer| answer.read).collect();
        assert_eq!(known, [Known::Yes, Known::Yes, Known::No, Known::Unknown, Known::Yes]);
        assert!(answers[3].why.contains("aws:ResourceTag/team"), "{}", answers[3].why);
        assert_eq!(iam.proxy.calls("SimulatePrincipalPolicy"), 3, "all, those of data, those of web");
    });
}

/// An IAM that does all that AWS does, for one user, and a proxy in front of it. MiniStack answers about one
/// secret of a question only, and without tags.
struct FullIam {
    proxy: FaultProxy,
    _server: SecondOpinion,
}

/// A provider with the keys of a new user `reader`, whom that IAM knows with this statement.
async fn with_full_iam(aws: &Aws, statement: &str) -> (std::sync::Arc<dyn Provider>, FullIam) {
    aws.put("asked", MARK.as_bytes()).await;
    let question = serde_json::json!([{
        "principal": format!("{ACCOUNT}:user/reader"), "boundary": null, "context": {},
        "policies": [serde_json::from_str::<serde_json::Value>(&policy(statement)).unwrap()],
        "resource": aws.account.arn("prod/asked").await,
    }]);
    let server = SecondOpinion::on(&question);
    let proxy = FaultProxy::start(server.address());
    let asking = allow(
        r#"["secretsmanager:ListSecrets","secretsmanager:DescribeSecret","secretsmanager:GetResourcePolicy"]"#,
        "*",
    );
    let (id, secret) = aws.account.server.user("reader", &policy(&asking));
    aws.account.profile_with_iam("reader", (&id, &secret), &aws.account.server.url(), &proxy.url());
    (suite::build(aws.scope_as("reader", |_| {})), FullIam { proxy, _server: server })
}

#[test]
fn a_hundred_and_fifty_secrets_take_two_questions_and_each_gets_its_own_answer() {
    run(test_name!(), async |aws| {
        let names: Vec<String> = (0..150).map(|number| format!("s{number}")).collect();
        aws.put_all(&names, MARK.as_bytes()).await;
        let some = format!(
            r#"{{"Effect":"Allow","Action":"secretsmanager:*","NotResource":"{SECRETS}/s?7-*"}},
            {{"Effect":"Deny","Action":"*","Resource":"{SECRETS}/s1?-*"}}"#
        );
        let (provider, iam) = with_full_iam(&aws, &some).await;
        suite::listing(&*provider).await;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let answers = ask(&*provider, None, &names).await;
        for (name, answer) in names.iter().zip(answers) {
            let denied = name.len() == 3 && (name.ends_with('7') || name.starts_with("s1"));
            assert_eq!(answer.read, if denied { Known::No } else { Known::Yes }, "{name}: {}", answer.why);
        }
        assert_eq!(iam.proxy.calls("SimulatePrincipalPolicy"), 2);
        assert_eq!(aws.proxy.calls("DescribeSecret"), 0);
        assert_eq!(aws.proxy.calls("GetResourcePolicy"), 8, "for s27, s37 … s97");
        assert!(ask(&*provider, None, &[]).await.is_empty());
    });
}

#[test]
fn what_is_said_of_many_secrets_together_is_said_of_none_of_them() {
    run(test_name!(), async |aws| {
        let provider = behind_proxy(&aws).await;
        aws.put("other", MARK.as_bytes()).await;
        let arns = [aws.account.arn("prod/db").await, aws.account.arn("prod/other").await];
        aws.proxy
            .set("SimulatePrincipalPolicy", page(&arns.each_ref().map(|arn| (arn.as_str(), "explicitDeny")), None));
        // Asked about alone, each of them is what the question is about.
        let both = ask(&*provider, None, &["db", "other"]).await;
        let known: Vec<_> = both.iter().map(|answer| answer.read).collect();
        assert_eq!(known, [Known::No, Known::No]);
        assert_eq!(aws.proxy.calls("SimulatePrincipalPolicy"), 3);
    });
}
