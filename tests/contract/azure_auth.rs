//! Azure's credentials: where they are found, when they are read anew, and what their refusal means.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use hushfs::config::AzureAuth;
use hushfs::provider::{Error, ErrorKind, Provider, VersionSelector};

use crate::azure::{Vault, run};
use crate::suite::{self, Fixture, MARK, expect_error};
use crate::support::azure::{CLIENT, FEDERATED, IDENTITY_HEADER, SECRET, TENANT};
use crate::support::fault_proxy::Fault;
use crate::test_name;

async fn read(provider: &dyn Provider) -> Result<(), Error> {
    provider.fetch(&suite::name("db"), &VersionSelector::Current).await.map(drop)
}

/// Also without a credential in its text.
async fn rejected(provider: &dyn Provider) -> Error {
    let error = expect_error(read(provider).await, ErrorKind::CredentialsRejected);
    for secret in [SECRET, FEDERATED, IDENTITY_HEADER, "PRIVATE KEY", "marked"] {
        assert!(!error.detail.contains(secret), "{error}");
    }
    error
}

async fn with(it: &Vault, auth: AzureAuth) -> Arc<dyn Provider> {
    it.put("db", MARK.as_bytes()).await;
    suite::build(it.scope_with(|settings| settings.auth = auth))
}

/// Variables of this process, which is the test's own.
fn set(variables: &[(&str, &str)]) {
    for (name, value) in variables {
        // SAFETY: of a test in a process of its own; what reads the environment meanwhile goes through std's lock.
        unsafe { std::env::set_var(name, value) };
    }
}

/// A certificate and its key.
fn certificate(folder: &Path, name: &str, kind: &str) -> (String, String) {
    let path = |end: &str| folder.join(format!("{name}.{end}"));
    let status = Command::new("openssl")
        .args(["req", "-x509", "-newkey", kind, "-nodes", "-subj", "/CN=app", "-days", "2"])
        .args(if kind == "ec" { &["-pkeyopt", "ec_paramgen_curve:P-256"][..] } else { &[] })
        .arg("-keyout")
        .arg(path("key"))
        .arg("-out")
        .arg(path("crt"))
        .output()
        .expect("openssl runs")
        .status;
    assert!(status.success());
    let read = |end| std::fs::read_to_string(path(end)).expect("made");
    (read("crt"), read("key"))
}

#[test]
fn a_client_secret_that_is_replaced_in_its_file_is_used_and_one_that_is_wrong_is_not() {
    run(test_name!(), async |it| {
        it.put("db", MARK.as_bytes()).await;
        let provider = suite::provider(&it);
        read(&*provider).await.unwrap();
        it.vault.set_client_secret("marked~another");
        // The token is good for longer than the secret that it was given for.
        read(&*provider).await.unwrap();
        assert_eq!(it.vault.issued(), 1);
        it.write("client-secret", "marked~another");
        read(&*provider).await.unwrap();
        assert_eq!(it.vault.issued(), 2, "a file that changed counts at once");

        it.vault.set_client_secret("marked~a~third");
        it.vault.revoke_tokens();
        let error = rejected(&*provider).await;
        assert!(error.detail.contains("invalid_client") && error.detail.contains("AADSTS7000215"), "{error}");
        assert!(!error.detail.contains("Trace ID"), "{error}");
        expect_error(provider.list().await, ErrorKind::CredentialsRejected);
        expect_error(provider.look(&suite::name("db")).await, ErrorKind::CredentialsRejected);
        it.write("client-secret", "marked~a~third");
        read(&*provider).await.unwrap();
        assert_eq!(it.vault.issued(), 3);
    });
}

#[test]
fn a_token_that_is_revoked_is_replaced_within_the_read() {
    run(test_name!(), async |it| {
        it.put("db", MARK.as_bytes()).await;
        let provider = suite::provider(&it);
        read(&*provider).await.unwrap();
        it.vault.revoke_tokens();
        read(&*provider).await.unwrap();
        assert_eq!(it.vault.issued(), 2);
    });
}

