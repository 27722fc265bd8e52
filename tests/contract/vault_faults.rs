//! Vault when the server, the network or something in between misbehaves; and how many calls reads cost.

use std::sync::Arc;
use std::time::Duration;

use hushfs::provider::{Error, ErrorKind, Fetched, Provider, VersionSelector};
use serde_json::json;

use crate::suite::{self, Fixture, MARK, expect_error};
use crate::support::bao_auth::READ_ALL;
use crate::support::fault_proxy::Fault;
use crate::support::ports;
use crate::test_name;
use crate::vault::{Bao, run};

const READ: &str = "GET /v1/secret/data/prod/db";
const LIST: &str = "LIST /v1/secret/metadata/prod/";

async fn fetch(provider: &dyn Provider) -> Result<Fetched, Error> {
    provider.fetch(&suite::name("db"), &VersionSelector::Current).await
}

/// A provider with the secret `db`, whose every call goes like `fault`.
async fn with_fault(bao: &Bao, fault: Fault) -> Arc<dyn Provider> {
    bao.put("db", MARK.as_bytes()).await;
    bao.proxy.set("*", fault);
    suite::provider(bao)
}

fn answer(status: u16, body: &str) -> Fault {
    Fault::Answer { status, headers: vec!["Retry-After: 7".into()], body: body.into() }
}

/// Reads, listings and looks all fail like that.
async fn all_fail(provider: &dyn Provider, kind: ErrorKind) -> Error {
    expect_error(provider.list().await, kind);
    expect_error(provider.look(&suite::name("db")).await, kind);
    expect_error(provider.permissions(None, &[suite::name("db")]).await, kind);
    expect_error(provider.whoami().await, kind);
    expect_error(fetch(provider).await, kind)
}

