//! Kubernetes when the server, the network or something in between misbehaves; and how many calls reads cost.

use std::sync::Arc;
use std::time::Duration;

use hushfs::config::KubernetesAuth;
use hushfs::provider::{Error, ErrorKind, Fetched, Provider, VersionSelector};

use crate::kubernetes::{Kube, run, secrets};
use crate::suite::{self, Fixture, MARK, expect_error};
use crate::support::fault_proxy::Fault;
use crate::support::ports;
use crate::test_name;

async fn fetch(provider: &dyn Provider) -> Result<Fetched, Error> {
    provider.fetch(&suite::name("db"), &VersionSelector::Current).await
}

/// A provider with the Secret `prod-db`, whose every call goes like `fault`.
async fn with_fault(kube: &Kube, fault: Fault) -> Arc<dyn Provider> {
    kube.put("db", MARK.as_bytes()).await;
    kube.proxy.set("*", fault);
    suite::provider(kube)
}

fn answer(status: u16, body: &str) -> Fault {
    Fault::Answer { status, headers: vec!["Retry-After: 7".into()], body: body.into() }
}

fn status(code: u16, reason: &str) -> Fault {
    let body = format!(
        r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","message":"says the test","reason":"{reason}","code":{code}}}"#
    );
    answer(code, &body)
}

/// Reads, listings, looks and all else fail like that.
async fn all_fail(provider: &dyn Provider, kind: ErrorKind) -> Error {
    expect_error(provider.list().await, kind);
    expect_error(provider.look(&suite::name("db")).await, kind);
    expect_error(provider.permissions(None, &[suite::name("db")]).await, kind);
    expect_error(provider.whoami().await, kind);
    let watch = provider.watch(&|_| {}).expect("it watches").await;
    expect_error(watch, kind);
    expect_error(fetch(provider).await, kind)
}

#[test]
fn answers_that_are_no_values_are_told_apart() {
    run(test_name!(), async |kube| {
        let provider = with_fault(&kube, status(429, "TooManyRequests")).await;
        let error = all_fail(&*provider, ErrorKind::Throttled).await;
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        assert!(error.detail.contains("says the test") && error.detail.contains("prod-db"), "{error}");
        for fault in [
            status(500, "InternalError"),
            status(503, "ServiceUnavailable"),
            answer(502, &format!("<html>{MARK}</html>")),
            answer(307, ""),
        ] {
            kube.proxy.set("*", fault);
            all_fail(&*provider, ErrorKind::Unreachable).await;
        }
        kube.proxy.set("*", status(401, "Unauthorized"));
        all_fail(&*provider, ErrorKind::CredentialsRejected).await;
        kube.proxy.set("*", Fault::CutBody);
        all_fail(&*provider, ErrorKind::Unreachable).await;
        // A server that had a bad moment is asked again, and has the value.
        kube.proxy.set("*", Fault::Pass);
        fetch(&*provider).await.expect("a value");
    });
}

#[test]
fn no_answer_and_no_server_are_outages_within_the_timeout() {
    run(test_name!(), async |kube| {
        kube.proxy.set("*", Fault::Hang);
        let mut scope = kube.scope();
        scope.cache.timeout = Duration::from_millis(500);
        // Without its own deadline it would hang for good, and the test with it.
        all_fail(&*suite::build(scope), ErrorKind::TimedOut).await;

        let closed = ports::free_address();
        for address in [format!("http://{closed}"), format!("https://{closed}"), "https://no-such-host.invalid".into()]
        {
            let provider = suite::build(kube.scope_with(|settings| settings.endpoint_url = Some(address)));
            all_fail(&*provider, ErrorKind::Unreachable).await;
        }
    });
}

