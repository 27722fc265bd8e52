//! Azure Key Vault when the service, the network or something in between misbehaves.

use std::sync::Arc;
use std::time::Duration;

use hushfs::provider::{Error, ErrorKind, Fetched, Provider, VersionSelector};

use crate::azure::{Vault, run};
use crate::suite::{self, Fixture, MARK, expect_error};
use crate::support::fault_proxy::Fault;
use crate::support::ports;
use crate::test_name;

/// The calls for the secret `prod-db`, as the proxy names them.
const READ: &str = "secrets/prod-db/";
const VERSIONS: &str = "secrets/prod-db/versions";
const LIST: &str = "secrets";

async fn fetch(provider: &dyn Provider) -> Result<Fetched, Error> {
    provider.fetch(&suite::name("db"), &VersionSelector::Current).await
}

/// A provider on a vault with the secret `prod-db`, whose every call goes like `fault`; it is logged in already.
async fn with_fault(it: &Vault, fault: Fault) -> Arc<dyn Provider> {
    it.put("db", MARK.as_bytes()).await;
    let provider = suite::provider(it);
    fetch(&*provider).await.unwrap();
    it.vault.proxy.set("*", fault);
    provider
}

/// Reads, listings and looks all fail like that.
async fn all_fail(provider: &dyn Provider, kind: ErrorKind) -> Error {
    expect_error(provider.list().await, kind);
    expect_error(provider.look(&suite::name("db")).await, kind);
    expect_error(fetch(provider).await, kind)
}

