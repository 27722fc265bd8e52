//! Databricks' credentials: where they are found, when they are read anew, and what their refusal means.

use std::sync::Arc;
use std::time::Duration;

use hushfs::config::DatabricksAuth;
use hushfs::provider::{Error, ErrorKind, Provider, VersionSelector};
use tokio::task::JoinSet;

use crate::databricks::{Lake, run};
use crate::suite::{self, Fixture, MARK, expect_error};
use crate::support::databricks::ADMIN;
use crate::support::fault_proxy::Fault;
use crate::test_name;

const CLIENT: &str = "5a7b1c9e-service-principal";
const SECRET: &str = "dose-marked-client-secret";

async fn read(provider: &dyn Provider) -> Result<(), Error> {
    provider.fetch(&suite::name("db"), &VersionSelector::Current).await.map(drop)
}

/// Also without a credential in its text.
async fn rejected(lake: &Lake, provider: &dyn Provider) -> Error {
    let error = expect_error(read(provider).await, ErrorKind::CredentialsRejected);
    let token = std::fs::read_to_string(lake.folder.join("token")).unwrap_or_default();
    assert!(token.trim().is_empty() || !error.detail.contains(token.trim()), "a token is in an error's text");
    assert!(!error.detail.contains(SECRET), "a secret is in an error's text");
    error
}

/// A provider as a service principal, whose secret scope `prod-db` it may read.
async fn of_client(lake: &Lake) -> Arc<dyn Provider> {
    lake.put("db", MARK.as_bytes()).await;
    lake.workspace.client(CLIENT, SECRET);
    lake.workspace.allow("prod-db", CLIENT, "READ");
    let client_secret_file = lake.write("client-secret", SECRET);
    let auth = DatabricksAuth::OauthM2m { client_id: CLIENT.into(), client_secret_file };
    suite::build(lake.scope_with(|settings| settings.auth = auth))
}

fn by_default(lake: &Lake) -> Arc<dyn Provider> {
    suite::build(lake.scope_with(|settings| settings.auth = DatabricksAuth::Default))
}

#[test]
fn a_token_that_is_replaced_in_its_file_is_used_and_one_that_is_revoked_is_not() {
    run(test_name!(), async |lake| {
        lake.put("db", MARK.as_bytes()).await;
        let provider = suite::provider(&lake);
        read(&*provider).await.unwrap();
        let old = std::fs::read_to_string(lake.folder.join("token")).unwrap();
        // The new one is taken before the old one is refused.
        lake.write("token", &lake.workspace.token(ADMIN));
        lake.workspace.revoke(old.trim());
        lake.proxy.forget_calls();
        read(&*provider).await.unwrap();
        assert_eq!(lake.proxy.all_calls(), 3);

        lake.workspace.revoke_all();
        let error = rejected(&lake, &*provider).await;
        assert!(error.detail.contains("Invalid access token"), "{error}");
        expect_error(provider.list().await, ErrorKind::CredentialsRejected);
        expect_error(provider.look(&suite::name("db")).await, ErrorKind::CredentialsRejected);
        lake.write("token", &lake.workspace.token(ADMIN));
        read(&*provider).await.unwrap();
    });
}

#[test]
fn a_file_that_holds_no_token_is_credentials_rejected_and_nothing_is_sent() {
    run(test_name!(), async |lake| {
        use std::os::unix::fs::PermissionsExt;
        lake.put("db", MARK.as_bytes()).await;
        let provider = suite::provider(&lake);
        for text in ["", " \n", "two words", "h\u{e9}", "a\nb"] {
            lake.write("token", text);
            rejected(&lake, &*provider).await;
        }
        lake.write("token", &lake.workspace.token(ADMIN));
        std::fs::set_permissions(lake.folder.join("token"), PermissionsExt::from_mode(0o644)).unwrap();
        assert!(rejected(&lake, &*provider).await.detail.contains("chmod 600"));
        std::fs::remove_file(lake.folder.join("token")).unwrap();
        rejected(&lake, &*provider).await;
        assert_eq!(lake.proxy.all_calls(), 0);
        lake.write("token", &lake.workspace.token(ADMIN));
        read(&*provider).await.unwrap();
    });
}

#[test]
fn a_profile_is_used_that_is_for_this_workspace() {
    run(test_name!(), async |lake| {
        lake.put("db", MARK.as_bytes()).await;
        let provider = by_default(&lake);
        let error = rejected(&lake, &*provider).await;
        assert!(error.detail.contains("DATABRICKS_TOKEN") && error.detail.contains(".databrickscfg"), "{error}");
        let token = lake.workspace.token(ADMIN);
        lake.write(".databrickscfg", &format!("[DEFAULT]\nhost = https://another.example/\ntoken = {token}"));
        let error = rejected(&lake, &*provider).await;
        assert!(error.detail.contains("another.example") && !error.detail.contains(&token), "{error}");
        assert_eq!(lake.proxy.all_calls(), 0, "a token went to a workspace that it is not for");
        lake.write(".databrickscfg", &format!("[DEFAULT]\nhost = {}/\ntoken = {token}", lake.proxy.url()));
        read(&*provider).await.unwrap();
        // It may also be what says where the workspace is.
        let nowhere = suite::build(lake.scope_with(|settings| {
            settings.auth = DatabricksAuth::Default;
            settings.host = None;
        }));
        read(&*nowhere).await.unwrap();
    });
}

