//! The main job on Vault: keys, versions, attributes, what a policy refuses, and who Vault takes us for.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::daemon::{HUSHFS, Place, errno_of_reading, eventually, xattr};
use crate::support::openbao::OpenBao;

const VALUE: &str = "the value itself";

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A scope whose token may do what `rules` say.
fn scope(server: &OpenBao, rules: &str) -> String {
    server.policy("hushfs", rules);
    let file = server.file("token", &server.token(&["hushfs"], json!({"display_name": "daemon"})));
    format!(
        "[scopes.vault]\nprovider = \"vault\"\naddress = {:?}\nprefix = \"prod/\"\niam_ttl = \"1s\"\n\
         auth = {{ method = \"token\", token_file = {file:?} }}\n",
        server.url()
    )
}

/// With one secret that is refused.
const RULES: &str = r#"path "secret/data/prod/*" { capabilities = ["read"] }
    path "secret/metadata/*" { capabilities = ["list", "read"] }
    path "secret/data/prod/billing" { capabilities = ["deny"] }"#;

#[test]
fn secrets_are_read_by_name_key_and_version() {
    let place = Place::new();
    let server = OpenBao::start();
    let data = |user: &str| json!({"data": {"USER": user, "PORT": 5432, "TLS": true, "NONE": null}});
    server.root("POST", "secret/metadata/prod/db", &json!({"custom_metadata": {"team": "storage"}}));
    server.root("POST", "secret/data/prod/db", &data("old"));
    server.root("POST", "secret/data/prod/db", &data("app"));
    server.put("prod/team/deep/token", "plain text\n");
    server.put("elsewhere", "outside of the prefix");
    let _daemon = place.mount(&scope(&server, RULES));
    let scope = place.mnt().join("vault");

    assert_eq!(text(&scope.join("db/USER")), "app");
    assert_eq!(text(&scope.join("db/PORT")), "5432");
    assert_eq!(text(&scope.join("db/TLS")), "true");
    assert_eq!(text(&scope.join("db/NONE")), "");
    assert_eq!(text(&scope.join("team/deep/token/value")), "plain text\n");
    assert_eq!(errno_of_reading(&scope.join("elsewhere/value")), Some(libc::ENOENT));
    assert_eq!(errno_of_reading(&scope.join("db/NOSUCH")), Some(libc::ENOENT));
    assert_eq!(names(&scope), ["db", "team"]);
    assert_eq!(names(&scope.join("db")), ["NONE", "PORT", "TLS", "USER"]);
    assert_eq!(text(&scope.join("db/.raw")), r#"{"NONE":null,"PORT":5432,"TLS":true,"USER":"app"}"#);

    assert_eq!(text(&scope.join("db/@previous/USER")), "old");
    assert_eq!(text(&scope.join("db/@current/USER")), "app");
    assert_eq!(text(&scope.join("db/@1/USER")), "old");
    assert_eq!(fs::read_link(scope.join("db/@current")).unwrap(), Path::new("@2"));
    assert_eq!(errno_of_reading(&scope.join("db/@3/USER")), Some(libc::ENOENT));

    let user = scope.join("db/USER");
    let source = format!("{}/v1/secret/data/prod/db", server.url());
    for (name, value) in [("provider", "vault"), ("source", &source), ("version", "2"), ("tag.team", "storage")] {
        assert_eq!(xattr(&user, &format!("user.hushfs.{name}")).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn what_a_policy_refuses_has_no_bits_and_its_reason_is_told() {
    let place = Place::new();
    let server = OpenBao::start();
    for name in ["db", "billing"] {
        server.put(&format!("prod/{name}"), VALUE);
    }
    let _daemon = place.mount(&scope(&server, RULES));
    let scope = place.mnt().join("vault");
    let mode = |name: &str| fs::metadata(scope.join(name)).unwrap().mode() & 0o7777;
    eventually("the listing shows what is refused", || {
        assert_eq!(names(&scope), ["billing", "db"]);
        (mode("billing") == 0).then_some(())
    });
    assert_eq!(mode("db"), 0o500);
    assert_eq!(text(&scope.join("db/value")), VALUE);
    assert_eq!(errno_of_reading(&scope.join("billing/value")), Some(libc::EACCES));

    let why = |name: &str| {
        let output = Command::new(HUSHFS).arg("why").arg(scope.join(name)).output().expect("hushfs runs");
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (status, told) = why("billing/value");
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("sys/capabilities-self of secret/data/prod/billing: deny"), "{told}");
    let (status, told) = why("db/value");
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("sys/capabilities-self of secret/data/prod/db: read") && !told.contains(VALUE), "{told}");
}

#[test]
fn a_check_online_says_who_we_are_and_what_would_be_refused() {
    let place = Place::new();
    let server = OpenBao::start();
    for name in ["db", "billing"] {
        server.put(&format!("prod/{name}"), VALUE);
    }
    place.configure(&scope(&server, RULES));
    let output = place.run(&["check", "--online", "--json"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(77), "{told}");
    assert!(!told.contains(VALUE), "{told}");
    let found: Value = serde_json::from_str(&told).unwrap();
    let scope = &found["online"][0];
    assert_eq!(scope["whoami"]["ok"], "token-daemon (policies: default, hushfs)", "{scope:#}");
    assert_eq!(scope["refused"][0]["secret"], "billing", "{scope:#}");
    assert_eq!((&scope["list"]["ok"], &scope["read"]["ok"]), (&json!(2), &json!("db")), "{scope:#}");
}
