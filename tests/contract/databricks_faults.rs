//! Databricks when the service, the network or something in between misbehaves.

use std::sync::Arc;
use std::time::Duration;

use hushfs::config::DatabricksAuth;
use hushfs::provider::{Error, ErrorKind, Fetched, Provider, VersionSelector};

use crate::databricks::{Lake, run};
use crate::suite::{self, Fixture, MARK, expect_error};
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::ports;
use crate::support::tls::Terminator;
use crate::test_name;

async fn fetch(provider: &dyn Provider) -> Result<Fetched, Error> {
    provider.fetch(&suite::name("db"), &VersionSelector::Current).await
}

/// A provider on a workspace with the secret scope `prod-db`, whose every call goes like `fault`.
async fn with_fault(lake: &Lake, fault: Fault) -> Arc<dyn Provider> {
    lake.put("db", MARK.as_bytes()).await;
    lake.proxy.set("*", fault);
    suite::provider(lake)
}

/// Reads, listings and looks all fail like that.
async fn all_fail(provider: &dyn Provider, kind: ErrorKind) -> Error {
    expect_error(provider.list().await, kind);
    expect_error(provider.look(&suite::name("db")).await, kind);
    expect_error(fetch(provider).await, kind)
}

fn complaint(status: u16, code: &str, headers: Vec<String>) -> Fault {
    let body = format!(r#"{{"error_code":"{code}","message":"{code}, says the test"}}"#);
    Fault::Answer { status, headers, body }
}

#[test]
fn throttling_is_throttled_and_carries_the_wait_that_was_asked_for() {
    run(test_name!(), async |lake| {
        let fault = complaint(429, "REQUEST_LIMIT_EXCEEDED", vec!["Retry-After: 7".into()]);
        let error = all_fail(&*with_fault(&lake, fault).await, ErrorKind::Throttled).await;
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    });
}

#[test]
fn a_server_error_is_unreachable() {
    run(test_name!(), async |lake| {
        let provider = with_fault(&lake, complaint(500, "INTERNAL_ERROR", Vec::new())).await;
        all_fail(&*provider, ErrorKind::Unreachable).await;
        let page = Fault::Answer { status: 503, headers: Vec::new(), body: format!("<html>{MARK}</html>") };
        lake.proxy.set("*", page);
        all_fail(&*provider, ErrorKind::Unreachable).await;
        lake.proxy.set("*", Fault::Pass);
        assert!(fetch(&*provider).await.is_ok(), "it recovers");
    });
}

#[test]
fn a_refused_connection_and_a_name_that_is_none_are_unreachable() {
    run(test_name!(), async |lake| {
        let closed = ports::free_address();
        for host in [format!("http://{closed}"), "https://workspace.invalid".into()] {
            let scope = lake.scope_with(|settings| settings.host = Some(host));
            all_fail(&*suite::build(scope), ErrorKind::Unreachable).await;
        }
    });
}

#[test]
fn no_answer_is_timed_out_by_the_provider_itself() {
    run(test_name!(), async |lake| {
        lake.proxy.set("*", Fault::Hang);
        let mut scope = lake.scope();
        scope.cache.timeout = Duration::from_millis(500);
        // Without its own deadline it would hang for good, and the test with it.
        all_fail(&*suite::build(scope), ErrorKind::TimedOut).await;
    });
}

#[test]
fn any_timeout_is_survived() {
    run(test_name!(), async |lake| {
        lake.put("db", MARK.as_bytes()).await;
        let build = |timeout| {
            let mut scope = lake.scope();
            scope.cache.timeout = timeout;
            suite::build(scope)
        };
        assert!(fetch(&*build(Duration::MAX)).await.is_ok());
        // Timers are coarse: a fast answer could still be in time.
        lake.proxy.set("*", Fault::Hang);
        for timeout in [Duration::ZERO, Duration::from_nanos(1)] {
            expect_error(fetch(&*build(timeout)).await, ErrorKind::TimedOut);
        }
    });
}

#[test]
fn an_answer_that_breaks_off_is_unreachable() {
    run(test_name!(), async |lake| {
        all_fail(&*with_fault(&lake, Fault::CutBody).await, ErrorKind::Unreachable).await;
    });
}

#[test]
fn an_answer_that_cannot_be_understood_is_malformed_and_never_quoted() {
    run(test_name!(), async |lake| {
        let provider = with_fault(&lake, Fault::Pass).await;
        for body in [
            format!("<html>{MARK}</html>"),
            format!(r#"{{"key":"value","value":{{"{MARK}":1}}}}"#),
            format!(r#"{{"key":"value","value":"{MARK}"}}"#),
            format!(r#"{{"key":"{MARK}","value":"eA=="}}"#),
            format!(r#"{{"key":"value","value":"{MARK}"#),
            "{}".into(),
            "null".into(),
            String::new(),
        ] {
            lake.proxy.set("secrets/get", Fault::body(&body));
            expect_error(fetch(&*provider).await, ErrorKind::Malformed);
        }
        for body in [format!("<html>{MARK}</html>"), r#"{"scopes":{},"secrets":{}}"#.into(), "[]".into()] {
            lake.proxy.set("*", Fault::body(&body));
            expect_error(provider.list().await, ErrorKind::Malformed);
            expect_error(provider.look(&suite::name("db")).await, ErrorKind::Malformed);
        }
    });
}

#[test]
fn an_error_that_is_new_to_us_is_malformed_and_another_servers_page_is_no_absence() {
    run(test_name!(), async |lake| {
        let provider = with_fault(&lake, complaint(400, "NEVER_HEARD_OF", Vec::new())).await;
        assert!(all_fail(&*provider, ErrorKind::Malformed).await.detail.contains("NEVER_HEARD_OF"));
        let page = Fault::Answer { status: 404, headers: Vec::new(), body: format!("<html>{MARK}</html>") };
        lake.proxy.set("*", page);
        all_fail(&*provider, ErrorKind::Malformed).await;
    });
}

#[test]
fn an_answer_far_over_the_limit_is_too_large_and_not_taken_into_memory() {
    run(test_name!(), async |lake| {
        let provider = with_fault(&lake, Fault::Pass).await;
        fetch(&*provider).await.expect("a first read");
        lake.proxy.set("secrets/get", Fault::Huge { bytes: 100 << 20 });
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
fn a_secret_scope_that_goes_while_it_is_read_is_not_found_and_no_empty_one() {
    run(test_name!(), async |lake| {
        let provider = with_fault(&lake, Fault::Pass).await;
        let keys = Fault::body(r#"{"secrets":[{"key":"value","last_updated_timestamp":1}]}"#);
        let gone = || complaint(404, "RESOURCE_DOES_NOT_EXIST", Vec::new());
        lake.proxy.set_in_turn("secrets/list", [keys, gone()]);
        lake.proxy.set("secrets/get", gone());
        expect_error(fetch(&*provider).await, ErrorKind::NotFound);
    });
}

#[test]
fn a_token_that_is_quoted_in_a_refusal_is_not_told() {
    run(test_name!(), async |lake| {
        let token_file = lake.write("quoted", MARK);
        let scope = lake.scope_with(|settings| settings.auth = DatabricksAuth::Pat { token_file });
        for (status, kind) in [(403, ErrorKind::Denied), (401, ErrorKind::CredentialsRejected)] {
            let body =
                format!(r#"{{"error_code":"NEVER_HEARD_OF","message":"not with Bearer {MARK}, says the test"}}"#);
            lake.proxy.set("*", Fault::Answer { status, headers: Vec::new(), body });
            let error = expect_error(fetch(&*suite::build(scope.clone())).await, kind);
            assert!(error.detail.contains("says the test"), "{error}");
        }
        let auth = DatabricksAuth::OauthM2m { client_id: "id".into(), client_secret_file: lake.write("quoted", MARK) };
        let body = format!(r#"{{"error":"invalid_client","error_description":"the secret {MARK} is none"}}"#);
        lake.proxy.set("*", Fault::Answer { status: 401, headers: Vec::new(), body });
        let scope = lake.scope_with(|settings| settings.auth = auth);
        let error = expect_error(fetch(&*suite::build(scope)).await, ErrorKind::CredentialsRejected);
        assert!(error.detail.contains("invalid_client"), "{error}");
    });
}

#[test]
fn a_proxy_is_not_given_what_is_not_encrypted() {
    run(test_name!(), async |lake| {
        let proxy = FaultProxy::start(lake.workspace.address());
        for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY"] {
            // SAFETY: this process is the test's own, and nothing has read its environment yet.
            unsafe { std::env::set_var(name, proxy.url()) };
        }
        fetch(&*with_fault(&lake, Fault::Pass).await).await.unwrap();
        assert_eq!(proxy.all_calls(), 0);
    });
}

#[test]
fn a_server_is_trusted_by_the_ca_file_and_by_nothing_else() {
    run(test_name!(), async |lake| {
        lake.put("db", MARK.as_bytes()).await;
        let tls = Terminator::start(lake.workspace.address());
        let build = |ca_file| {
            suite::build(lake.scope_with(|settings| {
                settings.host = Some(tls.url());
                settings.ca_file = ca_file;
            }))
        };
        assert!(fetch(&*build(Some(tls.ca_file()))).await.is_ok());
        let error = expect_error(build(None).list().await, ErrorKind::Unreachable);
        assert!(error.detail.contains("certificate"), "{error}");
        expect_error(build(Some("/nonexistent/ca.pem".into())).list().await, ErrorKind::Malformed);
    });
}