#[test]
fn a_profile_may_be_a_service_principals() {
    run(test_name!(), async |lake| {
        drop(of_client(&lake).await);
        let profile = format!("[DEFAULT]\nhost = {}\nclient_id = {CLIENT}\nclient_secret = {SECRET}", lake.proxy.url());
        lake.write(".databrickscfg", &profile);
        read(&*by_default(&lake)).await.unwrap();
        lake.write(".databrickscfg", &format!("{profile}\ntoken = both"));
        let error = rejected(&lake, &*by_default(&lake)).await;
        assert!(error.detail.contains("DATABRICKS_AUTH_TYPE"), "{error}");
    });
}

#[test]
fn a_service_principal_logs_in_once_however_many_read_at_once() {
    run(test_name!(), async |lake| {
        let provider = of_client(&lake).await;
        let mut reads = JoinSet::new();
        for _ in 0..50 {
            let provider = Arc::clone(&provider);
            reads.spawn(async move { read(&*provider).await });
        }
        for answer in reads.join_all().await {
            answer.unwrap();
        }
        assert_eq!(lake.workspace.issued(), 1);
    });
}

#[test]
fn a_token_that_is_refused_is_replaced_by_one_login_and_the_read_goes_on() {
    run(test_name!(), async |lake| {
        let provider = of_client(&lake).await;
        read(&*provider).await.unwrap();
        lake.workspace.revoke_all();
        let mut reads = JoinSet::new();
        for _ in 0..20 {
            let provider = Arc::clone(&provider);
            reads.spawn(async move { read(&*provider).await });
        }
        for answer in reads.join_all().await {
            answer.unwrap();
        }
        assert_eq!(lake.workspace.issued(), 2);
    });
}

#[test]
fn a_token_that_has_run_out_is_replaced() {
    run(test_name!(), async |lake| {
        // As if every token ran out on its way.
        lake.workspace.set_token_life(Duration::ZERO);
        let provider = of_client(&lake).await;
        let error = rejected(&lake, &*provider).await;
        assert!(error.detail.contains("run out"), "{error}");
        lake.workspace.set_token_life(Duration::from_secs(3600));
        read(&*provider).await.unwrap();
        let issued = lake.workspace.issued();
        read(&*provider).await.unwrap();
        assert_eq!(lake.workspace.issued(), issued, "a token that lives is kept");
    });
}

#[test]
fn a_token_that_is_due_is_renewed_and_used_on_while_nobody_gives_another() {
    run(test_name!(), async |lake| {
        // Due at once and good for an hour.
        let issue = |token: &str, seconds: u64| {
            Fault::body(&format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{seconds}}}"#))
        };
        let provider = of_client(&lake).await;
        let (first, second) = (lake.workspace.token(CLIENT), lake.workspace.token(CLIENT));
        lake.proxy.set_in_turn("oidc/v1/token", [issue(&first, 1), issue(&second, 3600)]);
        read(&*provider).await.unwrap();
        while lake.proxy.calls("oidc/v1/token") < 2 {
            read(&*provider).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        lake.workspace.revoke(&first);
        read(&*provider).await.unwrap();
        assert_eq!(lake.proxy.calls("oidc/v1/token"), 2);
    });
}

#[test]
fn an_oauth_secret_that_is_refused_is_credentials_rejected_until_its_file_is_mended() {
    run(test_name!(), async |lake| {
        let provider = of_client(&lake).await;
        lake.workspace.client(CLIENT, "another");
        let error = rejected(&lake, &*provider).await;
        assert!(error.detail.contains("invalid_client") && error.detail.contains(CLIENT), "{error}");
        assert_eq!(lake.proxy.calls("secrets/list"), 0);
        lake.write("client-secret", "another");
        read(&*provider).await.unwrap();
    });
}

#[test]
fn silence_where_tokens_are_issued_is_an_outage_and_not_a_refusal() {
    run(test_name!(), async |lake| {
        let provider = of_client(&lake).await;
        let answer = |status: u16, headers: Vec<String>| Fault::Answer { status, headers, body: "<html>".into() };
        lake.proxy.set("oidc/v1/token", answer(503, Vec::new()));
        expect_error(read(&*provider).await, ErrorKind::Unreachable);
        lake.proxy.set("oidc/v1/token", answer(429, vec!["Retry-After: 7".into()]));
        let error = expect_error(read(&*provider).await, ErrorKind::Throttled);
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        for body in ["{}", r#"{"access_token":"a b"}"#, r#"{"access_token":["marked-7c1f2e"]}"#, "marked-7c1f2e"] {
            lake.proxy.set("oidc/v1/token", Fault::body(body));
            expect_error(read(&*provider).await, ErrorKind::Malformed);
        }
        lake.proxy.set("oidc/v1/token", Fault::Pass);
        read(&*provider).await.unwrap();
    });
}
