//! AWS Secrets Manager when the service, the network or something in between misbehaves; and how many
//! calls reads cost.

use std::sync::Arc;
use std::time::Duration;

use hushfs::provider::{Error, ErrorKind, Fetched, Known, Provider, VersionSelector};
use tokio::task::JoinSet;

use crate::aws::{Aws, SECRETS, allow, run};
use crate::suite::{self, Fixture, MARK, expect_error};
use crate::support::fault_proxy::Fault;
use crate::support::ports;
use crate::test_name;

async fn fetch(provider: &dyn Provider) -> Result<Fetched, Error> {
    provider.fetch(&suite::name("db"), &VersionSelector::Current).await
}

/// A provider on an account with the secret `db`, whose every call goes like `fault`.
async fn with_fault(aws: &Aws, fault: Fault) -> Arc<dyn Provider> {
    aws.put("db", MARK.as_bytes()).await;
    aws.proxy.set("*", fault);
    suite::provider(aws)
}

/// Reads, listings and looks all fail like that.
async fn all_fail(provider: &dyn Provider, kind: ErrorKind) -> Error {
    expect_error(provider.list().await, kind);
    expect_error(provider.look(&suite::name("db")).await, kind);
    expect_error(fetch(provider).await, kind)
}

#[test]
fn throttling_is_throttled_and_carries_the_wait_that_was_asked_for() {
    run(test_name!(), async |aws| {
        let Fault::Answer { status, body, .. } = Fault::error(400, "ThrottlingException") else { unreachable!() };
        let provider = with_fault(&aws, Fault::Answer { status, headers: vec!["Retry-After: 7".into()], body }).await;
        let error = all_fail(&*provider, ErrorKind::Throttled).await;
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    });
}

#[test]
fn half_of_an_answer_about_a_name_is_none_while_the_other_half_is_throttled() {
    run(test_name!(), async |aws| {
        let provider = with_fault(&aws, Fault::Pass).await;
        for half in ["DescribeSecret", "ListSecrets"] {
            aws.proxy.set(half, Fault::error(400, "ThrottlingException"));
            expect_error(provider.look(&suite::name("db")).await, ErrorKind::Throttled);
            aws.proxy.set(half, Fault::Pass);
        }
        assert!(provider.look(&suite::name("db")).await.is_ok());
    });
}

#[test]
fn a_server_error_is_unreachable() {
    run(test_name!(), async |aws| {
        let provider = with_fault(&aws, Fault::error(500, "InternalServiceError")).await;
        all_fail(&*provider, ErrorKind::Unreachable).await;
        let page = Fault::Answer { status: 503, headers: Vec::new(), body: format!("<html>{MARK}</html>") };
        aws.proxy.set("*", page);
        all_fail(&*provider, ErrorKind::Unreachable).await;
        aws.proxy.set("*", Fault::Pass);
        assert!(fetch(&*provider).await.is_ok(), "it recovers");
    });
}

#[test]
fn a_refused_connection_is_unreachable() {
    run(test_name!(), async |aws| {
        let closed = ports::free_address();
        let scope = aws.scope_as("root", |settings| settings.endpoint_url = Some(format!("http://{closed}")));
        all_fail(&*suite::build(scope), ErrorKind::Unreachable).await;
    });
}

#[test]
fn no_answer_is_timed_out_by_the_provider_itself() {
    run(test_name!(), async |aws| {
        aws.proxy.set("*", Fault::Hang);
        let mut scope = aws.scope();
        scope.cache.timeout = Duration::from_millis(500);
        let provider = suite::build(scope);
        // Without its own deadline it would hang for good, and the test with it.
        all_fail(&*provider, ErrorKind::TimedOut).await;
    });
}

#[test]
fn any_timeout_is_survived() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        let build = |timeout| {
            let mut scope = aws.scope();
            scope.cache.timeout = timeout;
            suite::build(scope)
        };
        assert!(fetch(&*build(Duration::MAX)).await.is_ok());
        // Timers are coarse: a fast answer could still be in time.
        aws.proxy.set("*", Fault::Hang);
        for timeout in [Duration::ZERO, Duration::from_nanos(1)] {
            expect_error(fetch(&*build(timeout)).await, ErrorKind::TimedOut);
        }
    });
}

