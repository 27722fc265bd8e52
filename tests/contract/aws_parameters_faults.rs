//! AWS Parameter Store when the service or something in between misbehaves; what many reads cost; and references to
//! Secrets Manager, which the emulator does not have.

use std::sync::Arc;
use std::time::Duration;

use hushfs::provider::{Error, ErrorKind, Fetched, Known, Provider, VersionSelector};
use tokio::task::JoinSet;

use crate::aws_parameters::{Parameters, run, texts};
use crate::suite::{self, Fixture, MARK, expect_error};
use crate::support::fault_proxy::Fault;
use crate::test_name;

async fn fetch(provider: &dyn Provider, name: &str) -> Result<Fetched, Error> {
    provider.fetch(&suite::name(name), &VersionSelector::Current).await
}

/// Listings, looks, and reads of a directory and of a parameter all fail like that.
async fn all_fail(provider: &dyn Provider, kind: ErrorKind) -> Error {
    expect_error(provider.list().await, kind);
    expect_error(provider.look(&suite::name("lone")).await, kind);
    expect_error(provider.look(&suite::name("dir/in")).await, kind);
    expect_error(fetch(provider, "dir/in").await, kind);
    let by_version = provider.fetch(&suite::name("lone"), &VersionSelector::Named("1".into())).await;
    expect_error(by_version, kind);
    expect_error(fetch(provider, "lone").await, kind)
}

/// With a parameter and a directory.
async fn provider(aws: &Parameters) -> Arc<dyn Provider> {
    aws.put_key("lone", MARK).await;
    aws.put_key("dir/in/KEY", MARK).await;
    suite::provider(aws)
}

#[test]
fn half_of_an_answer_about_a_name_is_none_while_the_other_half_is_throttled() {
    run(test_name!(), async |aws| {
        let provider = provider(&aws).await;
        // Of two calls, each of which is tried twice, one is told so both times, whichever comes first.
        let too_many = || Fault::error(400, "ThrottlingException");
        aws.proxy.set_in_turn("DescribeParameters", [too_many(), too_many(), too_many(), Fault::Pass]);
        for _ in 0..4 {
            expect_error(provider.look(&suite::name("lone")).await, ErrorKind::Throttled);
        }
    });
}

#[test]
fn faults_are_what_they_are_and_a_wait_that_is_asked_for_comes_along() {
    run(test_name!(), async |aws| {
        let provider = provider(&aws).await;
        let Fault::Answer { status, body, .. } = Fault::error(400, "ThrottlingException") else { unreachable!() };
        aws.proxy.set("*", Fault::Answer { status, headers: vec!["Retry-After: 7".into()], body });
        let error = all_fail(&*provider, ErrorKind::Throttled).await;
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        for (fault, kind) in [
            (Fault::error(400, "TooManyUpdates"), ErrorKind::Throttled),
            (Fault::error(400, "InvalidKeyId"), ErrorKind::Denied),
            (Fault::error(400, "InvalidFilterKey"), ErrorKind::Malformed),
            (Fault::error(500, "InternalServerError"), ErrorKind::Unreachable),
            (Fault::error(400, "UnrecognizedClientException"), ErrorKind::CredentialsRejected),
            (Fault::CutBody, ErrorKind::Unreachable),
        ] {
            aws.proxy.set("*", fault);
            if kind == ErrorKind::Denied {
                expect_error(fetch(&*provider, "lone").await, kind);
                expect_error(fetch(&*provider, "dir/in").await, kind);
            } else {
                all_fail(&*provider, kind).await;
            }
        }
        aws.proxy.set("*", Fault::Pass);
        assert_eq!(texts(&fetch(&*provider, "dir/in").await.unwrap()), [("KEY", MARK)]);
    });
}

#[test]
fn a_value_that_cannot_be_decrypted_is_denied_and_the_key_is_named() {
    run(test_name!(), async |aws| {
        let provider = provider(&aws).await;
        let body = r#"{"__type":"InvalidKeyId","message":"key 1234abcd is disabled"}"#;
        aws.proxy.set("GetParameter", Fault::Answer { status: 400, headers: Vec::new(), body: body.into() });
        let error = expect_error(fetch(&*provider, "lone").await, ErrorKind::Denied);
        assert!(error.detail.contains("InvalidKeyId: key 1234abcd is disabled"), "{error}");
    });
}