#[test]
fn throttling_is_throttled_and_carries_the_wait_that_was_asked_for() {
    run(test_name!(), async |bao| {
        let provider = with_fault(&bao, answer(429, r#"{"errors":["rate limit quota exceeded"]}"#)).await;
        let error = all_fail(&*provider, ErrorKind::Throttled).await;
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        assert!(error.detail.contains("quota exceeded"), "{error}");
    });
}

#[test]
fn a_token_that_a_refusal_quotes_is_not_told() {
    run(test_name!(), async |bao| {
        let token = bao.server.token(&["default"], json!({}));
        let auth = hushfs::config::VaultAuth::Token { file: Some(bao.server.file("quoted", &token)) };
        let provider = bao.provider_with(auth);
        bao.proxy.set("*", answer(400, &format!(r#"{{"errors":["what is {token}?"]}}"#)));
        let error = expect_error(fetch(&*provider).await, ErrorKind::Malformed);
        assert!(
            error.detail.contains("what is *") && !error.detail.contains(&token),
            "the token is in an error's text"
        );
    });
}

#[test]
fn a_quota_of_the_servers_own_is_throttling() {
    run(test_name!(), async |bao| {
        let provider = with_fault(&bao, Fault::Pass).await;
        fetch(&*provider).await.expect("a first read");
        bao.server.root("POST", "sys/quotas/config", &json!({"enable_rate_limit_response_headers": true}));
        bao.server.root("POST", "sys/quotas/rate-limit/slow", &json!({"path": "secret", "rate": 1, "interval": "30s"}));
        fetch(&*provider).await.expect("the one read that it allows");
        let error = expect_error(fetch(&*provider).await, ErrorKind::Throttled);
        assert!(error.detail.contains("quota exceeded"), "{error}");
        let wait = error.retry_after.expect("a wait");
        assert!(wait > Duration::from_secs(5) && wait <= Duration::from_secs(30), "{wait:?}");
    });
}

#[test]
fn a_server_that_does_not_serve_is_unreachable_and_its_state_is_named() {
    run(test_name!(), async |bao| {
        let provider = with_fault(&bao, Fault::Pass).await;
        let none = r#"{"errors":[]}"#;
        for (status, body, says) in [
            (500, none, "500"),
            (502, "<html>marked-7c1f2e</html>", "something else"),
            (503, r#"{"errors":["Vault is sealed"]}"#, "unseal"),
            (412, none, "caught up"),
            (472, none, "disaster recovery"),
            (473, none, "performance standby"),
        ] {
            bao.proxy.set("*", answer(status, body));
            let error = all_fail(&*provider, ErrorKind::Unreachable).await;
            assert!(error.detail.contains(says), "{error}");
        }
        bao.proxy.set("*", Fault::Pass);
        assert!(fetch(&*provider).await.is_ok(), "it recovers");
    });
}

#[test]
fn a_sealed_server_is_unreachable() {
    run(test_name!(), async |bao| {
        let provider = with_fault(&bao, Fault::Pass).await;
        fetch(&*provider).await.expect("a first read");
        bao.server.root("POST", "sys/seal", &json!({}));
        let error = all_fail(&*provider, ErrorKind::Unreachable).await;
        assert!(error.detail.contains("sealed"), "{error}");
    });
}

#[test]
fn a_redirect_says_where_to_and_that_it_is_a_standby() {
    run(test_name!(), async |bao| {
        let elsewhere = "http://active.example:8200";
        let headers = vec![format!("Location: {elsewhere}/v1/secret/data/prod/db")];
        let provider = with_fault(&bao, Fault::Answer { status: 307, headers, body: String::new() }).await;
        let error = all_fail(&*provider, ErrorKind::Unreachable).await;
        assert!(error.detail.contains(elsewhere) && error.detail.contains("standby"), "{error}");
    });
}

#[test]
fn a_refused_connection_is_unreachable() {
    run(test_name!(), async |bao| {
        let closed = ports::free_address();
        for address in [format!("http://{closed}"), format!("https://{closed}"), "http://no-such-host.invalid:1".into()]
        {
            let provider = suite::build(bao.scope_with(|settings| settings.address = address.clone()));
            let error = all_fail(&*provider, ErrorKind::Unreachable).await;
            assert!(error.detail.contains("no answer: "), "{error}");
        }
    });
}

#[test]
fn a_connection_that_ends_too_soon_is_tried_once_more_where_that_can_do_no_harm() {
    run(test_name!(), async |bao| {
        let provider = with_fault(&bao, Fault::Pass).await;
        fetch(&*provider).await.expect("a first read");
        bao.proxy.set("*", Fault::HangUp);
        bao.proxy.forget_calls();
        expect_error(fetch(&*provider).await, ErrorKind::Unreachable);
        expect_error(provider.permissions(None, &[suite::name("db")]).await, ErrorKind::Unreachable);
        assert_eq!((bao.proxy.calls(READ), bao.proxy.calls("POST /v1/sys/capabilities-self")), (2, 1));
    });
}

#[test]
fn no_answer_is_timed_out_by_the_provider_itself() {
    run(test_name!(), async |bao| {
        bao.proxy.set("*", Fault::Hang);
        let mut scope = bao.scope();
        scope.cache.timeout = Duration::from_millis(500);
        // Without its own deadline it would hang for good, and the test with it.
        all_fail(&*suite::build(scope), ErrorKind::TimedOut).await;
    });
}

#[test]
fn any_timeout_is_survived() {
    run(test_name!(), async |bao| {
        bao.put("db", MARK.as_bytes()).await;
        let build = |timeout| {
            let mut scope = bao.scope();
            scope.cache.timeout = timeout;
            suite::build(scope)
        };
        assert!(fetch(&*build(Duration::MAX)).await.is_ok());
        bao.proxy.set("*", Fault::Hang);
        for timeout in [Duration::ZERO, Duration::from_nanos(1)] {
            expect_error(fetch(&*build(timeout)).await, ErrorKind::TimedOut);
        }
    });
}

#[test]
fn an_answer_that_breaks_off_is_unreachable() {
    run(test_name!(), async |bao| {
        let provider = with_fault(&bao, Fault::CutBody).await;
        all_fail(&*provider, ErrorKind::Unreachable).await;
    });
}

#[test]
fn an_answer_that_cannot_be_understood_is_malformed_and_never_quoted() {
    run(test_name!(), async |bao| {
        let provider = with_fault(&bao, Fault::Pass).await;
        let metadata = r#""metadata":{"version":1,"created_time":"","custom_metadata":null}"#;
        let odd = [
            format!("<html>{MARK}</html>"),
            format!(r#"{{"data":{{"data":["{MARK}"],{metadata}}}}}"#),
            format!(r#"{{"data":{{"data":"{MARK}",{metadata}}}}}"#),
            format!(r#"{{"data":{{"data":{{"a":"{MARK}\ud800"}},{metadata}}}}}"#),
            format!(r#"{{"data":{{"data":{{"a":"{MARK}"}}}}}}"#),
            format!(
                r#"{{"data":{{"data":{{"a":"{MARK}"}},"metadata":{{"version":0,"created_time":"","custom_metadata":null}}}}}}"#
            ),
            format!(r#"{{"data":{{"data":{{"a":"{MARK}"}},"metadata":"{MARK}"}}}}"#),
            format!(r#"{{"data":{{"data":{{"a":"{MARK}"#),
            r#"{"data":null}"#.into(),
            "{}".into(),
            "[]".into(),
            "null".into(),
            String::new(),
        ];
        for body in odd {
            bao.proxy.set(READ, Fault::body(&body));
            expect_error(fetch(&*provider).await, ErrorKind::Malformed);
        }
        // Another version than the one that was asked for.
        bao.proxy.set(READ, Fault::body(&format!(r#"{{"data":{{"data":{{"a":"{MARK}"}},{metadata}}}}}"#)));
        let second = VersionSelector::Named("2".into());
        expect_error(provider.fetch(&suite::name("db"), &second).await, ErrorKind::Malformed);
        for status in [400, 404, 405, 418] {
            bao.proxy.set(READ, answer(status, &format!("<html>{MARK}</html>")));
            expect_error(fetch(&*provider).await, ErrorKind::Malformed);
        }
        for body in [format!("<html>{MARK}</html>"), r#"{"data":{"keys":{}}}"#.into(), "{}".into()] {
            bao.proxy.set(LIST, Fault::body(&body));
            expect_error(provider.list().await, ErrorKind::Malformed);
        }
    });
}

#[test]
fn a_listing_without_end_ends() {
    run(test_name!(), async |bao| {
        let provider =
            with_fault(&bao, Fault::body(r#"{"request_id":"r","data":{"keys":["again/","..","","a//","/"]}}"#)).await;
        let listing = suite::listing(&*provider).await;
        assert!(listing.secrets.is_empty());
        assert!(listing.left_out.iter().any(|(_, why)| why.contains("deep")));
        assert!(bao.proxy.all_calls() < 200);
    });
}

#[test]
fn folders_that_always_hold_more_folders_end_before_the_memory_does() {
    run(test_name!(), async |bao| {
        // Each name takes 1,900 bytes, and each folder has 500 of them.
        let names: Vec<String> = (0..500).map(|number| format!("{number}{}/", "x".repeat(1_900))).collect();
        let body = json!({"request_id": "r", "data": {"keys": names}}).to_string();
        let provider = with_fault(&bao, Fault::body(&body)).await;
        let before = peak_memory();
        // Twelve timeouts, or the bound: whichever comes first.
        let listed = tokio::time::timeout(Duration::from_secs(20), provider.list()).await;
        assert!(listed.is_err() || listed.unwrap().is_err(), "there is no such listing");
        let more = peak_memory() - before;
        assert!(more < 1 << 30, "{} MiB more at the peak", more >> 20);
    });
}

#[test]
fn a_mount_or_a_namespace_that_is_not_there_is_no_empty_scope() {
    run(test_name!(), async |bao| {
        let mount = bao.scope_with(|settings| settings.mount = "no-such-mount".into());
        let namespace = bao.scope_with(|settings| settings.namespace = Some("no-such-namespace".into()));
        for scope in [mount, namespace] {
            let provider = suite::build(scope);
            let error = expect_error(fetch(&*provider).await, ErrorKind::Malformed);
            assert!(error.detail.contains("see `mount` and `namespace`"), "{error}");
        }
    });
}

#[test]
fn an_answer_far_over_the_limit_is_too_large_and_not_taken_into_memory() {
    run(test_name!(), async |bao| {
        bao.put("db", MARK.as_bytes()).await;
        let provider = suite::provider(&bao);
        fetch(&*provider).await.expect("a first read");
        bao.proxy.set(READ, Fault::Huge { bytes: 100 << 20 });
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
fn what_calls_cost() {
    run(test_name!(), async |bao| {
        for name in ["db", "a/one", "a/two", "b/c/three"] {
            bao.put(name, MARK.as_bytes()).await;
        }
        bao.server.policy("reader", READ_ALL);
        let provider = suite::provider(&bao);
        suite::listing(&*provider).await;
        // The folders are prod/, a/, b/ and b/c/.
        let lists = ["", "a/", "b/", "b/c/"].map(|folder| bao.proxy.calls(&format!("{LIST}{folder}")));
        assert_eq!(lists, [1, 1, 1, 1]);
        for _ in 0..3 {
            fetch(&*provider).await.expect("a value");
        }
        assert_eq!(bao.proxy.calls(READ), 3);
        suite::look(&*provider, "db").await;
        assert_eq!(bao.proxy.calls(READ), 3, "a look reads no value");
    });
}

#[test]
fn silence_at_login_is_an_outage_and_not_a_refusal() {
    run(test_name!(), async |bao| {
        let file = |name| bao.server.file(name, "x");
        let auth = hushfs::config::VaultAuth::AppRole {
            mount: "approle".into(),
            role_id_file: file("r"),
            secret_id_file: file("s"),
            wrapped: false,
        };
        let build = |timeout| {
            let mut scope = bao.scope_with(|settings| settings.auth = auth.clone());
            scope.cache.timeout = timeout;
            suite::build(scope)
        };
        for (fault, kind) in [
            (answer(503, r#"{"errors":["Vault is sealed"]}"#), ErrorKind::Unreachable),
            (answer(429, r#"{"errors":[]}"#), ErrorKind::Throttled),
            (answer(200, MARK), ErrorKind::Malformed),
            (
                answer(200, r#"{"auth":{"client_token":"a b","lease_duration":1,"renewable":true}}"#),
                ErrorKind::Malformed,
            ),
        ] {
            bao.proxy.set("*", fault);
            expect_error(fetch(&*build(Duration::from_secs(60))).await, kind);
        }
        bao.proxy.set("*", Fault::Hang);
        expect_error(fetch(&*build(Duration::from_millis(500))).await, ErrorKind::TimedOut);
    });
}
