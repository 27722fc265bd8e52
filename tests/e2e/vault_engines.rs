//! Vault's namespaces and both versions of its key-value engine, as a user has them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::bao_auth::{self, READ_ALL};
use crate::support::daemon::{Place, errno_of_reading, xattr};
use crate::support::openbao::OpenBao;
use crate::support::vault_walk::{NEW, OLD, Walk, names, why};

/// The scope `app` with these lines, and a token that may do what `rules` say.
fn scope(server: &OpenBao, rules: &str, lines: &str) -> String {
    server.policy("app", rules);
    let file = server.file("token", &server.token(&["app"], json!({})));
    format!(
        "[scopes.app]\nprovider = \"vault\"\naddress = {:?}\nprefix = \"prod/\"\n{lines}\n\
         auth = {{ method = \"token\", token_file = {file:?} }}\n",
        server.url()
    )
}

#[test]
fn a_namespace_has_secrets_and_logins_of_its_own() {
    let (place, server) = (Place::new(), OpenBao::start());
    server.namespace("team");
    server.root("POST", "team:sys/policies/acl/reader", &json!({ "policy": READ_ALL }));
    let put = |value: &str| {
        server.root("POST", "team:secret/data/prod/db", &json!({"data": {"PASSWORD": value}}));
    };
    put(OLD);
    server.root("POST", "secret/data/prod/db", &json!({"data": {"PASSWORD": "of the namespace above"}}));
    let (role_id, secret_id) = bao_auth::approle_in(&server, "team:", json!({}));
    let scope = |namespace: &str| {
        format!(
            "[scopes.app]\nprovider = \"vault\"\naddress = {:?}\nprefix = \"prod/\"\n{namespace}\n\
             auth = {{ method = \"approle\", role_id_file = {role_id:?}, secret_id_file = {secret_id:?} }}\n",
            server.url()
        )
    };
    let walk = Walk::new(&place, &scope("namespace = \"team\""));
    let daemon = walk.is_taken_for("approle (policies: default, reader)").mount();
    walk.looks_around("vault");
    walk.sees_the_rotation(true, || put(NEW));
    assert!(daemon.stop().success());

    // The login is not there in another namespace, nor in that of root.
    for namespace in ["namespace = \"other\"", ""] {
        let walk = Walk::new(&place, &scope(namespace));
        assert_eq!(walk.check().0, Some(69), "{namespace}");
        let _daemon = walk.mount();
        assert!(errno_of_reading(&walk.file()).is_some(), "{namespace}");
        let (status, told) = why(&walk.file());
        assert!(status == Some(1) && told.contains("AppRole login at `approle`"), "{namespace}: {told}");
    }
}

#[test]
fn version_1_of_the_key_value_engine_keeps_one_value() {
    let (place, server) = (Place::new(), OpenBao::start());
    server.root("POST", "sys/mounts/kv", &json!({"type": "kv", "options": {"version": "1"}}));
    let put = |value: &str| {
        server.root("POST", "kv/prod/db", &json!({ "PASSWORD": value }));
    };
    put(OLD);
    let rules = r#"path "kv/prod/*" { capabilities = ["read", "list"] }"#;
    let walk = Walk::new(&place, &scope(&server, rules, "mount = \"kv\"\nkv = 1"));
    let _daemon = walk.is_taken_for("token (policies: app, default)").mount();
    walk.looks_around("vault");
    // It is a digest, and what is in memory is there by it.
    let digest = xattr(&walk.file(), "user.hushfs.version").expect("a version");
    assert_eq!(walk.text(&walk.scope().join(format!("db/@{digest}/PASSWORD"))), OLD);
    walk.sees_the_rotation(false, || put(NEW));
    server.root("DELETE", "kv/prod/db", &Value::Null);
    walk.forget();
    assert_eq!(errno_of_reading(&walk.file()), Some(libc::ENOENT));
}

