//! A secret is rotated at the provider while memory holds it, whichever the provider.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use crate::support::daemon::{Place, errno_of_reading, xattr};

const OLD: &str = "the old one";
const NEW: &str = "the new one, and longer";

/// Has the provider keep the version before?
#[derive(PartialEq)]
enum Previous {
    Kept,
    NotKept,
}

/// The file that holds `OLD` when the mount of `place` begins, and `NEW` once `rotate` is done.
fn is_rotated(place: &Place, previous: &Previous, rotate: impl FnOnce()) {
    let file = place.mnt().join("app/db/PASSWORD");
    let text = || fs::read_to_string(&file).unwrap_or_else(|error| panic!("{error}: {}", place.log()));
    assert_eq!(text(), OLD);
    let mut open = File::open(&file).unwrap();
    let seen = |file: &PathBuf| {
        let metadata = fs::metadata(file).unwrap();
        (metadata.ino(), metadata.len(), xattr(file, "user.hushfs.version").expect("a version"))
    };
    let (ino, _, before) = seen(&file);
    let fetched = place.calls("app", "fetch");

    rotate();
    assert_eq!(text(), OLD, "within ttl memory answers");
    assert_eq!(place.calls("app", "fetch"), fetched, "and asks nobody");

    let refreshed = place.run(&["refresh", &file.to_string_lossy()]);
    assert!(refreshed.status.success(), "{}", String::from_utf8_lossy(&refreshed.stderr));
    assert_eq!(text(), NEW);
    let (number, length, after) = seen(&file);
    assert_eq!((number, length), (ino, NEW.len() as u64));
    assert_ne!(before, after, "another version");
    for _ in 0..2 {
        let mut still = String::new();
        open.rewind().unwrap();
        open.read_to_string(&mut still).unwrap();
        assert_eq!(still, OLD, "what is open stays as it was");
    }
    let former = file.with_file_name("@previous").join("PASSWORD");
    match previous {
        Previous::Kept => assert_eq!(fs::read_to_string(former).unwrap(), OLD),
        Previous::NotKept => assert_eq!(errno_of_reading(&former), Some(libc::ENOENT)),
    }
}