fn complaint(status: u16, code: &str, headers: Vec<String>) -> Fault {
    let body = format!(r#"{{"error":{{"code":"{code}","message":"{code}, says the test"}}}}"#);
    Fault::Answer { status, headers, body }
}

#[test]
fn throttling_is_throttled_once_and_carries_the_wait_that_was_asked_for() {
    run(test_name!(), async |it| {
        let fault = complaint(429, "Throttled", vec!["Retry-After: 7".into()]);
        let provider = with_fault(&it, fault).await;
        it.vault.proxy.forget_calls();
        let error = all_fail(&*provider, ErrorKind::Throttled).await;
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        assert_eq!(it.vault.proxy.all_calls(), 3, "Azure's client repeats nothing by itself");
    });
}

#[test]
fn a_server_error_is_unreachable() {
    run(test_name!(), async |it| {
        let provider = with_fault(&it, complaint(500, "InternalServerError", Vec::new())).await;
        all_fail(&*provider, ErrorKind::Unreachable).await;
        let page = Fault::Answer { status: 503, headers: Vec::new(), body: format!("<html>{MARK}</html>") };
        it.vault.proxy.set("*", page);
        all_fail(&*provider, ErrorKind::Unreachable).await;
        it.vault.proxy.set("*", Fault::Pass);
        assert!(fetch(&*provider).await.is_ok(), "it recovers");
    });
}

#[test]
fn a_refused_connection_a_name_that_is_none_and_a_certificate_of_nobody_are_unreachable() {
    run(test_name!(), async |it| {
        let closed = ports::free_address();
        for url in [format!("https://{closed}"), "https://vault.invalid".into()] {
            let scope = it.scope_with(|settings| settings.vault_url = url);
            all_fail(&*suite::build(scope), ErrorKind::Unreachable).await;
        }
        let scope = it.scope_with(|settings| settings.ca_file = None);
        let error = all_fail(&*suite::build(scope), ErrorKind::Unreachable).await;
        assert!(error.detail.contains("certificate"), "{error}");
        assert_eq!(it.vault.issued(), 0);
    });
}

#[test]
fn no_answer_is_timed_out_by_the_provider_itself() {
    run(test_name!(), async |it| {
        it.vault.proxy.set("*", Fault::Hang);
        let mut scope = it.scope();
        scope.cache.timeout = Duration::from_millis(500);
        // Without its own deadline it would hang for good, and the test with it.
        all_fail(&*suite::build(scope), ErrorKind::TimedOut).await;
    });
}

#[test]
fn any_timeout_is_survived() {
    run(test_name!(), async |it| {
        it.put("db", MARK.as_bytes()).await;
        let build = |timeout| {
            let mut scope = it.scope();
            scope.cache.timeout = timeout;
            suite::build(scope)
        };
        assert!(fetch(&*build(Duration::MAX)).await.is_ok());
        it.vault.proxy.set("*", Fault::Hang);
        for timeout in [Duration::ZERO, Duration::from_nanos(1)] {
            expect_error(fetch(&*build(timeout)).await, ErrorKind::TimedOut);
        }
    });
}

#[test]
fn a_slow_answer_is_an_answer() {
    run(test_name!(), async |it| {
        let provider = with_fault(&it, Fault::Delay(Duration::from_millis(200))).await;
        assert!(fetch(&*provider).await.unwrap().payload.raw.expose() == MARK.as_bytes());
    });
}

#[test]
fn an_answer_that_breaks_off_is_unreachable() {
    run(test_name!(), async |it| {
        all_fail(&*with_fault(&it, Fault::CutBody).await, ErrorKind::Unreachable).await;
    });
}

#[test]
fn an_answer_that_cannot_be_understood_is_malformed_and_never_quoted() {
    run(test_name!(), async |it| {
        let provider = with_fault(&it, Fault::Pass).await;
        let id = format!("{}/secrets/prod-db/{}", it.vault.url(), "a".repeat(32));
        for body in [
            format!("<html>{MARK}</html>"),
            format!(r#"{{"id":"{id}","value":{{"{MARK}":1}}}}"#),
            format!(r#"{{"id":"{id}","value":["{MARK}"]}}"#),
            format!(r#"{{"id":"{id}","value":null}}"#),
            format!(r#"{{"id":"{id}"}}"#),
            format!(r#"{{"id":"{id}","value":"{MARK}","attributes":{{"created":"{MARK}"}}}}"#),
            format!(r#"{{"id":"{MARK}","value":"{MARK}"}}"#),
            format!(r#"{{"id":"{}","value":"{MARK}"}}"#, id.replace("prod-db", "prod-other")),
            format!(r#"{{"id":"{}","value":"{MARK}"}}"#, id.replace("secrets", "keys")),
            format!(r#"{{"id":"{id}","value":"{MARK}"#),
            format!(r#"["{MARK}"]"#),
            "{}".into(),
            "null".into(),
            String::new(),
        ] {
            it.vault.proxy.set(READ, Fault::body(&body));
            expect_error(fetch(&*provider).await, ErrorKind::Malformed);
        }
        for body in ["", "[]", "{}", "null", "<html>", r#"{"value":{}}"#, r#"{"value":null}"#, r#"{"value":[[]]}"#] {
            it.vault.proxy.set(LIST, Fault::body(body));
            it.vault.proxy.set(VERSIONS, Fault::body(body));
            let listed = provider.list().await;
            assert!(
                matches!(&listed, Err(error) if error.kind == ErrorKind::Malformed)
                    || listed.as_ref().is_ok_and(|it| it.secrets.is_empty() && !it.left_out.is_empty()),
                "{body}"
            );
            expect_error(provider.look(&suite::name("db")).await, ErrorKind::Malformed);
        }
    });
}

#[test]
fn a_page_of_another_server_makes_no_secret_vanish() {
    run(test_name!(), async |it| {
        let page = |status| Fault::Answer { status, headers: Vec::new(), body: format!("<html>{MARK}</html>") };
        let provider = with_fault(&it, page(404)).await;
        all_fail(&*provider, ErrorKind::Malformed).await;
        let location = vec![format!("Location: https://127.0.0.1/{MARK}")];
        it.vault.proxy.set("*", Fault::Answer { status: 302, headers: location, body: String::new() });
        all_fail(&*provider, ErrorKind::Unreachable).await;
    });
}

#[test]
fn an_answer_without_end_is_too_large() {
    run(test_name!(), async |it| {
        let provider = with_fault(&it, Fault::Huge { bytes: 64 << 20 }).await;
        all_fail(&*provider, ErrorKind::TooLarge).await;
    });
}

#[test]
fn a_secret_that_is_deleted_while_it_is_listed_is_gone_and_its_neighbours_are_not() {
    run(test_name!(), async |it| {
        for n in 0..60 {
            it.put(&format!("s{n:02}"), MARK.as_bytes()).await;
        }
        let provider = suite::provider(&it);
        assert_eq!(suite::listing(&*provider).await.secrets.len(), 60);
        it.delete("s07").await;
        let gone = provider.fetch(&suite::name("s07"), &VersionSelector::Current).await;
        expect_error(gone, ErrorKind::NotFound);
        suite::current(&*provider, "s08").await;
        assert_eq!(suite::listing(&*provider).await.secrets.len(), 59);
    });
}

#[test]
fn many_readers_at_once_log_in_once() {
    run(test_name!(), async |it| {
        it.put("db", MARK.as_bytes()).await;
        let provider = suite::provider(&it);
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let provider = Arc::clone(&provider);
            readers.spawn(async move { fetch(&*provider).await.map(drop) });
        }
        while let Some(done) = readers.join_next().await {
            done.unwrap().unwrap();
        }
        assert_eq!(it.vault.issued(), 1);
    });
}