#[test]
fn an_answer_that_cannot_be_understood_is_malformed_and_never_quoted() {
    run(test_name!(), async |aws| {
        let provider = provider(&aws).await;
        suite::listing(&*provider).await;
        let odd = [
            format!("<html>{MARK}</html>"),
            format!(r#"{{"Parameter":"{MARK}","Parameters":"{MARK}"}}"#),
            format!(r#"{{"Parameter":{{"Value":{{"{MARK}":1}}}},"Parameters":[{{"Value":["{MARK}"]}}]}}"#),
            format!(r#"{{"Parameter":{{"Value":"{MARK}"}},"Parameters":[{{"Value":"{MARK}","Version":1}}]}}"#),
            format!(
                r#"{{"Parameter":{{"Value":"{MARK}","Version":-1}},
                   "Parameters":[{{"Name":"/app/prod/dir/in/KEY","Value":"{MARK}"}}]}}"#
            ),
            format!(r#"{{"Parameter":{{"Value":"{MARK}"#),
            r#"{"Parameter":{"Version":1},"Parameters":[{"Name":"/app/prod/dir/in/KEY","Version":1}]}"#.into(),
            "[]".into(),
            String::new(),
        ];
        for body in odd {
            for call in ["GetParameter", "GetParametersByPath"] {
                aws.proxy.set(call, Fault::body(&body));
            }
            expect_error(fetch(&*provider, "lone").await, ErrorKind::Malformed);
            expect_error(fetch(&*provider, "dir/in").await, ErrorKind::Malformed);
        }
        aws.proxy.set("DescribeParameters", Fault::body(&format!(r#"{{"Parameters":{{"{MARK}":1}}}}"#)));
        expect_error(provider.list().await, ErrorKind::Malformed);
    });
}

#[test]
fn a_parameter_from_elsewhere_in_an_answer_is_not_taken_for_a_key() {
    run(test_name!(), async |aws| {
        let provider = provider(&aws).await;
        let one = |name: &str| format!(r#"{{"Name":"{name}","Value":"{MARK}","Version":1}}"#);
        let names = ["/app/prod/dir/in/a/b", "/app/prod/dir/in", "/app/prod/dir/KEY", "/elsewhere/KEY", ""];
        let body = format!(r#"{{"Parameters":[{}]}}"#, names.map(one).join(","));
        aws.proxy.set("GetParametersByPath", Fault::body(&body));
        expect_error(fetch(&*provider, "dir/in").await, ErrorKind::NotFound);
    });
}

#[test]
fn an_endless_answer_ends() {
    run(test_name!(), async |aws| {
        let provider = provider(&aws).await;
        aws.proxy.set("*", Fault::body(r#"{"Parameters":[],"NextToken":"again"}"#));
        // The same token for ever: whatever they say, they return.
        let _ = provider.list().await;
        let _ = provider.look(&suite::name("lone")).await;
        let _ = fetch(&*provider, "dir/in").await;
        assert!(aws.proxy.all_calls() < 30, "{}", aws.proxy.all_calls());
    });
}

#[test]
fn pages_that_go_round_in_circles_end() {
    run(test_name!(), async |aws| {
        let provider = provider(&aws).await;
        let page = |next: &str| {
            let one = r#"{"Name":"/app/prod/dir/in/KEY","Value":"","Version":1}"#;
            Fault::body(&format!(r#"{{"Parameters":[{one}],"NextToken":"{next}"}}"#))
        };
        aws.proxy.set_in_turn("*", ["a", "b", "c"].map(page));
        expect_error(provider.list().await, ErrorKind::Malformed);
        expect_error(fetch(&*provider, "dir/in").await, ErrorKind::Malformed);
        let by_version = provider.fetch(&suite::name("dir/in"), &VersionSelector::Named("1".into())).await;
        expect_error(by_version, ErrorKind::Malformed);
        assert!(aws.proxy.all_calls() < 15, "{}", aws.proxy.all_calls());
    });
}

#[test]
fn keys_without_values_do_not_fill_the_memory() {
    run(test_name!(), async |aws| {
        let mut scope = aws.scope();
        scope.cache.max_secret_bytes = 1000;
        let one = |number| format!(r#"{{"Name":"/app/prod/dir/in/KEY-{number:04}","Value":"","Version":1}}"#);
        let all: Vec<String> = (0..200).map(one).collect();
        aws.proxy.set("GetParametersByPath", Fault::body(&format!(r#"{{"Parameters":[{}]}}"#, all.join(","))));
        expect_error(fetch(&*suite::build(scope), "dir/in").await, ErrorKind::TooLarge);
    });
}

#[test]
fn an_answer_far_over_the_limit_is_too_large() {
    run(test_name!(), async |aws| {
        let provider = provider(&aws).await;
        suite::listing(&*provider).await;
        aws.proxy.set("*", Fault::Huge { bytes: 64 << 20 });
        expect_error(fetch(&*provider, "lone").await, ErrorKind::TooLarge);
        expect_error(fetch(&*provider, "dir/in").await, ErrorKind::TooLarge);
    });
}

#[test]
fn no_answer_is_timed_out_by_the_provider_itself() {
    run(test_name!(), async |aws| {
        provider(&aws).await;
        aws.proxy.set("*", Fault::Hang);
        let mut scope = aws.scope();
        scope.cache.timeout = Duration::from_millis(500);
        all_fail(&*suite::build(scope), ErrorKind::TimedOut).await;
    });
}

async fn fetch_at_once(provider: &Arc<dyn Provider>, names: &[String]) -> Vec<(String, Result<Fetched, Error>)> {
    let mut reads = JoinSet::new();
    for name in names.iter().cloned() {
        let provider = Arc::clone(provider);
        reads.spawn(async move {
            let fetched = fetch(&*provider, &name).await;
            (name, fetched)
        });
    }
    reads.join_all().await
}

#[test]
fn a_hundred_reads_of_parameters_at_once_share_calls_and_one_that_is_gone_fails_alone() {
    run(test_name!(), async |aws| {
        let mut names: Vec<String> = (0..100).map(|n| format!("s{n}")).collect();
        names.push("gone".into());
        for name in &names {
            aws.put_key(name, name).await;
        }
        let provider = suite::provider(&aws);
        suite::listing(&*provider).await;
        aws.account.delete_parameter("/app/prod/gone").await;
        aws.proxy.forget_calls();
        for (name, answer) in fetch_at_once(&provider, &names).await {
            match answer {
                Ok(fetched) => assert_eq!(texts(&fetched), [("value", &*name)]),
                Err(error) => assert!(name == "gone" && error.kind == ErrorKind::NotFound, "{name}: {error}"),
            }
        }
        let (single, batch) = (aws.proxy.calls("GetParameter"), aws.proxy.calls("GetParameters"));
        assert!(batch >= 9 && single + batch <= 25, "{single} single calls and {batch} batches");
        aws.proxy.set("GetParameters", Fault::error(400, "AccessDeniedException"));
        names.pop();
        for (name, answer) in fetch_at_once(&provider, &names).await {
            assert_eq!(texts(&answer.unwrap()), [("value", &*name)]);
        }
    });
}

/// As AWS documents the answer: `SourceResult` is what Secrets Manager answered, the value included.
fn reference() -> Fault {
    let source = serde_json::json!({"ARN": "arn:aws:secretsmanager:us-east-1:1:secret:prod-db-AbCdEf", "Name": "prod-db",
        "VersionId": "11111111-aaaa-bbbb-cccc-123456789012", "SecretString": MARK, "VersionStages": ["AWSCURRENT"]});
    let answer = serde_json::json!({"Parameter": {"Name": "/aws/reference/secretsmanager/prod-db", "Type": "SecureString",
        "Value": format!(r#"{{"USER":"{MARK}"}}"#), "Version": 0, "SourceResult": source.to_string(),
        "LastModifiedDate": 1_526_334_434.743, "ARN": "arn:aws:secretsmanager:us-east-1:1:secret:prod-db-AbCdEf"}});
    Fault::body(&answer.to_string())
}

#[test]
fn a_secret_of_secrets_manager_is_read_by_its_name_and_never_listed() {
    run(test_name!(), async |aws| {
        let provider = aws.at_path("/aws/reference/secretsmanager/");
        aws.proxy.set("GetParameter", reference());
        let fetched = fetch(&*provider, "prod-db").await.unwrap();
        assert!(fetched.payload.keys.is_none(), "the scope's format decides");
        assert!(fetched.payload.raw.expose() == format!(r#"{{"USER":"{MARK}"}}"#).as_bytes());
        let id = "11111111-aaaa-bbbb-cccc-123456789012";
        assert_eq!(fetched.version, id);
        assert!(fetched.source.contains(":secretsmanager:"), "{}", fetched.source);
        let by_id = provider.fetch(&suite::name("prod-db"), &VersionSelector::Named(id.into())).await;
        assert_eq!(by_id.unwrap().version, id);
        for version in [VersionSelector::Named("1".into()), VersionSelector::Previous] {
            expect_error(provider.fetch(&suite::name("prod-db"), &version).await, ErrorKind::NotFound);
        }
        // An empty listing would say that nothing is there.
        expect_error(provider.list().await, ErrorKind::Denied);
        let presence = suite::look(&*provider, "prod-db").await;
        assert_eq!((presence.secret, presence.children), (Known::Unknown, Known::Unknown));
        assert_eq!(aws.proxy.calls("GetParameter"), aws.proxy.all_calls());
        for odd in ["{", r#"{"VersionId":7}"#, MARK] {
            let answer = serde_json::json!({"Parameter": {"Value": MARK, "SourceResult": odd}});
            aws.proxy.set("GetParameter", Fault::body(&answer.to_string()));
            expect_error(fetch(&*provider, "prod-db").await, ErrorKind::Malformed);
        }
    });
}
