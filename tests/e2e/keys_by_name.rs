//! `ls` of a secret's directory, where the provider can name keys without their values.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::daemon::{Place, errno_of_reading};
use crate::support::databricks::Workspace;
use crate::support::fault_proxy::FaultProxy;
use crate::support::openbao::OpenBao;

fn ls(path: &Path) -> Vec<String> {
    let output = Command::new("ls").arg("--color=never").arg(path).output().expect("ls runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn vault(address: &str, server: &OpenBao, rules: &str) -> String {
    server.policy("hushfs", rules);
    let file = server.file("token", &server.token(&["hushfs"], json!({})));
    format!(
        "[scopes.vault]\nprovider = \"vault\"\naddress = {address:?}\nprefix = \"prod/\"\n\
         auth = {{ method = \"token\", token_file = {file:?} }}\n"
    )
}

const SEE_KEYS: &str = r#"path "secret/subkeys/prod/*" { capabilities = ["read"] }
    path "secret/metadata/prod/*" { capabilities = ["list", "read"] }"#;
const READ: &str = r#"path "secret/data/prod/*" { capabilities = ["read"] }
    path "secret/metadata/prod/*" { capabilities = ["list", "read"] }"#;

fn write(server: &OpenBao, fields: &serde_json::Value) {
    server.root("POST", "secret/data/prod/db", &json!({ "data": fields }));
}

#[test]
fn keys_in_vault_are_listed_by_who_may_read_none_of_their_values() {
    let place = Place::new();
    let server = OpenBao::start();
    write(&server, &json!({"USER": "app", "a/b": {"deep": "x"}, "NONE": null}));
    server.put("prod/db/below", "another secret");
    let _daemon = place.mount(&vault(&server.url(), &server, SEE_KEYS));
    let db = place.mnt().join("vault/db");

    assert_eq!(ls(&db), ["NONE", "USER", "a%2Fb", "below"]);
    let kinds = fs::read_dir(&db).unwrap().map(|entry| entry.unwrap());
    let files: Vec<_> = kinds.filter(|entry| entry.file_type().unwrap().is_file()).collect();
    assert_eq!(files.len(), 3, "a listing tells files from directories");
    assert_eq!(place.calls("vault", "fetch"), 0, "no value was asked for");
    assert_eq!(errno_of_reading(&db.join("USER")), Some(libc::EACCES));
}

#[test]
fn keys_in_vault_cost_one_call_until_somebody_wants_more_than_their_names() {
    let place = Place::new();
    let server = OpenBao::start();
    let proxy = FaultProxy::start(server.address());
    write(&server, &json!({"USER": "app", "PASSWORD": "secret"}));
    let both = format!("{SEE_KEYS}\n{READ}");
    let _daemon = place.mount(&vault(&proxy.url(), &server, &both));
    let db = place.mnt().join("vault/db");
    let calls = |what: &str| proxy.calls(&format!("GET /v1/secret/{what}/prod/db"));

    for _ in 0..3 {
        assert_eq!(ls(&db), ["PASSWORD", "USER"]);
    }
    assert_eq!((calls("subkeys"), calls("data")), (1, 0), "names only");
    let sizes: Vec<u64> = ["USER", "PASSWORD"].iter().map(|key| fs::metadata(db.join(key)).unwrap().len()).collect();
    assert_eq!(sizes, [3, 6], "a size takes the value");
    assert_eq!(fs::read_to_string(db.join("PASSWORD")).unwrap(), "secret");
    assert_eq!((calls("subkeys"), calls("data")), (1, 1), "one fetch for both keys");

    // Another key, and word of it: the next listing has it, with or without the value in memory.
    write(&server, &json!({"USER": "app", "PASSWORD": "secret", "PORT": "5432"}));
    let refresh = place.run(&["refresh", &place.mnt().to_string_lossy()]);
    assert!(refresh.status.success(), "{}", String::from_utf8_lossy(&refresh.stderr));
    assert_eq!(ls(&db), ["PASSWORD", "PORT", "USER"]);
    write(&server, &json!({"USER": "app"}));
    let flush = place.run(&["flush", &place.mnt().to_string_lossy()]);
    assert!(flush.status.success(), "{}", String::from_utf8_lossy(&flush.stderr));
    assert_eq!(ls(&db), ["USER"]);
}

#[test]
fn keys_in_vault_are_listed_by_their_values_where_a_policy_allows_no_more() {
    let place = Place::new();
    let server = OpenBao::start();
    write(&server, &json!({"USER": "app", "PASSWORD": "secret"}));
    let _daemon = place.mount(&vault(&server.url(), &server, READ));
    let db = place.mnt().join("vault/db");
    assert_eq!(ls(&db), ["PASSWORD", "USER"]);
    assert_eq!(place.calls("vault", "fetch"), 1);
    assert_eq!(place.calls("vault", "errors"), 0, "that names are not to be had alone is no trouble");
}

#[test]
fn keys_in_vault_stay_whole_where_the_format_makes_one_file_of_them() {
    let place = Place::new();
    let server = OpenBao::start();
    write(&server, &json!({"USER": "app", "PASSWORD": "secret"}));
    let raw = format!("{}format = \"raw\"\n", vault(&server.url(), &server, &format!("{SEE_KEYS}\n{READ}")));
    let _daemon = place.mount(&raw);
    assert_eq!(ls(&place.mnt().join("vault/db")), ["value"]);
}

#[test]
fn keys_in_databricks_are_listed_without_their_values() {
    let (place, workspace) = (Place::new(), Workspace::start());
    for key in ["A", "B", "C"] {
        workspace.put("airflow", key, b"value");
    }
    workspace.allow("airflow", "reader", "READ");
    let token = place.path().join("token");
    fs::write(&token, workspace.token("reader")).unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let _daemon = place.mount(&format!(
        "[scopes.lake]\nprovider = \"databricks\"\nhost = {:?}\nauth = {{ method = \"pat\", token_file = {token:?} }}\n",
        workspace.url()
    ));
    let airflow = place.mnt().join("lake/airflow");
    assert_eq!(ls(&airflow), ["A", "B", "C"]);
    assert_eq!(place.calls("lake", "fetch"), 0);
    assert_eq!(fs::read_to_string(airflow.join("B")).unwrap(), "value");
    assert_eq!(place.calls("lake", "fetch"), 1);
}
