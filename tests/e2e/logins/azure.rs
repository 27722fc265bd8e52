//! Azure's credentials, on the vault of `support/azure.rs`.

use std::path::PathBuf;
use std::process::Command;

use crate::support::azure::{CLIENT, FEDERATED, IDENTITY_HEADER, KeyVault, SECRET, TENANT};
use crate::support::daemon::{Place, xattr};
use crate::support::session::Session;
use crate::support::walk::{Walk, cat, is_refused, is_well, ls};

const OLD: &str = "the value itself";
const NEW: &str = "another value";

struct Azure {
    place: Place,
    vault: KeyVault,
}

impl Azure {
    /// With the secret `prod-db`.
    fn new() -> Self {
        let vault = KeyVault::start();
        vault.put("prod-db", &password(OLD));
        Self { place: Place::new(), vault }
    }

    fn scope(&self, auth: &str) -> String {
        format!(
            "[scopes.azure]\nprovider = \"azure-key-vault\"\nvault_url = {:?}\nca_file = {:?}\nprefix = \"prod-\"\n\
             negative_ttl = \"100ms\"\n{auth}\n",
            self.vault.url(),
            self.vault.ca_file()
        )
    }

    /// Of an application, with what only its method has.
    fn application(&self, method: &str, more: &str) -> String {
        self.scope(&format!(
            "auth = {{ method = {method:?}, tenant_id = \"{TENANT}\", client_id = \"{CLIENT}\", {more}, \
             authority_host = {:?} }}",
            self.vault.url()
        ))
    }

    fn with_client_secret(&self) -> String {
        let file = self.place.private("client-secret", SECRET);
        self.application("client-secret", &format!("client_secret_file = {file:?}"))
    }

    fn walk(&self) {
        let walk = Walk { place: &self.place, scope: "azure", secret: "db", key: "PASSWORD", old: OLD, new: NEW };
        walk.through(|| self.vault.put("prod-db", &password(NEW)));
    }

    /// All that a login is for; gives who we are taken for.
    fn is_logged_in(&self, session: &Session<'_>, configuration: &str, whoami: &str) {
        is_well(&session.check(configuration), whoami, "db");
        let daemon = session.mount(configuration);
        self.walk();
        let log = self.place.log();
        assert!(!log.contains("marked"), "{log}");
        assert!(daemon.stop().success());
        self.vault.put("prod-db", &password(OLD));
    }

    fn file(&self, path: &str) -> PathBuf {
        self.place.mnt().join("azure").join(path)
    }
}

fn password(value: &str) -> String {
    serde_json::json!({ "PASSWORD": value }).to_string()
}

#[test]
fn a_client_secret_reads_and_one_that_replaces_it_counts_at_the_next_call() {
    let azure = Azure::new();
    let configuration = azure.with_client_secret();
    let session = Session::new(&azure.place);
    azure.is_logged_in(&session, &configuration, &format!("application {CLIENT}"));

    let _daemon = session.mount(&configuration);
    let file = azure.file("db/PASSWORD");
    assert_eq!(cat(&file), OLD);
    // The token that there is would be good for an hour.
    azure.place.private("client-secret", "marked~another");
    azure.place.refused_refresh(&file);
    is_refused(&file, libc::EKEYREJECTED, "AADSTS7000215");
    azure.vault.set_client_secret("marked~another");
    crate::support::daemon::eventually("it is read again", || std::fs::read(azure.file("db/PASSWORD")).ok());
    assert_eq!(cat(&azure.file("db/PASSWORD")), OLD);
}