fn json(value: &str) -> String {
    format!(r#"{{"PASSWORD":"{value}"}}"#)
}

/// A file of credentials.
fn private(place: &Place, contents: &str) -> PathBuf {
    let file = place.path().join("credentials");
    fs::write(&file, contents).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}

#[test]
fn a_rotation_in_a_local_encrypted_file_is_seen_and_what_is_open_stays() {
    let place = Place::new();
    let store = crate::support::store::Store::new(place.path());
    store.put("db.json.age", json(OLD).as_bytes());
    let _daemon = place.mount(&store.scope("app"));
    is_rotated(&place, &Previous::NotKept, || store.put("db.json.age", json(NEW).as_bytes()));
}

#[test]
fn a_rotation_in_aws_secrets_manager_is_seen_and_what_is_open_stays() {
    let place = Place::new();
    let cloud = crate::support::cloud::Cloud::start(&place);
    cloud.create("db", json(OLD).as_bytes());
    let _daemon = cloud.mount(&place, &cloud.scope("app", ""));
    is_rotated(&place, &Previous::Kept, || drop(cloud.wait(cloud.account.rotate("db", json(NEW).as_bytes()))));
}

#[test]
fn a_rotation_in_aws_parameter_store_is_seen_and_what_is_open_stays() {
    let place = Place::new();
    let cloud = crate::support::cloud::Cloud::start(&place);
    cloud.wait(cloud.account.put_secure("/app/db/PASSWORD", OLD));
    let _daemon = cloud.mount(&place, &cloud.parameters("app", "/app/", ""));
    let rotate = || {
        cloud.wait(cloud.account.put_secure("/app/db/PASSWORD", NEW));
    };
    is_rotated(&place, &Previous::NotKept, rotate);
}

#[test]
fn a_rotation_in_google_cloud_secret_manager_is_seen_and_what_is_open_stays() {
    let place = Place::new();
    let server = crate::support::gcp::Gcp::start();
    server.create("db", json(OLD).as_bytes());
    let _daemon = place.mount(&format!(
        "[scopes.app]\nprovider = \"gcp-secret-manager\"\nproject = \"my-project\"\nendpoint_url = {:?}\n\
         auth = {{ method = \"anonymous\" }}\n",
        server.url()
    ));
    is_rotated(&place, &Previous::Kept, || drop(server.add_version("db", json(NEW).as_bytes())));
}

#[test]
fn a_rotation_in_vault_is_seen_and_what_is_open_stays() {
    let place = Place::new();
    let server = crate::support::openbao::OpenBao::start();
    let put = |value: &str| {
        server.root("POST", "secret/data/db", &serde_json::json!({"data": {"PASSWORD": value}}));
    };
    put(OLD);
    server.policy("app", r#"path "secret/data/db" { capabilities = ["read"] }"#);
    let token = server.file("token", &server.token(&["app"], serde_json::json!({})));
    let _daemon = place.mount(&format!(
        "[scopes.app]\nprovider = \"vault\"\naddress = {:?}\nauth = {{ method = \"token\", token_file = {token:?} }}\n",
        server.url()
    ));
    is_rotated(&place, &Previous::Kept, || put(NEW));
}

#[test]
fn a_rotation_in_databricks_is_seen_and_what_is_open_stays() {
    let place = Place::new();
    let workspace = crate::support::databricks::Workspace::start();
    workspace.put("db", "PASSWORD", OLD.as_bytes());
    workspace.allow("db", "reader", "READ");
    let token = private(&place, &workspace.token("reader"));
    let _daemon = place.mount(&format!(
        "[scopes.app]\nprovider = \"databricks\"\nhost = {:?}\nauth = {{ method = \"pat\", token_file = {token:?} }}\n",
        workspace.url()
    ));
    is_rotated(&place, &Previous::NotKept, || workspace.put("db", "PASSWORD", NEW.as_bytes()));
}

#[test]
fn a_rotation_in_kubernetes_is_seen_without_the_right_to_watch_and_what_is_open_stays() {
    let place = Place::new();
    let cluster = crate::support::kubernetes::Cluster::start();
    cluster.put("db", &[("PASSWORD", OLD.as_bytes())]);
    let rules = serde_json::json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]);
    cluster.allow("app", "ServiceAccount/app", rules);
    let kubeconfig = cluster.kubeconfig("config", &format!("    token: {}", cluster.token_of("app")));
    let _daemon = place.mount(&format!(
        "[scopes.app]\nprovider = \"kubernetes\"\nauth = {{ method = \"kubeconfig\", kubeconfig = {kubeconfig:?} }}\n"
    ));
    is_rotated(&place, &Previous::NotKept, || cluster.put("db", &[("PASSWORD", NEW.as_bytes())]));
}

#[test]
fn a_rotation_in_azure_key_vault_is_seen_and_what_is_open_stays() {
    use crate::support::azure::{CLIENT, KeyVault, SECRET, TENANT};
    let place = Place::new();
    let vault = KeyVault::start();
    vault.put("db", &json(OLD));
    let (secret, url) = (private(&place, SECRET), vault.url());
    let _daemon = place.mount(&format!(
        "[scopes.app]\nprovider = \"azure-key-vault\"\nvault_url = {url:?}\nca_file = {:?}\n\
         auth = {{ method = \"client-secret\", tenant_id = \"{TENANT}\", client_id = \"{CLIENT}\", \
         client_secret_file = {secret:?}, authority_host = {url:?} }}\n",
        vault.ca_file()
    ));
    is_rotated(&place, &Previous::Kept, || vault.put("db", &json(NEW)));
}
