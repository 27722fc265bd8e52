//! The main job on Databricks: what is read, what a refusal says, and how the environment is used.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::daemon::{Daemon, HUSHFS, Place, errno_of_reading, xattr};
use crate::support::databricks::{ADMIN, Workspace};
use crate::support::session::Session;

fn text(path: &Path) -> String {
    String::from_utf8(fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

fn mount<'a>(place: &'a Place, configuration: &str, variables: &[(&str, &str)]) -> Daemon<'a> {
    Session::new(place).with_all(variables).mount(configuration)
}

fn scope(host: &str, more: &str) -> String {
    format!("[scopes.lake]\nprovider = \"databricks\"\nhost = {host:?}\n{more}\n")
}

#[test]
fn secret_scopes_are_directories_and_their_keys_files() {
    let (place, workspace) = (Place::new(), Workspace::start());
    for (key, value) in [("DB_PASSWORD", &b"it's $ecret"[..]), ("key.bin", &[0, 0xff]), ("EMPTY", b"")] {
        workspace.put("airflow", key, value);
    }
    workspace.put("shut", "K", b"never seen");
    workspace.allow("airflow", "reader", "READ");
    let token = workspace.token("reader");
    let _daemon = mount(&place, &scope(&workspace.url(), ""), &[("DATABRICKS_TOKEN", &token)]);
    let lake = place.mnt().join("lake");
    let airflow = lake.join("airflow");

    let ls = |path: &Path| {
        let output = Command::new("ls").arg(path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(ls(&lake), "airflow\nshut\n");
    assert_eq!(place.calls("lake", "fetch"), 0, "`ls` of a scope fetches nothing");
    let mut names: Vec<String> = ls(&airflow).lines().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["DB_PASSWORD", "EMPTY", "key.bin"]);
    let cat = Command::new("cat").arg(airflow.join("DB_PASSWORD")).output().unwrap();
    assert_eq!(cat.stdout, b"it's $ecret", "{}", String::from_utf8_lossy(&cat.stderr));
    assert_eq!(fs::read(airflow.join("key.bin")).unwrap(), [0, 0xff]);
    assert_eq!(fs::metadata(airflow.join("EMPTY")).unwrap().len(), 0);
    assert!(text(&airflow.join(".env")).contains("DB_PASSWORD=\"it's \\$ecret\"\n"), "{}", text(&airflow.join(".env")));
    let json = r#"{"DB_PASSWORD":"it's $ecret","EMPTY":"","key.bin":{"base64":"AP8="}}"#;
    assert_eq!(text(&airflow.join(".json")), json);
    assert_eq!(text(&airflow.join(".raw")), json);
    assert_eq!(text(&airflow.join("@current/DB_PASSWORD")), "it's $ecret");
    assert_eq!(errno_of_reading(&airflow.join("@previous/DB_PASSWORD")), Some(libc::ENOENT));
    assert_eq!(errno_of_reading(&airflow.join("nosuch")), Some(libc::ENOENT));
    assert_eq!(errno_of_reading(&lake.join("nosuch/K")), Some(libc::ENOENT));
    assert_eq!(errno_of_reading(&lake.join("shut/K")), Some(libc::EACCES));

    let file = airflow.join("DB_PASSWORD");
    assert_eq!(xattr(&file, "user.hushfs.provider").as_deref(), Some("databricks"));
    assert_eq!(
        xattr(&file, "user.hushfs.source"),
        Some(format!("{}/api/2.0/secrets/list?scope=airflow", workspace.url()))
    );
    assert!(xattr(&file, "user.hushfs.version").unwrap().starts_with("1700000000"));
    assert_eq!(xattr(&file, "user.hushfs.stale").as_deref(), Some("0"));
    assert_eq!(place.calls("lake", "fetch"), 3, "one for each secret scope, one for the version before");

    let why = |name: &str| {
        let output = Command::new(HUSHFS).arg("why").arg(lake.join(name)).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (status, says) = why("airflow/DB_PASSWORD");
    assert_eq!(status, Some(0), "{says}");
    let (status, says) = why("shut/K");
    assert!(status == Some(1) && says.contains("PERMISSION_DENIED"), "{says}");
    let log = place.log();
    assert!(!log.contains("$ecret") && !log.contains(&token), "{log}");
}

#[test]
fn a_workspace_that_gives_values_to_notebooks_only_is_eacces_and_the_log_says_why() {
    let (place, workspace) = (Place::new(), Workspace::start());
    workspace.put("airflow", "K", b"value");
    workspace.keep_values_to_notebooks();
    let token = workspace.token(ADMIN);
    let _daemon = mount(&place, &scope(&workspace.url(), ""), &[("DATABRICKS_TOKEN", &token)]);
    let file = place.mnt().join("lake/airflow/K");
    assert_eq!(errno_of_reading(&file), Some(libc::EACCES));
    let why = Command::new(HUSHFS).arg("why").arg(&file).output().unwrap();
    let says = String::from_utf8(why.stdout).unwrap();
    assert!(says.contains("notebooks"), "{says}");
}

/// `hushfs check --online --json` with these variables: what it finds of the one scope.
fn check(place: &Place, configuration: &str, variables: &[(&str, &str)]) -> Value {
    Session::new(place).with_all(variables).check(configuration).1
}

#[test]
fn check_online_says_who_we_are_by_the_environments_credentials() {
    let (place, workspace) = (Place::new(), Workspace::start());
    workspace.put("airflow", "K", b"value");
    workspace.client("principal", "oauth-secret");
    let (host, token) = (workspace.url(), workspace.token(ADMIN));
    let configuration = scope(&host, "");
    let says = |configuration: &str, variables: &[(&str, &str)]| check(&place, configuration, variables).to_string();

    assert!(says(&configuration, &[("DATABRICKS_TOKEN", &token)]).contains("admin@example.com (Me)"));
    let client = [("DATABRICKS_CLIENT_ID", "principal"), ("DATABRICKS_CLIENT_SECRET", "oauth-secret")];
    assert!(says(&configuration, &client).contains("principal (Me)"));
    // The environment may say which workspace it is.
    let no_host = "[scopes.lake]\nprovider = \"databricks\"\n";
    assert!(says(no_host, &[("DATABRICKS_HOST", &host), ("DATABRICKS_TOKEN", &token)]).contains(ADMIN));
    // But its token goes to no other.
    let another = says(&configuration, &[("DATABRICKS_HOST", "another.example"), ("DATABRICKS_TOKEN", &token)]);
    assert!(another.contains("another.example") && !another.contains(&token) && !another.contains(ADMIN), "{another}");
    let wrong = says(&configuration, &[("DATABRICKS_TOKEN", "dapi-wrong")]);
    assert!(wrong.contains("Invalid access token") && !wrong.contains("dapi-wrong"), "{wrong}");
}

#[test]
fn a_profile_is_chosen_by_the_environment() {
    let (place, workspace) = (Place::new(), Workspace::start());
    let file = place.path().join("profiles");
    fs::write(&file, format!("[other]\nhost = {}\ntoken = {}\n", workspace.url(), workspace.token("other-user")))
        .unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let file = file.to_str().unwrap();
    let no_host = "[scopes.lake]\nprovider = \"databricks\"\n";
    let profile = |name| [("DATABRICKS_CONFIG_FILE", file), ("DATABRICKS_CONFIG_PROFILE", name)];
    assert!(check(&place, no_host, &profile("other")).to_string().contains("other-user"));
    let none = check(&place, no_host, &profile("none")).to_string();
    assert!(none.contains("no profile none"), "{none}");
}
