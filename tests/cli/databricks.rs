//! Scopes of the provider `databricks`.

use crate::support::{Fixture, goldens};

fn lake(lines: &str) -> String {
    format!("[scopes.lake]\nprovider = \"databricks\"\n{lines}\n")
}

const HOST: &str = "host = \"https://adb-1.azuredatabricks.net\"\n";

fn auth(settings: &str) -> String {
    lake(&format!("{HOST}auth = {{ {settings} }}"))
}

goldens! {
    a_workspace_without_a_scheme: lake("host = \"adb-1.azuredatabricks.net\"");
    a_workspace_with_a_path: lake("host = \"https://adb-1.azuredatabricks.net/api/2.0\"");
    a_workspace_that_is_not_encrypted: lake("host = \"http://adb-1.azuredatabricks.net\"");
    a_workspaces_token_in_the_file: lake(&format!("{HOST}token = \"dapi-hunter2\""));
    a_prefix_that_starts_no_secret_scope: lake("prefix = \"prod db\"");
    a_workspaces_auth_without_a_host: lake("auth = { method = \"pat\", token_file = \"/etc/hushfs/lake-pat\" }");
    a_workspaces_auth_without_a_method: auth("token_file = \"/etc/hushfs/lake-pat\"");
    a_workspaces_auth_of_an_unknown_method: auth("method = \"oauth\"");
    a_workspaces_auth_without_its_files: auth("method = \"oauth-m2m\"");
    a_workspaces_auth_with_another_methods_setting: auth(
        "method = \"pat\", token_file = \"/etc/hushfs/lake-pat\", client_id = \"app\""
    );
    a_workspaces_client_that_is_none: auth("method = \"oauth-m2m\", client_id = \"a:b\", client_secret_file = \"/s\"");
    a_workspaces_setting_outside_of_auth: lake("client_id = \"app\"");
}

#[test]
fn a_token_that_everybody_may_read_is_refused_and_one_that_is_to_come_is_not() {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml", auth("method = \"pat\", token_file = \"[dir]/token\""));
    let says = fixture.check();
    assert!(says.starts_with("exit status 0\n") && says.contains("does not exist yet"), "{says}");
    fixture.write("token", "dapi-hunter2").mode("token", 0o644);
    let says = fixture.check();
    assert!(!says.starts_with("exit status 0\n") && says.contains("chmod 600"), "{says}");
    assert!(!says.contains("hunter2"), "{says}");
    fixture.mode("token", 0o600);
    assert!(fixture.check().starts_with("exit status 0\n"), "{}", fixture.check());
}
