//! One program reads `/secrets/app/db/PASSWORD`, whichever provider is behind the scope: from a laptop's encrypted
//! file to any cloud, it is the scope's lines that change and not the program.

use std::path::Path;
use std::process::Command;

use crate::support::daemon::Place;
use crate::support::missing;

const VALUE: &str = "it's $ecret";

/// Sees the mount as `/secrets`, and nothing else of this test.
const PROGRAM: &str = "
with open('/secrets/app/db/PASSWORD') as file:
    print(file.read(), end='')
";

/// What the program prints.
fn run(mountpoint: &Path) -> String {
    missing::program("bwrap", "bubblewrap");
    missing::program("python3", "python3");
    let mut command = Command::new("bwrap");
    command.args(["--die-with-parent", "--ro-bind", "/usr", "/usr", "--dev", "/dev"]);
    for folder in ["lib", "lib64", "bin"] {
        command.args(["--symlink", &format!("usr/{folder}"), &format!("/{folder}")]);
    }
    command.arg("--ro-bind").arg(mountpoint).args(["/secrets", "/usr/bin/python3", "-I", "-c", PROGRAM]);
    let output = command.output().expect("bwrap runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[cfg(feature = "local")]
#[test]
fn the_program_reads_from_a_local_encrypted_file() {
    let place = Place::new();
    let store = crate::support::store::Store::new(place.path());
    store.put("db.json.age", br#"{"PASSWORD":"it's $ecret"}"#);
    let _daemon = place.mount(&store.scope("app"));
    assert_eq!(run(&place.mnt()), VALUE);
}

#[cfg(feature = "aws")]
#[test]
fn the_program_reads_from_aws_secrets_manager() {
    let place = Place::new();
    let cloud = crate::support::cloud::Cloud::start(&place);
    cloud.create("db", br#"{"PASSWORD":"it's $ecret"}"#);
    let _daemon = cloud.mount(&place, &cloud.scope("app", ""));
    assert_eq!(run(&place.mnt()), VALUE);
}

#[cfg(feature = "aws")]
#[test]
fn the_program_reads_from_aws_parameter_store() {
    let place = Place::new();
    let cloud = crate::support::cloud::Cloud::start(&place);
    cloud.wait(cloud.account.put_secure("/app/db/PASSWORD", VALUE));
    let _daemon = cloud.mount(&place, &cloud.parameters("app", "/app/", ""));
    assert_eq!(run(&place.mnt()), VALUE);
}

#[cfg(feature = "gcp")]
#[test]
fn the_program_reads_from_google_cloud_secret_manager() {
    let place = Place::new();
    let server = crate::support::gcp::Gcp::start();
    server.create("db", br#"{"PASSWORD":"it's $ecret"}"#);
    let _daemon = place.mount(&format!(
        "[scopes.app]\nprovider = \"gcp-secret-manager\"\nproject = \"my-project\"\nendpoint_url = {:?}\n\
         auth = {{ method = \"anonymous\" }}\n",
        server.url()
    ));
    assert_eq!(run(&place.mnt()), VALUE);
}

#[cfg(feature = "vault")]
#[test]
fn the_program_reads_from_vault() {
    let place = Place::new();
    let server = crate::support::openbao::OpenBao::start();
    server.root("POST", "secret/data/db", &serde_json::json!({"data": {"PASSWORD": VALUE}}));
    server.policy("app", r#"path "secret/data/db" { capabilities = ["read"] }"#);
    let token = server.file("token", &server.token(&["app"], serde_json::json!({})));
    let _daemon = place.mount(&format!(
        "[scopes.app]\nprovider = \"vault\"\naddress = {:?}\nauth = {{ method = \"token\", token_file = {token:?} }}\n",
        server.url()
    ));
    assert_eq!(run(&place.mnt()), VALUE);
}

#[cfg(feature = "databricks")]
#[test]
fn the_program_reads_from_databricks() {
    let place = Place::new();
    let workspace = crate::support::databricks::Workspace::start();
    workspace.put("db", "PASSWORD", VALUE.as_bytes());
    workspace.allow("db", "reader", "READ");
    let token = place.path().join("token");
    std::fs::write(&token, workspace.token("reader")).unwrap();
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let _daemon = place.mount(&format!(
        "[scopes.app]\nprovider = \"databricks\"\nhost = {:?}\nauth = {{ method = \"pat\", token_file = {token:?} }}\n",
        workspace.url()
    ));
    assert_eq!(run(&place.mnt()), VALUE);
}

#[cfg(feature = "kubernetes")]
#[test]
fn the_program_reads_from_kubernetes() {
    let place = Place::new();
    let cluster = crate::support::kubernetes::Cluster::start();
    cluster.put("db", &[("PASSWORD", VALUE.as_bytes())]);
    let rules = serde_json::json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]);
    cluster.allow("app", "ServiceAccount/app", rules);
    let kubeconfig = cluster.kubeconfig("config", &format!("    token: {}", cluster.token_of("app")));
    let _daemon = place.mount(&format!(
        "[scopes.app]\nprovider = \"kubernetes\"\nauth = {{ method = \"kubeconfig\", kubeconfig = {kubeconfig:?} }}\n"
    ));
    assert_eq!(run(&place.mnt()), VALUE);
}

#[cfg(feature = "azure")]
#[test]
fn the_program_reads_from_azure_key_vault() {
    use crate::support::azure::{CLIENT, KeyVault, SECRET, TENANT};
    let place = Place::new();
    let vault = KeyVault::start();
    vault.put("db", r#"{"PASSWORD":"it's $ecret"}"#);
    let secret = place.path().join("client-secret");
    std::fs::write(&secret, SECRET).unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let url = vault.url();
    let _daemon = place.mount(&format!(
        "[scopes.app]\nprovider = \"azure-key-vault\"\nvault_url = {url:?}\nca_file = {:?}\n\
         auth = {{ method = \"client-secret\", tenant_id = \"{TENANT}\", client_id = \"{CLIENT}\", \
         client_secret_file = {secret:?}, authority_host = {url:?} }}\n",
        vault.ca_file()
    ));
    assert_eq!(run(&place.mnt()), VALUE);
}
