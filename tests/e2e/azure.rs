//! The main job on Azure Key Vault: what is read, and what a refusal says.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::azure::{CLIENT, KeyVault, SECRET, TENANT};
use crate::support::daemon::{Daemon, HUSHFS, Place, errno_of_reading, xattr};
use crate::support::session::Session;

fn text(path: &Path) -> String {
    String::from_utf8(fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

/// A scope with the application's secret in a file.
fn scope(place: &Place, vault: &KeyVault, more: &str) -> String {
    let file = place.private("client-secret", SECRET);
    let url = vault.url();
    format!(
        "[scopes.azure]\nprovider = \"azure-key-vault\"\nvault_url = {url:?}\nca_file = {:?}\n\
         auth = {{ method = \"client-secret\", tenant_id = \"{TENANT}\", client_id = \"{CLIENT}\", \
         client_secret_file = {file:?}, authority_host = {url:?} }}\n{more}\n",
        vault.ca_file()
    )
}

fn mount<'a>(place: &'a Place, configuration: &str) -> Daemon<'a> {
    Session::new(place).mount(configuration)
}

#[test]
fn secrets_are_directories_with_their_keys_versions_and_tags() {
    let (place, vault) = (Place::new(), KeyVault::start());
    let old = vault.put_as("prod-db", r#"{"PASSWORD":"old"}"#, |_| {});
    let new = vault.put_as("prod-db", r#"{"PASSWORD":"it's $ecret","PORT":5432}"#, |version| {
        version.tags.insert("team".into(), "data".into());
        version.expires = Some(1_600_000_000);
    });
    vault.put("prod-token", "no newline");
    vault.put_as("prod-off", "never seen", |version| version.enabled = false);
    vault.put("prod-shut", "never seen");
    vault.put("beside", "never seen");
    vault.deny("prod-shut");
    let _daemon = mount(&place, &scope(&place, &vault, "prefix = \"prod-\""));
    let azure = place.mnt().join("azure");

    let ls = |path: &Path| {
        let output = Command::new("ls").arg(path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(ls(&azure), "db\noff\nshut\ntoken\n");
    assert_eq!(place.calls("azure", "fetch"), 0, "`ls` of a scope fetches nothing");
    let db = azure.join("db");
    assert_eq!(ls(&db), "PASSWORD\nPORT\n");
    let cat = Command::new("cat").arg(db.join("PASSWORD")).output().unwrap();
    assert_eq!(cat.stdout, b"it's $ecret", "{}", String::from_utf8_lossy(&cat.stderr));
    assert_eq!(text(&db.join("PORT")), "5432");
    assert_eq!(text(&azure.join("token/value")), "no newline");
    assert_eq!(text(&db.join(".raw")), r#"{"PASSWORD":"it's $ecret","PORT":5432}"#);
    assert_eq!(text(&db.join("@previous/PASSWORD")), "old");
    assert_eq!(text(&db.join(format!("@{old}/PASSWORD"))), "old");
    assert_eq!(fs::read_link(db.join("@current")).unwrap(), Path::new(&format!("@{new}")));
    assert_eq!(errno_of_reading(&azure.join("off/value")), Some(libc::EACCES));
    assert_eq!(errno_of_reading(&azure.join("shut/value")), Some(libc::EACCES));
    assert_eq!(errno_of_reading(&azure.join("nosuch/value")), Some(libc::ENOENT));
    assert_eq!(errno_of_reading(&azure.join("DB/PASSWORD")), Some(libc::ENOENT));

    let file = db.join("PASSWORD");
    assert_eq!(xattr(&file, "user.hushfs.provider").as_deref(), Some("azure-key-vault"));
    assert_eq!(xattr(&file, "user.hushfs.source"), Some(format!("{}/secrets/prod-db", vault.url())));
    assert_eq!(xattr(&file, "user.hushfs.version"), Some(new));
    assert_eq!(xattr(&file, "user.hushfs.tag.team").as_deref(), Some("data"));
    assert_eq!(xattr(&file, "user.hushfs.tag.azure.expires").as_deref(), Some("2020-09-13T12:26:40Z"));

    let why = Command::new(HUSHFS).arg("why").arg(azure.join("off/value")).output().unwrap();
    let says = String::from_utf8(why.stdout).unwrap();
    assert!(why.status.code() == Some(1) && says.contains("SecretDisabled"), "{says}");
    let log = place.log();
    assert!(!log.contains("$ecret") && !log.contains(SECRET) && !log.contains("marked"), "{log}");
}

#[test]
fn check_online_says_who_we_are_and_what_is_wrong_with_the_credentials() {
    let (place, vault) = (Place::new(), KeyVault::start());
    vault.put("db", "value");
    let configuration = scope(&place, &vault, "");
    let says = Session::new(&place).check(&configuration).1.to_string();
    assert!(says.contains(&format!("application {CLIENT}")) && says.contains(TENANT), "{says}");
    vault.set_client_secret("another");
    let says = Session::new(&place).check(&configuration).1.to_string();
    assert!(says.contains("AADSTS7000215") && !says.contains(SECRET), "{says}");
}