#[test]
fn an_answer_that_cannot_be_understood_is_malformed_and_never_quoted() {
    run(test_name!(), async |kube| {
        let provider = with_fault(&kube, Fault::Pass).await;
        let one = secrets("/prod-db");
        let meta = r#""metadata":{"name":"prod-db","resourceVersion":"7"}"#;
        for body in [
            format!("<html>{MARK}</html>"),
            format!(r#"{{"kind":"Secret",{meta},"data":{{"value":"{MARK}!"}}}}"#),
            format!(r#"{{"kind":"Secret",{meta},"data":["{MARK}"]}}"#),
            format!(r#"{{"kind":"ConfigMap",{meta},"data":{{"value":"{MARK}"}}}}"#),
            format!(
                r#"{{"kind":"Secret","metadata":{{"name":"another","resourceVersion":"7"}},"data":{{"a":"{MARK}"}}}}"#
            ),
            format!(r#"{{"kind":"Secret","metadata":{{"name":"prod-db"}},"data":{{"a":"{MARK}"}}}}"#),
            format!(r#"{{"kind":"Secret",{meta},"data":{{"value":"{MARK}"#),
            "{}".into(),
            "[]".into(),
            "null".into(),
            String::new(),
        ] {
            kube.proxy.set(&one, Fault::body(&body));
            expect_error(fetch(&*provider).await, ErrorKind::Malformed);
        }
        // What is no answer of the API says nothing of whether there is such a secret.
        for status in [400, 404, 405, 418] {
            kube.proxy.set(&one, answer(status, &format!("<html>{MARK}</html>")));
            expect_error(fetch(&*provider).await, ErrorKind::Malformed);
        }
        let endless = r#"{"metadata":{"resourceVersion":"1","continue":"c"},"items":[{"metadata":{"name":"prod-a"}}]}"#;
        let empty = r#"{"metadata":{"resourceVersion":"1","continue":"c"},"items":[]}"#;
        for body in [&format!("<html>{MARK}</html>"), r#"{"items":[]}"#, "[]", endless, empty] {
            kube.proxy.set(&secrets(""), Fault::body(body));
            expect_error(provider.list().await, ErrorKind::Malformed);
        }
    });
}

#[test]
fn an_answer_far_over_the_limit_is_too_large_and_not_taken_into_memory() {
    run(test_name!(), async |kube| {
        let provider = with_fault(&kube, Fault::Pass).await;
        fetch(&*provider).await.expect("a first read");
        kube.proxy.set(&secrets("/prod-db"), Fault::Huge { bytes: 100 << 20 });
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
fn a_server_that_another_authority_vouches_for_is_not_spoken_to() {
    run(test_name!(), async |kube| {
        kube.put("db", MARK.as_bytes()).await;
        let (url, own) = (kube.cluster.url(), kube.cluster.ca_file());
        let other = crate::support::tls::Terminator::start(kube.cluster.address());
        let build = |ca_file| {
            suite::build(kube.scope_with(|settings| {
                settings.endpoint_url = Some(url.clone());
                settings.ca_file = ca_file;
            }))
        };
        fetch(&*build(Some(own))).await.expect("a value, over TLS");
        for ca_file in [None, Some(other.ca_file())] {
            let error = all_fail(&*build(ca_file), ErrorKind::Unreachable).await;
            assert!(error.detail.contains("ertificate"), "{error}");
        }
    });
}

#[test]
fn a_read_is_one_call_and_a_look_another() {
    run(test_name!(), async |kube| {
        let provider = with_fault(&kube, Fault::Pass).await;
        for _ in 0..3 {
            fetch(&*provider).await.expect("a value");
        }
        assert_eq!(kube.proxy.all_calls(), 3);
        suite::look(&*provider, "db").await;
        assert_eq!(kube.proxy.calls(&secrets("/prod-db")), 4);
        // Nothing that never had a name costs a call.
        expect_error(provider.fetch(&suite::name("a/b"), &VersionSelector::Current).await, ErrorKind::NotFound);
        assert_eq!(kube.proxy.all_calls(), 4);
    });
}

#[test]
fn settings_that_can_never_work_are_told_before_any_call() {
    run(test_name!(), async |kube| {
        let scope = kube.scope_with(|settings| settings.labels = Some("a b".into()));
        let Err(error) = hushfs::provider::registry::build(&scope, None) else { panic!("built") };
        assert_eq!(error.kind, ErrorKind::Malformed);
        let none = KubernetesAuth::Token { token_file: kube.cluster.folder().join("none") };
        let provider = suite::build(kube.scope_with(|settings| settings.auth = none));
        let error = expect_error(fetch(&*provider).await, ErrorKind::CredentialsRejected);
        assert!(error.detail.contains("token_file"), "{error}");
        assert_eq!(kube.proxy.all_calls(), 0);
    });
}