#[test]
fn a_file_that_holds_no_secret_is_credentials_rejected_and_nothing_is_sent() {
    run(test_name!(), async |it| {
        use std::os::unix::fs::PermissionsExt;
        it.put("db", MARK.as_bytes()).await;
        let provider = suite::provider(&it);
        for text in ["", " ", "two words", "h\u{e9}", "a\nb"] {
            it.write("client-secret", text);
            rejected(&*provider).await;
        }
        it.write("client-secret", SECRET);
        std::fs::set_permissions(it.folder.join("client-secret"), PermissionsExt::from_mode(0o644)).unwrap();
        assert!(rejected(&*provider).await.detail.contains("chmod 600"));
        std::fs::remove_file(it.folder.join("client-secret")).unwrap();
        rejected(&*provider).await;
        assert_eq!(it.vault.proxy.all_calls(), 0);
        it.write("client-secret", SECRET);
        read(&*provider).await.unwrap();
    });
}

#[test]
fn a_certificate_signs_what_is_asked_of_it_and_another_is_refused() {
    run(test_name!(), async |it| {
        let (crt, key) = certificate(&it.folder, "one", "rsa:2048");
        let (other, other_key) = certificate(&it.folder, "two", "rsa:2048");
        let (curved, curved_key) = certificate(&it.folder, "three", "ec");
        let file = it.write("app.pem", &format!("{key}{crt}"));
        let auth = AzureAuth::Certificate {
            tenant_id: TENANT.into(),
            client_id: CLIENT.into(),
            certificate_file: file.clone(),
        };
        let provider = with(&it, auth).await;
        let error = rejected(&*provider).await;
        assert!(error.detail.contains("invalid_client") && error.detail.contains("app.pem"), "{error}");
        it.vault.trust_certificate(&crt);
        read(&*provider).await.unwrap();
        it.vault.revoke_tokens();
        for text in
            [format!("{other}{other_key}"), format!("{crt}{other_key}"), format!("{curved}{curved_key}"), crt, key]
        {
            it.write("app.pem", &text);
            rejected(&*provider).await;
        }
        it.vault.trust_certificate(&other);
        it.write("app.pem", &format!("{other}{other_key}"));
        read(&*provider).await.unwrap();
    });
}

#[test]
fn a_platforms_token_is_read_for_every_exchange_and_may_be_open_to_all() {
    run(test_name!(), async |it| {
        use std::os::unix::fs::PermissionsExt;
        let file = it.write("federated", "marked-of-nobody");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
        let by_settings = AzureAuth::WorkloadIdentity {
            tenant_id: Some(TENANT.into()),
            client_id: Some(CLIENT.into()),
            token_file: Some(file.clone()),
        };
        let by_environment = AzureAuth::WorkloadIdentity { tenant_id: None, client_id: None, token_file: None };
        let provider = with(&it, by_environment).await;
        assert!(rejected(&*provider).await.detail.contains("AZURE_TENANT_ID"));
        set(&[
            ("AZURE_TENANT_ID", TENANT),
            ("AZURE_CLIENT_ID", CLIENT),
            ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
        ]);
        let providers = [provider, with(&it, by_settings).await, with(&it, AzureAuth::Default).await];
        for provider in &providers {
            rejected(&**provider).await;
        }
        it.write("federated", FEDERATED);
        for provider in &providers {
            read(&**provider).await.unwrap();
        }
    });
}

#[test]
fn the_identity_of_a_machine_is_asked_for_on_the_machine() {
    run(test_name!(), async |it| {
        // No proxy is asked for what is on this machine.
        set(&[("HTTP_PROXY", "http://127.0.0.1:9"), ("IDENTITY_ENDPOINT", &it.vault.identity_endpoint())]);
        set(&[("IDENTITY_HEADER", IDENTITY_HEADER)]);
        let provider = with(&it, AzureAuth::ManagedIdentity { client_id: None }).await;
        read(&*provider).await.unwrap();
        assert!(provider.whoami().await.unwrap().contains("obj-of-the-machine"));
        let assigned = with(&it, AzureAuth::ManagedIdentity { client_id: Some("the-assigned".into()) }).await;
        assert!(assigned.whoami().await.unwrap().contains("the-assigned"));
        read(&*with(&it, AzureAuth::Default).await).await.unwrap();
        set(&[("IDENTITY_HEADER", "marked-wrong")]);
        let error = rejected(&*with(&it, AzureAuth::ManagedIdentity { client_id: None }).await).await;
        assert!(error.detail.contains("managed identity") && error.detail.contains("not from here"), "{error}");
    });
}