#[test]
fn a_version_that_was_deleted_is_enoent_its_neighbours_are_there_and_custom_metadata_are_tags() {
    let (place, server) = (Place::new(), OpenBao::start());
    server.root("POST", "secret/metadata/prod/db", &json!({"custom_metadata": {"team": "storage", "tier": "1"}}));
    for value in ["first", "second", "third"] {
        server.root("POST", "secret/data/prod/db", &json!({"data": {"PASSWORD": value}}));
    }
    server.root("POST", "secret/delete/prod/db", &json!({"versions": [2]}));
    let walk = Walk::new(&place, &scope(&server, READ_ALL, ""));
    let _daemon = walk.mount();
    let at = |version: &str| walk.scope().join(format!("db/{version}/PASSWORD"));
    let is_gone = |path: &Path| errno_of_reading(path) == Some(libc::ENOENT);

    assert_eq!(walk.text(&walk.file()), "third");
    assert_eq!(fs::read_link(walk.scope().join("db/@current")).unwrap(), Path::new("@3"));
    for (name, value) in [("tag.team", "storage"), ("tag.tier", "1"), ("version", "3")] {
        assert_eq!(xattr(&walk.file(), &format!("user.hushfs.{name}")).as_deref(), Some(value), "{name}");
    }
    assert!(is_gone(&at("@2")) && is_gone(&at("@previous")) && is_gone(&at("@4")));
    assert_eq!(walk.text(&at("@1")), "first");

    server.root("POST", "secret/undelete/prod/db", &json!({"versions": [2]}));
    walk.forget();
    assert_eq!(walk.text(&at("@previous")), "second");
    server.root("POST", "secret/destroy/prod/db", &json!({"versions": [2]}));
    walk.forget();
    assert!(is_gone(&at("@previous")) && is_gone(&at("@2")));

    // The current one: its name stays in Vault's listings, and the versions before it are there.
    server.root("DELETE", "secret/data/prod/db", &Value::Null);
    walk.forget();
    assert_eq!(names(&walk.scope()), ["db"]);
    assert!(is_gone(&walk.file()));
    let (status, told) = why(&walk.file());
    assert!(status == Some(1) && told.contains("ENOENT") && told.contains("this version was deleted"), "{told}");
    assert!(told.contains("bring it back at the provider"), "{told}");
    let (status, told) = why(&at("@4"));
    assert!(status == Some(1) && told.contains("no such scope, secret, key or version"), "{told}");
    assert_eq!(walk.text(&at("@1")), "first");
}

#[test]
fn a_mount_of_another_engine_is_no_empty_scope_and_is_named() {
    let (place, server) = (Place::new(), OpenBao::start());
    server.root("POST", "sys/mounts/kv", &json!({"type": "kv", "options": {"version": "1"}}));
    server.root("POST", "sys/mounts/pki", &json!({"type": "pki"}));
    let rules = r#"path "*" { capabilities = ["read", "list"] }"#;
    for (lines, says) in [
        ("mount = \"kv\"", "set kv = 1"),
        ("kv = 1", "set kv = 2"),
        ("mount = \"pki\"\nkv = 1", "pki"),
        ("mount = \"none\"", "see `mount` and `namespace`"),
    ] {
        let walk = Walk::new(&place, &scope(&server, rules, lines));
        let (status, found) = walk.check();
        let failed = &found[0]["list"]["failed"];
        assert_eq!((status, &failed["kind"]), (Some(69), &json!("malformed")), "{lines}: {found:#?}");
        assert!(failed["why"].as_str().expect("a reason").contains(says), "{lines}: {failed}");
        let _daemon = walk.mount();
        let listed = fs::read_dir(walk.scope()).and_then(|mut entries| entries.next().transpose());
        assert_eq!(listed.err().and_then(|error| error.raw_os_error()), Some(libc::EIO), "{lines}");
        let (status, told) = why(&walk.scope());
        assert!(status == Some(1) && told.contains(says), "{lines}: {told}");
    }
}
