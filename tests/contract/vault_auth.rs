//! How the provider `vault` comes by tokens, keeps them, and gets others.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hushfs::config::VaultAuth;
use hushfs::provider::{Error, ErrorKind, Fetched, Provider, VersionSelector};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::suite::{self, Fixture, MARK, expect_error};
use crate::support::bao_auth::{self, Issuer, READ_ALL};
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::kubernetes::{Cluster, NAMESPACE};
use crate::support::openbao::OpenBao;
use crate::support::own_process;
use crate::test_name;
use crate::vault::{Bao, run};

async fn fetch(provider: &dyn Provider) -> Result<Fetched, Error> {
    provider.fetch(&suite::name("db"), &VersionSelector::Current).await
}

/// The secret can be read.
async fn reads(bao: &Bao, provider: &dyn Provider) {
    let fetched = fetch(provider).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(bao.bytes(&fetched) == MARK.as_bytes());
}

/// With the secret `db` and a policy `reader`.
async fn prepare(bao: &Bao) {
    bao.put("db", MARK.as_bytes()).await;
    bao.server.policy("reader", READ_ALL);
}

fn token_file(bao: &Bao, token: &str) -> VaultAuth {
    VaultAuth::Token { file: Some(bao.server.file("token", token)) }
}

/// AppRole with a role whose tokens have `settings`.
fn approle(bao: &Bao, settings: Value) -> VaultAuth {
    let (role_id_file, secret_id_file) = bao_auth::approle(&bao.server, settings);
    VaultAuth::AppRole { mount: "approle".into(), role_id_file, secret_id_file, wrapped: false }
}

const LOGIN: &str = "POST /v1/auth/approle/login";
const RENEW: &str = "POST /v1/auth/token/renew-self";

#[test]
fn white_space_around_a_token_does_no_harm_and_anything_else_is_no_token() {
    run(test_name!(), async |bao| {
        prepare(&bao).await;
        let token = bao.server.token(&["reader"], json!({}));
        let provider = bao.provider_with(token_file(&bao, &format!(" {token}\r\n")));
        reads(&bao, &*provider).await;
        for odd in ["", "\n", "two words", "a\nb", "\u{e9}", "a\0b"] {
            let provider = bao.provider_with(token_file(&bao, odd));
            let error = expect_error(fetch(&*provider).await, ErrorKind::CredentialsRejected);
            assert!(error.detail.contains("token_file"), "{error}");
        }
        let absent = bao.provider_with(VaultAuth::Token { file: Some("/nonexistent/token".into()) });
        expect_error(fetch(&*absent).await, ErrorKind::CredentialsRejected);
    });
}

#[test]
fn a_file_of_credentials_that_everybody_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    run(test_name!(), async |bao| {
        prepare(&bao).await;
        let auth = token_file(&bao, "root");
        std::fs::set_permissions(bao.server.folder().join("token"), PermissionsExt::from_mode(0o644)).expect("a mode");
        let error = expect_error(fetch(&*bao.provider_with(auth)).await, ErrorKind::CredentialsRejected);
        assert!(error.detail.contains("chmod 600") && error.detail.contains("0644"), "{error}");
        assert_eq!(bao.proxy.all_calls(), 0);
    });
}

#[test]
fn without_settings_the_token_is_that_of_the_environment_and_then_that_of_the_home_directory() {
    own_process::run(test_name!(), |home: &Path| {
        let set = |value: Option<&str>| {
            // SAFETY: this process runs one test, and nothing else reads the environment meanwhile.
            unsafe {
                match value {
                    Some(value) => std::env::set_var("VAULT_TOKEN", value),
                    None => std::env::remove_var("VAULT_TOKEN"),
                }
            }
        };
        set(None);
        run(test_name!(), async |bao| {
            prepare(&bao).await;
            let build = || bao.provider_with(VaultAuth::Token { file: None });
            let error = expect_error(fetch(&*build()).await, ErrorKind::CredentialsRejected);
            assert!(error.detail.contains("VAULT_TOKEN"), "{error}");
            let token = bao.server.token(&["reader"], json!({}));
            std::fs::rename(bao.server.file("t", &token), home.join(".vault-token")).expect("moved");
            reads(&bao, &*build()).await;
            set(Some("s.not-a-token"));
            expect_error(fetch(&*build()).await, ErrorKind::CredentialsRejected);
            set(Some(&token));
            std::fs::remove_file(home.join(".vault-token")).expect("removed");
            reads(&bao, &*build()).await;
        });
    });
}