#[test]
fn a_certificate_signs_for_its_application() {
    let azure = Azure::new();
    crate::support::missing::program("openssl", "openssl");
    let file = azure.place.private("app.pem", "");
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=app", "-days", "2", "-out", "crt"]);
    openssl.args(["-keyout", "key"]).current_dir(azure.place.path());
    assert!(openssl.output().expect("openssl runs").status.success());
    let read = |name: &str| std::fs::read_to_string(azure.place.path().join(name)).expect("made");
    azure.place.private("app.pem", &(read("crt") + &read("key")));
    let configuration = azure.application("certificate", &format!("certificate_file = {file:?}"));
    let session = Session::new(&azure.place);
    let daemon = session.mount(&configuration);
    is_refused(&azure.file("db/PASSWORD"), libc::EKEYREJECTED, "app.pem");
    assert!(daemon.stop().success());
    azure.vault.trust_certificate(&read("crt"));
    azure.is_logged_in(&session, &configuration, &format!("application {CLIENT}"));
}

#[test]
fn the_identity_of_a_machine_is_its_own_or_one_that_is_assigned_to_it() {
    let azure = Azure::new();
    let session = Session::new(&azure.place)
        .with("IDENTITY_ENDPOINT", azure.vault.identity_endpoint())
        .with("IDENTITY_HEADER", IDENTITY_HEADER);
    let own = azure.scope("auth = { method = \"managed-identity\" }");
    azure.is_logged_in(&session, &own, "obj-of-the-machine");
    let assigned = azure.scope("auth = { method = \"managed-identity\", client_id = \"the-assigned\" }");
    azure.is_logged_in(&session, &assigned, "the-assigned");
    azure.is_logged_in(&session, &azure.scope(""), "obj-of-the-machine");
    let elsewhere = Session::new(&azure.place)
        .with("IDENTITY_ENDPOINT", azure.vault.identity_endpoint())
        .with("IDENTITY_HEADER", "marked-wrong");
    let _daemon = elsewhere.mount(&own);
    is_refused(&azure.file("db/PASSWORD"), libc::EKEYREJECTED, "managed identity");
}

#[test]
fn a_workloads_token_is_exchanged_and_read_anew_whenever_it_is() {
    let azure = Azure::new();
    let file = azure.place.private("federated", FEDERATED);
    // As a platform makes it.
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let written = azure.application("workload-identity", &format!("token_file = {file:?}"));
    azure.is_logged_in(&Session::new(&azure.place), &written, &format!("application {CLIENT}"));
    let session = Session::new(&azure.place)
        .with_all(&[("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", CLIENT)])
        .with("AZURE_FEDERATED_TOKEN_FILE", &file)
        .with("AZURE_AUTHORITY_HOST", azure.vault.url());
    let of_the_environment = azure.scope("auth = { method = \"workload-identity\" }");
    azure.is_logged_in(&session, &of_the_environment, &format!("application {CLIENT}"));
    azure.is_logged_in(&session, &azure.scope(""), &format!("application {CLIENT}"));

    let _daemon = session.mount(&of_the_environment);
    azure.place.private("federated", "marked.outdated");
    is_refused(&azure.file("db/PASSWORD"), libc::EKEYREJECTED, "invalid_client");
    azure.place.private("federated", FEDERATED);
    crate::support::daemon::eventually("it is read again", || std::fs::read(azure.file("db/PASSWORD")).ok());
    assert_eq!(cat(&azure.file("db/PASSWORD")), OLD);
}

