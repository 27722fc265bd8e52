//! Google Cloud Secret Manager when the service, the network or something in between misbehaves.

use std::sync::Arc;
use std::time::Duration;

use hushfs::config::GcpAuth;
use hushfs::provider::{Error, ErrorKind, Fetched, Provider, VersionSelector};
use serde_json::json;

use crate::gcp::{Google, run};
use crate::suite::{self, Fixture, MARK, expect_error};
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::gcp::{error, error_with};
use crate::support::ports;
use crate::test_name;

async fn fetch(provider: &dyn Provider) -> Result<Fetched, Error> {
    provider.fetch(&suite::name("db"), &VersionSelector::Current).await
}

/// A provider of a project with the secret `db`, whose every call goes like `fault`.
async fn with_fault(google: &Google, fault: Fault) -> Arc<dyn Provider> {
    google.put("db", MARK.as_bytes()).await;
    google.server.set("*", fault);
    suite::provider(google)
}

/// Reads, listings, looks and questions to IAM all fail like that.
async fn all_fail(provider: &dyn Provider, kind: ErrorKind) -> Error {
    expect_error(provider.list().await, kind);
    expect_error(provider.look(&suite::name("db")).await, kind);
    expect_error(provider.permissions(None, &[suite::name("db")]).await, kind);
    expect_error(provider.fetch(&suite::name("db"), &VersionSelector::Previous).await, kind);
    expect_error(fetch(provider).await, kind)
}

#[test]
fn throttling_is_throttled_and_carries_the_wait_that_was_asked_for() {
    run(test_name!(), async |google| {
        let quota = "Quota exceeded for quota metric 'Read requests'";
        let header = vec!["Retry-After: 7".to_owned()];
        let provider = with_fault(&google, error_with(429, "RESOURCE_EXHAUSTED", quota, header, json!([]))).await;
        let error = all_fail(&*provider, ErrorKind::Throttled).await;
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        let info = json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "12.500s"}]);
        google.server.set("*", error_with(429, "RESOURCE_EXHAUSTED", quota, Vec::new(), info));
        google.server.forget_calls();
        let error = expect_error(fetch(&*provider).await, ErrorKind::Throttled);
        assert_eq!(error.retry_after, Some(Duration::from_millis(12_500)));
        assert_eq!(google.server.all_calls(), 1, "who is asked to wait waits");
    });
}

#[test]
fn a_server_error_is_unreachable_after_two_attempts() {
    run(test_name!(), async |google| {
        let provider = with_fault(&google, error(500, "INTERNAL", "Internal error encountered.")).await;
        all_fail(&*provider, ErrorKind::Unreachable).await;
        let pages = [
            error(503, "UNAVAILABLE", "The service is currently unavailable."),
            Fault::Answer { status: 503, headers: Vec::new(), body: format!("<html>{MARK}</html>") },
        ];
        for page in pages {
            google.server.set("*", page);
            google.server.forget_calls();
            expect_error(fetch(&*provider).await, ErrorKind::Unreachable);
            assert_eq!(google.server.calls("AccessSecretVersion"), 2);
        }
        google.server.set("*", Fault::Pass);
        assert!(fetch(&*provider).await.is_ok(), "it recovers");
    });
}

#[test]
fn a_refused_connection_is_unreachable() {
    run(test_name!(), async |google| {
        let closed = ports::free_address();
        let scope = google.scope_with(|settings| settings.endpoint_url = Some(format!("http://{closed}")));
        all_fail(&*suite::build(scope), ErrorKind::Unreachable).await;
    });
}

#[test]
fn no_answer_is_timed_out_by_the_provider_itself() {
    run(test_name!(), async |google| {
        google.server.set("*", Fault::Hang);
        let mut scope = google.scope();
        scope.cache.timeout = Duration::from_millis(500);
        let provider = suite::build(scope);
        // Without its own deadline it would hang for good, and the test with it.
        all_fail(&*provider, ErrorKind::TimedOut).await;
    });
}

#[test]
fn any_timeout_is_survived() {
    run(test_name!(), async |google| {
        google.put("db", MARK.as_bytes()).await;
        let build = |timeout| {
            let mut scope = google.scope();
            scope.cache.timeout = timeout;
            suite::build(scope)
        };
        assert!(fetch(&*build(Duration::MAX)).await.is_ok());
        // Timers are coarse: a fast answer could still be in time.
        google.server.set("*", Fault::Hang);
        for timeout in [Duration::ZERO, Duration::from_nanos(1)] {
            expect_error(fetch(&*build(timeout)).await, ErrorKind::TimedOut);
        }
    });
}

#[test]
fn an_answer_that_breaks_off_is_unreachable() {
    run(test_name!(), async |google| {
        let provider = with_fault(&google, Fault::CutBody).await;
        expect_error(fetch(&*provider).await, ErrorKind::Unreachable);
        assert_eq!(google.server.calls("AccessSecretVersion"), 2);
        expect_error(provider.list().await, ErrorKind::Unreachable);
        expect_error(provider.look(&suite::name("db")).await, ErrorKind::Unreachable);
    });
}

