//! `hushfs.toml` and `conf.d/*.toml` together.

use hushfs::config::{Source, load};

use crate::support::{Fixture, golden};

fn report(fixture: &Fixture) -> String {
    match load(&Source::Directory(fixture.path().to_owned())) {
        Ok(loaded) => format!("accepted\n{}", fixture.without_directory(&loaded.warnings.to_string())),
        Err(report) => fixture.without_directory(&report.to_string()),
    }
}

#[test]
fn files_add_to_each_other() {
    let fixture = Fixture::new();
    fixture
        .write("hushfs.toml", "mountpoint = \"/a\"\n[cache]\nttl = \"1s\"\n")
        .write("conf.d/10-cache.toml", "[cache]\nlist_ttl = \"2s\"\n")
        .write("conf.d/20-prod.toml", "[scopes.prod]\nprovider = \"aws-secrets-manager\"\n")
        .write("conf.d/30-test.toml", "[scopes.test]\nprovider = \"aws-secrets-manager\"\nttl = \"3s\"\n")
        .write("conf.d/.#40.toml", "this is an editor's")
        .write("conf.d/README", "this is not TOML");
    let loaded = load(&Source::Directory(fixture.path().to_owned())).unwrap_or_else(|report| panic!("{report}"));
    let cached: Vec<_> = loaded
        .config
        .scopes
        .values()
        .map(|scope| (scope.name.as_str(), scope.cache.ttl.as_secs(), scope.cache.list_ttl.as_secs()))
        .collect();
    assert_eq!(cached, [("prod", 1, 2), ("test", 3, 2)]);
    assert_eq!(loaded.config.mountpoint.to_str(), Some("/a"));
    assert!(loaded.warnings.is_empty());
}

#[test]
fn conf_d_alone_is_enough() {
    let fixture = Fixture::new();
    fixture.write("conf.d/prod.toml", "[scopes.prod]\nprovider = \"aws-secrets-manager\"\n");
    assert_eq!(report(&fixture), "accepted\n");
}

#[test]
fn no_configuration_at_all() {
    golden("no_configuration_at_all", &report(&Fixture::new()));
}

#[test]
fn a_key_set_in_two_files() {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml", "mountpoint = \"/a\"\n[cache]\nttl = \"1s\"\n");
    fixture.write("conf.d/more.toml", "mountpoint = \"/a\"\n[cache]\nttl = \"2s\"\n");
    golden("a_key_set_in_two_files", &report(&fixture));
}

#[test]
fn a_sandbox_beside_the_main_file() {
    let fixture = Fixture::new();
    let scope = "[scopes.prod]\nprovider = \"aws-secrets-manager\"\n";
    fixture.write("hushfs.toml", format!("{scope}[sandbox]\nseccomp = false\n"));
    assert_eq!(report(&fixture), "accepted\n");
    fixture.write("conf.d/more.toml", "[sandbox]\nlandlock = false\n");
    golden("a_sandbox_beside_the_main_file", &report(&fixture));
}

#[test]
fn a_scope_defined_in_two_files() {
    let fixture = Fixture::new();
    fixture.write("conf.d/1.toml", "[scopes.prod]\nprovider = \"aws-secrets-manager\"\n");
    fixture.write("conf.d/2.toml", "[scopes.prod]\nregion = \"us-east-1\"\n");
    golden("a_scope_defined_in_two_files", &report(&fixture));
}

#[test]
fn a_table_in_one_file_and_a_value_in_another() {
    let fixture = Fixture::new();
    fixture.write("conf.d/1.toml", "[cache]\nttl = \"1s\"\n").write("conf.d/2.toml", "cache = \"5m\"\n");
    golden("a_table_in_one_file_and_a_value_in_another", &report(&fixture));
}

#[test]
fn each_files_first_syntax_error_is_reported() {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml", "a b\nc d\n").write("conf.d/1.toml", "root = allow\n");
    golden("each_files_first_syntax_error_is_reported", &report(&fixture));
}

#[test]
fn a_directory_among_the_files() {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml", "").write("conf.d/1.toml/x", "");
    golden("a_directory_among_the_files", &report(&fixture));
}

#[test]
fn a_link_to_nothing_among_the_files() {
    let fixture = Fixture::new();
    fixture.write("conf.d/1.toml", "");
    std::os::unix::fs::symlink("gone", fixture.path().join("conf.d/2.toml")).expect("a link");
    golden("a_link_to_nothing_among_the_files", &report(&fixture));
}

#[test]
fn a_conf_d_that_is_a_file() {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml", "").write("conf.d", "");
    golden("a_conf_d_that_is_a_file", &report(&fixture));
}