/// A program `az` that is first on the path.
fn az(it: &Vault, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = it.folder.join("az");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
    path
}

#[test]
fn the_azure_clis_login_is_used_and_what_it_says_otherwise_is_told() {
    run(test_name!(), async |it| {
        set(&[("PATH", &format!("{}:/usr/bin:/bin", it.folder.display()))]);
        set(&[("IDENTITY_ENDPOINT", "http://127.0.0.1:9/"), ("IDENTITY_HEADER", IDENTITY_HEADER)]);
        for auth in [AzureAuth::Cli { tenant_id: None }, AzureAuth::Default] {
            let _ = std::fs::remove_file(it.folder.join("az"));
            let provider = with(&it, auth).await;
            let error = rejected(&*provider).await;
            assert!(error.detail.contains("Azure CLI"), "{error}");
            az(&it, "echo 'ERROR: Please run az login' >&2; exit 1");
            assert!(rejected(&*provider).await.detail.contains("az login"));
            az(&it, "echo '{\"accessToken\":\"marked'");
            rejected(&*provider).await;
            let token = it.vault.issue();
            az(
                &it,
                &format!("echo '{{\"accessToken\":\"{token}\",\"expires_on\":4102444800,\"tokenType\":\"Bearer\"}}'"),
            );
            read(&*provider).await.unwrap();
        }
    });
}

#[test]
fn the_environments_secret_and_certificate_come_before_everything_else() {
    run(test_name!(), async |it| {
        set(&[("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", CLIENT), ("AZURE_CLIENT_SECRET", "marked-wrong")]);
        set(&[("AZURE_AUTHORITY_HOST", &it.vault.url())]);
        it.put("db", MARK.as_bytes()).await;
        let provider = suite::build(it.scope_with(|settings| {
            settings.auth = AzureAuth::Default;
            settings.authority_host = None;
        }));
        assert!(rejected(&*provider).await.detail.contains("AZURE_CLIENT_SECRET"));
        set(&[("AZURE_CLIENT_SECRET", SECRET)]);
        read(&*provider).await.unwrap();

        let (crt, key) = certificate(&it.folder, "one", "rsa:2048");
        it.vault.trust_certificate(&crt);
        let file = it.write("app.pem", &format!("{crt}{key}"));
        set(&[("AZURE_CLIENT_SECRET", ""), ("AZURE_CLIENT_CERTIFICATE_PATH", file.to_str().unwrap())]);
        it.vault.set_client_secret("marked~another");
        read(&*with(&it, AzureAuth::Default).await).await.unwrap();
    });
}

#[test]
fn a_token_service_that_fails_is_an_outage_and_is_not_quoted() {
    run(test_name!(), async |it| {
        it.put("db", MARK.as_bytes()).await;
        let provider = suite::provider(&it);
        let endpoint = format!("{TENANT}/oauth2/v2.0/token");
        let page = |status| Fault::Answer { status, headers: vec!["Retry-After: 7".into()], body: format!("<{MARK}>") };
        for (fault, kind) in [
            (page(503), ErrorKind::Unreachable),
            (page(429), ErrorKind::Throttled),
            (page(400), ErrorKind::CredentialsRejected),
            (Fault::body(&format!("{{\"access_token\":{{\"{MARK}\":1}}}}")), ErrorKind::CredentialsRejected),
            (Fault::body(&format!("[\"{MARK}\"]")), ErrorKind::Malformed),
            (Fault::CutBody, ErrorKind::Unreachable),
            (Fault::Huge { bytes: 2 << 20 }, ErrorKind::TooLarge),
        ] {
            it.vault.proxy.set(&endpoint, fault);
            expect_error(read(&*provider).await, kind);
        }
        it.vault.proxy.set(&endpoint, Fault::Pass);
        read(&*provider).await.unwrap();
    });
}
