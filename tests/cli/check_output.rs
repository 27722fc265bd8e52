//! What `hushfs check` says when there is nothing, or little, to complain of.

use crate::support::{Fixture, golden};

const TWO_SCOPES: &str =
    "[scopes.prod]\nprovider = \"aws-secrets-manager\"\n[scopes.test]\nprovider = \"aws-secrets-manager\"\n";

#[test]
fn a_good_configuration() {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml", TWO_SCOPES);
    golden("a_good_configuration", &fixture.check());
}

#[test]
fn a_good_configuration_as_json() {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml", TWO_SCOPES);
    let file = fixture.file().display().to_string();
    golden("a_good_configuration_as_json", &fixture.run(&["check", "--json", "--config", &file]));
}

#[test]
fn a_bad_configuration_as_json() {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml", "root = \"alow\"\n[cache]\nmax_bytes = \"1MiB\"\nmax_secret_bytes = \"2MiB\"\n");
    let file = fixture.file().display().to_string();
    golden("a_bad_configuration_as_json", &fixture.run(&["check", "--json", "--config", &file]));
}

#[test]
fn the_json_is_json() {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml", "\"a\\\"\\u0007\" = 1\n");
    let mut command = crate::support::hushfs();
    let output = crate::support::output(command.args(["check", "--json", "--config"]).arg(fixture.file()));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(value["ok"], false);
    assert_eq!(value["diagnostics"][0]["line"], 1);
    assert!(output.stderr.is_empty());
    assert_eq!(output.status.code(), Some(78));
}