#[test]
fn an_answer_that_breaks_off_is_unreachable() {
    run(test_name!(), async |aws| {
        let provider = with_fault(&aws, Fault::CutBody).await;
        all_fail(&*provider, ErrorKind::Unreachable).await;
    });
}

#[test]
fn an_answer_that_cannot_be_understood_is_malformed_and_never_quoted() {
    run(test_name!(), async |aws| {
        let provider = with_fault(&aws, Fault::Pass).await;
        let odd = [
            format!("<html>{MARK}</html>"),
            format!(r#"{{"SecretString":{{"{MARK}":1}},"VersionId":"v"}}"#),
            format!(r#"{{"SecretString":["{MARK}"],"VersionId":"v"}}"#),
            format!(r#"{{"SecretString":"{MARK}","VersionId":{{}}}}"#),
            format!(r#"{{"SecretString":"{MARK}"}}"#),
            format!(r#"{{"SecretBinary":"{MARK}!","VersionId":"v"}}"#),
            format!(r#"{{"SecretString":"{MARK}\ud800","VersionId":"v"}}"#),
            format!(r#"{{"SecretString":"{MARK}"#),
            r#"{"VersionId":"v"}"#.into(),
            "{}".into(),
            "[]".into(),
            "null".into(),
            String::new(),
        ];
        for body in odd {
            aws.proxy.set("GetSecretValue", Fault::body(&body));
            expect_error(fetch(&*provider).await, ErrorKind::Malformed);
        }
        for body in [format!("<html>{MARK}</html>"), r#"{"SecretList":{}}"#.into()] {
            aws.proxy.set("ListSecrets", Fault::body(&body));
            expect_error(provider.list().await, ErrorKind::Malformed);
        }
    });
}

#[test]
fn an_answer_without_a_list_does_not_say_that_nothing_is_there() {
    run(test_name!(), async |aws| {
        let provider = with_fault(&aws, Fault::Pass).await;
        aws.proxy.set("ListSecrets", Fault::body("{}"));
        expect_error(provider.list().await, ErrorKind::Malformed);
        assert_eq!(suite::look(&*provider, "db").await.children, Known::Unknown);
        aws.proxy.set("ListSecrets", Fault::body(r#"{"SecretList":[]}"#));
        assert!(suite::listing(&*provider).await.secrets.is_empty());
    });
}

#[test]
fn an_answer_about_no_secret_or_another_does_not_say_that_the_secret_is_there() {
    run(test_name!(), async |aws| {
        let provider = with_fault(&aws, Fault::Pass).await;
        for body in ["{}", "", r#"{"Name":"prod/other","ARN":"arn:aws:secretsmanager:us-east-1:1:secret:prod/other"}"#]
        {
            aws.proxy.set("DescribeSecret", Fault::body(body));
            assert_eq!(suite::look(&*provider, "db").await.secret, Known::Unknown, "{body}");
        }
    });
}

#[test]
fn a_listing_whose_pages_go_round_in_circles_ends() {
    run(test_name!(), async |aws| {
        let provider = with_fault(&aws, Fault::Pass).await;
        let page = |next: &str| Fault::body(&format!(r#"{{"SecretList":[{{"Name":"prod/x"}}],"NextToken":"{next}"}}"#));
        aws.proxy.set_in_turn("ListSecrets", ["a", "b", "c"].map(page));
        expect_error(provider.list().await, ErrorKind::Malformed);
        assert_eq!(aws.proxy.calls("ListSecrets"), 4);
    });
}

#[test]
fn an_endless_listing_ends() {
    run(test_name!(), async |aws| {
        let provider = with_fault(&aws, Fault::body(r#"{"SecretList":[],"NextToken":"again"}"#)).await;
        // The same token for ever: whatever it says, it returns.
        let _ = provider.list().await;
        assert!(aws.proxy.calls("ListSecrets") < 10);
    });
}

#[test]
fn an_answer_far_over_the_limit_is_too_large_and_not_taken_into_memory() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        let provider = suite::provider(&aws);
        fetch(&*provider).await.expect("a first read");
        aws.proxy.set("GetSecretValue", Fault::Huge { bytes: 100 << 20 });
        let before = peak_memory();
        expect_error(fetch(&*provider).await, ErrorKind::TooLarge);
        let more = peak_memory() - before;
        assert!(more < 64 << 20, "{} MiB more at the peak", more >> 20);
    });
}

/// The most memory that this process has ever had, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn silence_of_sts_is_an_outage_and_not_a_refusal() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        aws.account.profile("through-proxy", ("test", "test"), &aws.proxy.url());
        let role =
            hushfs::config::AssumeRole { role_arn: "arn:aws:iam::000000000000:role/r".into(), external_id: None };
        let build = |timeout| {
            let mut scope = aws.scope_as("through-proxy", |settings| settings.assume_role = Some(role.clone()));
            scope.cache.timeout = timeout;
            suite::build(scope)
        };
        aws.proxy.set("AssumeRole", Fault::Answer { status: 503, headers: Vec::new(), body: "<html>".into() });
        expect_error(fetch(&*build(Duration::from_secs(60))).await, ErrorKind::Unreachable);
        let busy = "<ErrorResponse><Error><Code>Throttling</Code><Message>busy</Message></Error></ErrorResponse>";
        aws.proxy.set("AssumeRole", Fault::Answer { status: 400, headers: Vec::new(), body: busy.into() });
        expect_error(fetch(&*build(Duration::from_secs(60))).await, ErrorKind::Throttled);
        aws.proxy.set("AssumeRole", Fault::Hang);
        expect_error(fetch(&*build(Duration::from_millis(500))).await, ErrorKind::TimedOut);
    });
}

#[test]
fn a_lone_read_is_one_call() {
    run(test_name!(), async |aws| {
        let provider = with_fault(&aws, Fault::Pass).await;
        fetch(&*provider).await.unwrap();
        assert_eq!((aws.proxy.calls("GetSecretValue"), aws.proxy.all_calls()), (1, 1));
    });
}

/// Fetches all of `names` at once; each with what it gave.
async fn fetch_at_once(provider: &Arc<dyn Provider>, names: &[String]) -> Vec<(String, Result<Fetched, Error>)> {
    let mut reads = JoinSet::new();
    for name in names.iter().cloned() {
        let provider = Arc::clone(provider);
        reads.spawn(async move {
            let fetched = provider.fetch(&suite::name(&name), &VersionSelector::Current).await;
            (name, fetched)
        });
    }
    reads.join_all().await
}

/// Secrets `s0`, `s1` … with their own name as their value.
async fn secrets(aws: &Aws, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|n| format!("s{n}")).collect();
    for name in &names {
        aws.put(name, name.as_bytes()).await;
    }
    names
}

fn assert_each_got_its_own(answers: Vec<(String, Result<Fetched, Error>)>) {
    for (name, answer) in answers {
        let fetched = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(fetched.payload.raw.expose() == name.as_bytes(), "{name} got another's value");
    }
}

#[test]
fn a_hundred_reads_at_once_share_calls() {
    run(test_name!(), async |aws| {
        let names = secrets(&aws, 100).await;
        let provider = suite::provider(&aws);
        assert_each_got_its_own(fetch_at_once(&provider, &names).await);
        let (single, batch) = (aws.proxy.calls("GetSecretValue"), aws.proxy.calls("BatchGetSecretValue"));
        assert!(batch > 0 && single + batch <= 20, "{single} single calls and {batch} batches");
        // Afterwards a lone read is again a call of its own.
        aws.proxy.forget_calls();
        suite::current(&*provider, "s1").await;
        assert_eq!((aws.proxy.calls("GetSecretValue"), aws.proxy.all_calls()), (1, 1));
    });
}

#[test]
fn one_bad_secret_of_a_batch_fails_alone() {
    run(test_name!(), async |aws| {
        let mut names = secrets(&aws, 40).await;
        aws.put("deleted", MARK.as_bytes()).await;
        aws.delete("deleted").await;
        names.extend(["none".to_owned(), "deleted".to_owned()]);
        let provider = suite::provider(&aws);
        let (bad, good): (Vec<_>, Vec<_>) =
            fetch_at_once(&provider, &names).await.into_iter().partition(|(name, _)| !name.starts_with('s'));
        assert_each_got_its_own(good);
        assert_eq!(bad.len(), 2);
        for (_, answer) in bad {
            expect_error(answer, ErrorKind::NotFound);
        }
        assert!(aws.proxy.calls("BatchGetSecretValue") > 0);
    });
}

#[test]
fn a_refusal_inside_a_batch_is_denied_and_no_other_read_is() {
    run(test_name!(), async |aws| {
        let mut names = secrets(&aws, 40).await;
        aws.put("other", MARK.as_bytes()).await;
        names.push("other".into());
        let statements = format!(
            "{},{}",
            allow(r#""secretsmanager:BatchGetSecretValue""#, "*"),
            allow(r#""secretsmanager:GetSecretValue""#, &format!("{SECRETS}/s*"))
        );
        let provider = aws.provider_as("reader", &statements);
        let (refused, read): (Vec<_>, Vec<_>) =
            fetch_at_once(&provider, &names).await.into_iter().partition(|(name, _)| name == "other");
        assert_each_got_its_own(read);
        for (_, answer) in refused {
            expect_error(answer, ErrorKind::Denied);
        }
        assert!(aws.proxy.calls("BatchGetSecretValue") > 0);
    });
}

#[test]
fn a_version_that_aws_calls_invalid_is_not_there() {
    run(test_name!(), async |aws| {
        let provider = with_fault(&aws, Fault::error(400, "InvalidParameterException")).await;
        let version = VersionSelector::Named("odd label".into());
        expect_error(provider.fetch(&suite::name("db"), &version).await, ErrorKind::NotFound);
        expect_error(fetch(&*provider).await, ErrorKind::Malformed);
    });
}

#[test]
fn where_batches_are_refused_reads_go_singly_and_batches_are_left_alone() {
    run(test_name!(), async |aws| {
        let names = secrets(&aws, 40).await;
        aws.proxy.set("BatchGetSecretValue", Fault::error(400, "AccessDeniedException"));
        let provider = suite::provider(&aws);
        assert_each_got_its_own(fetch_at_once(&provider, &names).await);
        aws.proxy.forget_calls();
        assert_each_got_its_own(fetch_at_once(&provider, &names).await);
        assert_eq!((aws.proxy.calls("GetSecretValue"), aws.proxy.all_calls()), (40, 40));
    });
}

#[test]
fn what_a_batch_leaves_out_is_asked_for_singly() {
    run(test_name!(), async |aws| {
        let names = secrets(&aws, 30).await;
        aws.proxy.set("BatchGetSecretValue", Fault::body(r#"{"SecretValues":[],"Errors":[]}"#));
        let provider = suite::provider(&aws);
        assert_each_got_its_own(fetch_at_once(&provider, &names).await);
    });
}

#[test]
fn an_outage_reaches_every_read_of_a_batch() {
    run(test_name!(), async |aws| {
        let names = secrets(&aws, 30).await;
        aws.proxy.set("*", Fault::error(503, "ServiceUnavailable"));
        let provider = suite::provider(&aws);
        for (_, answer) in fetch_at_once(&provider, &names).await {
            expect_error(answer, ErrorKind::Unreachable);
        }
    });
}

/// Starts reads of `names` and gives them up once `operation` was called `calls` times.
async fn give_up_reads(aws: &Aws, provider: &Arc<dyn Provider>, names: &[String], operation: &str, calls: usize) {
    let hanging = async {
        while aws.proxy.calls(operation) < calls {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = fetch_at_once(provider, names) => panic!("reads that should hang were answered"),
        () = hanging => {}
    }
}

#[test]
fn readers_that_leave_do_not_keep_others_waiting() {
    run(test_name!(), async |aws| {
        let names = secrets(&aws, 100).await;
        let mut scope = aws.scope();
        // Nothing but the readers' leaving ends a hanging call.
        scope.cache.timeout = Duration::MAX;
        let provider = suite::build(scope);
        for (operation, calls) in [("GetSecretValue", 4), ("BatchGetSecretValue", 4)] {
            aws.proxy.forget_calls();
            aws.proxy.set(operation, Fault::Hang);
            give_up_reads(&aws, &provider, &names, operation, calls).await;
            aws.proxy.set(operation, Fault::Pass);
            let again = fetch_at_once(&provider, &names);
            let answers = tokio::time::timeout(Duration::from_secs(60), again).await;
            assert_each_got_its_own(answers.expect("reads wait behind calls that nobody waits for"));
        }
    });
}