#[test]
fn the_login_of_the_azure_cli_is_used_and_what_it_says_otherwise_is_told() {
    let azure = Azure::new();
    let az = |script: &str| {
        let path = azure.place.private("az", &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    };
    let session = Session::new(&azure.place).with("PATH", format!("{}:/usr/bin:/bin", azure.place.path().display()));
    let configuration = azure.scope("auth = { method = \"cli\" }");
    az("echo 'ERROR: Please run az login to set up an account' >&2; exit 1");
    let daemon = session.mount(&configuration);
    is_refused(&azure.file("db/PASSWORD"), libc::EKEYREJECTED, "az login");
    assert!(daemon.stop().success());
    let token = azure.vault.issue();
    az(&format!("echo '{{\"accessToken\":\"{token}\",\"expires_on\":4102444800,\"tokenType\":\"Bearer\"}}'"));
    azure.is_logged_in(&session, &configuration, &format!("application {CLIENT}"));
}

#[test]
fn a_vault_is_reached_at_another_address_where_one_is_set() {
    let azure = Azure::new();
    let url = azure.vault.url();
    let configuration = azure.with_client_secret().replace(
        &format!("vault_url = {url:?}"),
        &format!("vault_url = \"https://my-vault.vault.azure.net\"\nendpoint_url = {url:?}"),
    );
    azure.is_logged_in(&Session::new(&azure.place), &configuration, &format!("application {CLIENT}"));
}

#[test]
fn a_disabled_version_is_refused_and_one_that_has_expired_is_served_with_its_times() {
    let azure = Azure::new();
    let shut = azure.vault.put_as("prod-db", &password(NEW), |version| version.enabled = false);
    azure.vault.put_as("prod-late", "still there", |version| version.expires = Some(1_600_000_000));
    let _daemon = Session::new(&azure.place).mount(&azure.with_client_secret());
    assert_eq!(ls(&azure.file("")), ["db", "late"]);
    is_refused(&azure.file("db/PASSWORD"), libc::EACCES, "SecretDisabled");
    is_refused(&azure.file(&format!("db/@{shut}/PASSWORD")), libc::EACCES, "SecretDisabled");
    assert_eq!(cat(&azure.file("db/@previous/PASSWORD")), OLD);
    assert_eq!(cat(&azure.file("late/value")), "still there");
    let expires = xattr(&azure.file("late/value"), "user.hushfs.tag.azure.expires");
    assert_eq!(expires.as_deref(), Some("2020-09-13T12:26:40Z"));
}

#[test]
fn a_certificates_private_part_is_a_file_exactly_as_the_vault_holds_it() {
    let azure = Azure::new();
    crate::support::missing::program("openssl", "openssl");
    let make = |args: &[&str]| {
        let output = Command::new("openssl").args(args).current_dir(azure.place.path()).output().expect("openssl runs");
        assert!(output.status.success(), "{output:?}");
    };
    let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    make(&[&["req", "-x509"], &new[..], &["-keyout", "key", "-out", "crt", "-subj", "/CN=web", "-days", "2"]].concat());
    make(&["pkcs12", "-export", "-inkey", "key", "-in", "crt", "-passout", "pass:", "-out", "pfx"]);
    make(&["base64", "-A", "-in", "pfx", "-out", "pfx.b64"]);
    let read = |name: &str| std::fs::read_to_string(azure.place.path().join(name)).expect("made");
    let pem = read("key") + &read("crt");
    for (name, value, kind) in
        [("prod-web", &pem, "application/x-pem-file"), ("prod-pfx", &read("pfx.b64"), "application/x-pkcs12")]
    {
        azure.vault.put_as(name, value, |version| {
            version.content_type = Some(kind.into());
            version.kid = Some(format!("https://my-vault.vault.azure.net/keys/{name}/1"));
        });
    }
    let _daemon = Session::new(&azure.place).mount(&azure.with_client_secret());
    assert_eq!(ls(&azure.file("")), ["db", "pfx", "web"]);
    assert_eq!(cat(&azure.file("web/value")), pem);
    assert_eq!(
        xattr(&azure.file("web/value"), "user.hushfs.tag.azure.content_type").as_deref(),
        Some("application/x-pem-file")
    );
    let verify =
        Command::new("openssl").args(["x509", "-noout", "-subject", "-in"]).arg(azure.file("web/value")).output();
    assert!(String::from_utf8_lossy(&verify.unwrap().stdout).contains("web"));
    let script = format!("base64 -d {}", azure.file("pfx/value").display());
    let decoded = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(decoded.stdout, std::fs::read(azure.place.path().join("pfx")).unwrap());
}