#[test]
fn a_token_that_was_replaced_in_its_file_is_used_at_once() {
    run(test_name!(), async |bao| {
        prepare(&bao).await;
        let provider = bao.provider_with(token_file(&bao, &bao.server.token(&["reader"], json!({}))));
        reads(&bao, &*provider).await;
        // Valid as well, but may nothing: only whoever noticed the change is refused.
        bao.server.file("token", &bao.server.token(&["default"], json!({})));
        expect_error(fetch(&*provider).await, ErrorKind::Denied);
        bao.server.file("token", &bao.server.token(&["reader"], json!({})));
        reads(&bao, &*provider).await;
    });
}

#[test]
fn a_token_that_was_revoked_is_credentials_rejected_until_there_is_another() {
    run(test_name!(), async |bao| {
        prepare(&bao).await;
        let token = bao.server.token(&["reader"], json!({}));
        let provider = bao.provider_with(token_file(&bao, &token));
        reads(&bao, &*provider).await;
        bao.server.root("POST", "auth/token/revoke", &json!({ "token": token }));
        for _ in 0..2 {
            let error = expect_error(fetch(&*provider).await, ErrorKind::CredentialsRejected);
            assert!(!error.detail.contains(&token), "the token is in an error's text");
        }
        expect_error(provider.list().await, ErrorKind::CredentialsRejected);
        expect_error(provider.look(&suite::name("db")).await, ErrorKind::CredentialsRejected);
        expect_error(provider.permissions(None, &[suite::name("db")]).await, ErrorKind::CredentialsRejected);
        expect_error(provider.whoami().await, ErrorKind::CredentialsRejected);
        bao.server.file("token", &bao.server.token(&["reader"], json!({})));
        reads(&bao, &*provider).await;
    });
}