#[test]
fn an_answer_that_cannot_be_understood_is_malformed_and_never_quoted() {
    run(test_name!(), async |google| {
        let provider = with_fault(&google, Fault::Pass).await;
        let name = r#""name":"projects/1/secrets/prod-db/versions/1""#;
        let odd = [
            format!("<html>{MARK}</html>"),
            format!(r#"{{{name},"payload":"{MARK}"}}"#),
            format!(r#"{{{name},"payload":{{"data":"{MARK}!"}}}}"#),
            format!(r#"{{{name},"payload":{{"data":["{MARK}"]}}}}"#),
            format!(r#"{{{name},"payload":{{"data":"bWFyaw==","dataCrc32c":"{MARK}"}}}}"#),
            format!(r#"{{{name},"payload":{{"data":"bWFyaw==""#),
            r#"{"name":"projects/1/secrets/other/versions/1","payload":{"data":"bWFyaw=="}}"#.into(),
            r#"{"name":"projects/1/secrets/prod-db","payload":{"data":"bWFyaw=="}}"#.into(),
            r#"{"payload":{"data":"bWFyaw=="}}"#.into(),
            format!(r#"{{{name},"payload":{{}}}}"#),
            format!("{{{name}}}"),
            "{}".into(),
            "[]".into(),
            "null".into(),
            String::new(),
        ];
        for body in odd {
            google.server.set("AccessSecretVersion", Fault::body(&body));
            expect_error(fetch(&*provider).await, ErrorKind::Malformed);
        }
        let other = r#"{"name":"projects/1/secrets/prod-db/versions/2","payload":{"data":"bWFyaw=="}}"#;
        google.server.set("AccessSecretVersion", Fault::body(other));
        let fetched = provider.fetch(&suite::name("db"), &VersionSelector::Named("1".into())).await;
        expect_error(fetched, ErrorKind::Malformed);
        for body in [format!("<html>{MARK}</html>"), r#"{"secrets":{}}"#.into()] {
            google.server.set("ListSecrets", Fault::body(&body));
            expect_error(provider.list().await, ErrorKind::Malformed);
        }
    });
}

#[test]
fn an_endless_listing_ends() {
    run(test_name!(), async |google| {
        let provider = with_fault(&google, Fault::body(r#"{"secrets":[],"nextPageToken":"again"}"#)).await;
        expect_error(provider.list().await, ErrorKind::Malformed);
        assert!(google.server.calls("ListSecrets") < 10);
    });
}

#[test]
fn a_listing_whose_pages_go_round_in_circles_ends() {
    run(test_name!(), async |google| {
        let proxy = FaultProxy::start(google.server.address());
        let page = |next: &str| {
            let secret = r#"{"name":"projects/1/secrets/prod-x"}"#;
            Fault::body(&format!(r#"{{"secrets":[{secret}],"nextPageToken":"{next}"}}"#))
        };
        proxy.set_in_turn("*", ["a", "b", "c"].map(page));
        let scope = google.scope_with(|settings| settings.endpoint_url = Some(proxy.url()));
        expect_error(suite::build(scope).list().await, ErrorKind::Malformed);
        assert_eq!(proxy.all_calls(), 4);
    });
}

#[test]
fn an_answer_far_over_the_limit_is_too_large() {
    run(test_name!(), async |google| {
        let provider = with_fault(&google, Fault::Pass).await;
        google.server.set("AccessSecretVersion", Fault::Huge { bytes: 8 << 20 });
        expect_error(fetch(&*provider).await, ErrorKind::TooLarge);
    });
}

#[test]
fn a_file_of_credentials_that_is_none_is_refused_and_never_waited_for() {
    use std::os::unix::fs::PermissionsExt;

    run(test_name!(), async |google| {
        let (fifo, open) = (google.folder.join("fifo"), google.folder.join("open"));
        let made = std::process::Command::new("mkfifo").arg("-m").arg("600").arg(&fifo).status().unwrap();
        assert!(made.success());
        std::fs::write(&open, MARK).unwrap();
        std::fs::set_permissions(&open, PermissionsExt::from_mode(0o644)).unwrap();
        for file in [&fifo, &open] {
            let as_token = GcpAuth::AccessToken { token_file: file.clone() };
            let as_key = GcpAuth::ServiceAccount { key_file: file.clone() };
            for auth in [as_token, as_key] {
                let provider = suite::build(google.scope_as(auth));
                let error = expect_error(fetch(&*provider).await, ErrorKind::CredentialsRejected);
                assert!(error.detail.contains(&file.display().to_string()), "{error}");
                if file == &open {
                    assert!(error.detail.contains("chmod 600"), "{error}");
                }
            }
        }
        let folder = google.folder.join(".config/gcloud");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::rename(&fifo, folder.join("application_default_credentials.json")).unwrap();
        let provider = suite::build(google.scope_as(GcpAuth::ApplicationDefault));
        let error = expect_error(fetch(&*provider).await, ErrorKind::CredentialsRejected);
        assert!(error.detail.contains("not a regular file"), "{error}");
    });
}

#[test]
fn every_status_of_google_has_its_kind() {
    run(test_name!(), async |google| {
        let provider = with_fault(&google, Fault::Pass).await;
        for (http, status, kind) in [
            (404, "NOT_FOUND", ErrorKind::NotFound),
            (403, "PERMISSION_DENIED", ErrorKind::Denied),
            (401, "UNAUTHENTICATED", ErrorKind::CredentialsRejected),
            (429, "RESOURCE_EXHAUSTED", ErrorKind::Throttled),
            (504, "DEADLINE_EXCEEDED", ErrorKind::TimedOut),
            (500, "INTERNAL", ErrorKind::Unreachable),
            (400, "FAILED_PRECONDITION", ErrorKind::Malformed),
            (400, "INVALID_ARGUMENT", ErrorKind::Malformed),
            (501, "UNIMPLEMENTED", ErrorKind::Malformed),
            (500, "UNKNOWN", ErrorKind::Malformed),
        ] {
            google.server.set("AccessSecretVersion", error(http, status, "so says the test"));
            let error = expect_error(fetch(&*provider).await, kind);
            assert!(error.detail.contains(status) && error.detail.contains("so says the test"), "{error}");
        }
        let reason = json!([{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            "domain": "googleapis.com",
        }]);
        let scope = error_with(403, "PERMISSION_DENIED", "insufficient scopes", Vec::new(), reason);
        google.server.set("AccessSecretVersion", scope);
        expect_error(fetch(&*provider).await, ErrorKind::CredentialsRejected);
        google.server.set("AccessSecretVersion", error(400, "INVALID_ARGUMENT", "odd"));
        let fetched = provider.fetch(&suite::name("db"), &VersionSelector::Named("odd".into())).await;
        expect_error(fetched, ErrorKind::NotFound);
    });
}

/// Application default credentials that ask the test's server for their tokens.
fn user(google: &Google) {
    let folder = google.folder.join(".config/gcloud");
    std::fs::create_dir_all(&folder).unwrap();
    let user = json!({
        "type": "authorized_user", "client_id": "c", "client_secret": MARK, "refresh_token": MARK,
        "token_uri": format!("{}/token", google.server.url()),
    });
    std::fs::write(folder.join("application_default_credentials.json"), user.to_string()).unwrap();
}

#[test]
fn a_token_service_that_refuses_is_a_refusal_and_its_answer_is_not_quoted() {
    run(test_name!(), async |google| {
        user(&google);
        let body = format!(r#"{{"error":"invalid_grant","error_description":"{MARK}"}}"#);
        google.server.set("Token", Fault::Answer { status: 400, headers: Vec::new(), body });
        let provider = suite::build(google.scope_as(GcpAuth::ApplicationDefault));
        let error = expect_error(fetch(&*provider).await, ErrorKind::CredentialsRejected);
        assert!(error.detail.contains("invalid_grant"), "{error}");
        google.server.set("Token", Fault::body(&format!(r#"{{"access_token":["{MARK}"]}}"#)));
        expect_error(fetch(&*provider).await, ErrorKind::CredentialsRejected);
        // Once it gives a token the same provider goes on.
        google.server.set("Token", Fault::Pass);
        google.put("db", MARK.as_bytes()).await;
        assert!(fetch(&*provider).await.is_ok());
    });
}

#[test]
fn silence_of_a_token_service_is_an_outage_and_not_a_refusal() {
    run(test_name!(), async |google| {
        user(&google);
        let build = |timeout| {
            let mut scope = google.scope_as(GcpAuth::ApplicationDefault);
            scope.cache.timeout = timeout;
            suite::build(scope)
        };
        google.server.set("Token", Fault::Hang);
        let error = expect_error(fetch(&*build(Duration::from_millis(500))).await, ErrorKind::TimedOut);
        assert!(error.detail.contains("credentials"), "{error}");
        google.server.set("Token", Fault::Answer { status: 503, headers: Vec::new(), body: format!("<{MARK}>") });
        let Err(error) = fetch(&*build(Duration::from_secs(3))).await else { panic!("answered") };
        assert!(error.kind.is_outage() && !error.detail.contains(MARK), "{error}");
    });
}

#[test]
fn a_server_is_trusted_by_the_systems_certificates_and_by_nothing_else() {
    run(test_name!(), async |google| {
        google.put("db", MARK.as_bytes()).await;
        let tls = crate::support::tls::Terminator::start(google.server.address());
        let scope = google.scope_with(|settings| settings.endpoint_url = Some(tls.url()));
        let error = expect_error(suite::build(scope).list().await, ErrorKind::Unreachable);
        assert!(error.detail.contains("certificate"), "{error}");
    });
}