#[test]
fn a_refusal_of_a_valid_token_is_denied_also_where_it_may_not_look_at_itself() {
    run(test_name!(), async |bao| {
        prepare(&bao).await;
        bao.server.policy("nothing", r#"path "nothing" { capabilities = ["deny"] }"#);
        let token = bao.server.token(&["nothing"], json!({"no_default_policy": true}));
        let provider = bao.provider_with(token_file(&bao, &token));
        expect_error(fetch(&*provider).await, ErrorKind::Denied);
    });
}

#[test]
fn an_approle_logs_in_once_and_again_when_its_token_is_refused() {
    run(test_name!(), async |bao| {
        prepare(&bao).await;
        let provider = bao.provider_with(approle(&bao, json!({})));
        for _ in 0..3 {
            reads(&bao, &*provider).await;
        }
        assert_eq!(bao.proxy.calls(LOGIN), 1);
        bao_auth::revoke_all(&bao.server);
        reads(&bao, &*provider).await;
        assert_eq!(bao.proxy.calls(LOGIN), 2);
        assert_eq!(provider.whoami().await.expect("an answer"), "approle (policies: default, reader)");
    });
}

#[test]
fn ids_that_are_refused_are_credentials_rejected_and_the_right_ones_are_picked_up() {
    run(test_name!(), async |bao| {
        prepare(&bao).await;
        let auth = approle(&bao, json!({}));
        bao.server.file("secret-id", MARK);
        let provider = bao.provider_with(auth);
        expect_error(fetch(&*provider).await, ErrorKind::CredentialsRejected);
        bao_auth::new_secret_id(&bao.server);
        reads(&bao, &*provider).await;
    });
}

#[test]
fn many_who_need_a_token_share_one_login_and_its_failure() {
    run(test_name!(), async |bao| {
        prepare(&bao).await;
        let provider = bao.provider_with(approle(&bao, json!({})));
        let at_once = async || {
            let mut reads = JoinSet::new();
            for _ in 0..50 {
                let provider = Arc::clone(&provider);
                reads.spawn(async move { fetch(&*provider).await.map_err(|error| error.kind).map(drop) });
            }
            reads.join_all().await
        };
        bao.proxy.set(LOGIN, Fault::Delay(Duration::from_millis(300)));
        assert!(at_once().await.iter().all(Result::is_ok));
        assert_eq!(bao.proxy.calls(LOGIN), 1);

        // All of them see their token refused.
        bao.proxy.forget_calls();
        bao_auth::revoke_all(&bao.server);
        assert!(at_once().await.iter().all(Result::is_ok));
        let logins = bao.proxy.calls(LOGIN);
        assert!((1..=3).contains(&logins), "{logins} logins");

        bao_auth::revoke_all(&bao.server);
        bao.server.file("secret-id", MARK);
        let _ = fetch(&*provider).await;
        bao.proxy.forget_calls();
        assert!(at_once().await.iter().all(|it| *it == Err(ErrorKind::CredentialsRejected)));
        let logins = bao.proxy.calls(LOGIN);
        assert!((1..=10).contains(&logins), "{logins} logins");
    });
}

#[test]
fn a_wrapped_secret_id_is_unwrapped_once_and_serves_every_login() {
    run(test_name!(), async |bao| {
        prepare(&bao).await;
        let VaultAuth::AppRole { mount, role_id_file, secret_id_file, .. } = approle(&bao, json!({})) else {
            unreachable!("it is one")
        };
        let token = bao_auth::new_wrapped_secret_id(&bao.server);
        let auth = VaultAuth::AppRole { mount, role_id_file, secret_id_file, wrapped: true };
        let provider = bao.provider_with(auth.clone());
        reads(&bao, &*provider).await;
        bao_auth::revoke_all(&bao.server);
        reads(&bao, &*provider).await;
        assert_eq!((bao.proxy.calls(LOGIN), bao.proxy.calls("POST /v1/sys/wrapping/unwrap")), (2, 1));

        // Another daemon comes too late, and says what that means.
        let late = bao.provider_with(auth);
        let error = expect_error(fetch(&*late).await, ErrorKind::CredentialsRejected);
        assert!(error.detail.contains("once") && error.detail.contains("secret_id_file"), "{error}");
        assert!(!error.detail.contains(&token), "the token is in an error's text");
        bao_auth::new_wrapped_secret_id(&bao.server);
        reads(&bao, &*late).await;
    });
}

#[test]
fn a_reader_that_leaves_does_not_lose_what_was_unwrapped() {
    run(test_name!(), async |bao| {
        prepare(&bao).await;
        let VaultAuth::AppRole { mount, role_id_file, secret_id_file, .. } = approle(&bao, json!({})) else {
            unreachable!("it is one")
        };
        bao_auth::new_wrapped_secret_id(&bao.server);
        let provider = bao.provider_with(VaultAuth::AppRole { mount, role_id_file, secret_id_file, wrapped: true });
        bao.proxy.set("POST /v1/sys/wrapping/unwrap", Fault::Delay(Duration::from_millis(300)));
        let unwrapping = async {
            while bao.proxy.calls("POST /v1/sys/wrapping/unwrap") == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            biased;
            () = unwrapping => {}
            _ = fetch(&*provider) => panic!("answered before it could be"),
        }
        reads(&bao, &*provider).await;
    });
}

#[test]
fn a_token_is_renewed_before_it_ends_and_outlives_its_first_lease() {
    run(test_name!(), async |bao| {
        prepare(&bao).await;
        let provider = bao.provider_with(approle(&bao, json!({"token_ttl": "15s", "token_max_ttl": "1h"})));
        let from_file = bao.provider_with(token_file(&bao, &bao.server.token(&["reader"], json!({"ttl": "15s"}))));
        reads(&bao, &*provider).await;
        reads(&bao, &*from_file).await;
        // Nobody reads meanwhile: it is renewed all the same.
        while bao.proxy.calls(RENEW) < 4 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        reads(&bao, &*provider).await;
        reads(&bao, &*from_file).await;
        assert_eq!(bao.proxy.calls(LOGIN), 1);
    });
}

#[test]
fn a_token_that_can_be_renewed_no_more_is_replaced_by_a_new_login() {
    run(test_name!(), async |bao| {
        prepare(&bao).await;
        let provider = bao.provider_with(approle(&bao, json!({"token_ttl": "4s", "token_max_ttl": "4s"})));
        while bao.proxy.calls(LOGIN) < 3 {
            reads(&bao, &*provider).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn a_provider_that_is_gone_renews_nothing() {
    run(test_name!(), async |bao| {
        prepare(&bao).await;
        let provider = bao.provider_with(approle(&bao, json!({"token_ttl": "9s"})));
        reads(&bao, &*provider).await;
        drop(provider);
        bao.proxy.forget_calls();
        // It would have renewed its token 6 s after it got it.
        tokio::time::sleep(Duration::from_secs(8)).await;
        assert_eq!(bao.proxy.calls(RENEW), 0);
    });
}

#[test]
fn a_jwt_logs_in_and_one_that_has_expired_does_not() {
    run(test_name!(), async |bao| {
        prepare(&bao).await;
        let server = &bao.server;
        let issuer = Issuer::start(server);
        let token_file = issuer.issue(server, -300);
        let auth = VaultAuth::Jwt { mount: "jwt".into(), role: "hushfs".into(), token_file };
        let provider = bao.provider_with(auth);
        expect_error(fetch(&*provider).await, ErrorKind::CredentialsRejected);
        issuer.issue(server, 600);
        reads(&bao, &*provider).await;
        assert!(provider.whoami().await.expect("an answer").starts_with("jwt-worker"));
    });
}

#[test]
fn a_pods_own_token_logs_in_where_kubernetes_vouches_for_it() {
    run(test_name!(), async |bao| {
        prepare(&bao).await;
        let (server, cluster) = (&bao.server, Cluster::start());
        let pods = ["worker", "gone", "other"].map(|account| cluster.token_of(account));
        bao_auth::kubernetes(server, &cluster, &["worker", "gone"]);
        cluster.ok("DELETE", &format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/gone"), &Value::Null);
        // The API server looks accounts up in a copy, which lags, and keeps a good answer for 10 s.
        let (reviews, review) = ("/apis/authentication.k8s.io/v1/tokenreviews", json!({"spec": {"token": pods[1]}}));
        while cluster.ok("POST", reviews, &review)["status"]["authenticated"] == true {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for (token, is_let_in) in pods.iter().zip([true, false, false]) {
            let token_file = server.file("pod-token", token);
            let auth = VaultAuth::Kubernetes { mount: "kubernetes".into(), role: "hushfs".into(), token_file };
            let provider = bao.provider_with(auth);
            if is_let_in {
                reads(&bao, &*provider).await;
            } else {
                let error = expect_error(fetch(&*provider).await, ErrorKind::CredentialsRejected);
                assert!(!error.detail.contains(token), "the token is in an error's text");
            }
        }
    });
}

#[test]
fn a_client_certificate_logs_in_over_tls_and_the_server_must_be_trusted() {
    let server = OpenBao::start_with_tls();
    let proxy = FaultProxy::start(server.address());
    let bao = Bao::of(server, proxy);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        prepare(&bao).await;
        let (ca, certificate, key) = bao.server.certificates();
        bao_auth::certificates(&bao.server);
        let build = |ca_file: Option<&PathBuf>, cert_file: &PathBuf, role: Option<&str>| {
            let auth = VaultAuth::Cert {
                mount: "cert".into(),
                role: role.map(str::to_owned),
                cert_file: cert_file.clone(),
                key_file: key.clone(),
            };
            suite::build(bao.scope_with(|settings| {
                settings.address = bao.server.tls_url();
                settings.ca_file = ca_file.cloned();
                settings.auth = auth;
            }))
        };
        reads(&bao, &*build(Some(&ca), &certificate, Some("hushfs"))).await;
        reads(&bao, &*build(Some(&ca), &certificate, None)).await;
        let other = build(Some(&ca), &certificate, Some("other"));
        expect_error(fetch(&*other).await, ErrorKind::CredentialsRejected);
        let wary = build(None, &certificate, None);
        let error = expect_error(fetch(&*wary).await, ErrorKind::Unreachable);
        assert!(error.detail.contains("certificate"), "{error}");
        expect_error(fetch(&*build(Some(&key), &certificate, None)).await, ErrorKind::Malformed);
        expect_error(
            fetch(&*build(Some(&ca), &bao.server.folder().join("log"), None)).await,
            ErrorKind::CredentialsRejected,
        );
        expect_error(
            fetch(&*build(Some(&PathBuf::from("/nonexistent")), &certificate, None)).await,
            ErrorKind::Malformed,
        );
    });
}
