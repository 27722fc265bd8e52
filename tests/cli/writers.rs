//! A configuration that others may write.

use hushfs::config::{Source, load};

use crate::support::Fixture;

const SCOPE: &str = "[scopes.prod]\nprovider = \"aws-secrets-manager\"\n";

/// The warnings about a folder of files; it must be usable.
fn warnings(fixture: &Fixture) -> String {
    let loaded = load(&Source::Directory(fixture.path().to_owned())).unwrap_or_else(|report| panic!("{report}"));
    fixture.without_directory(&loaded.warnings.to_string())
}

#[test]
fn a_file_that_everybody_may_write_is_used_and_warned_of() {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml", SCOPE);
    assert!(!fixture.check().contains("warning"), "{}", fixture.check());
    fixture.mode("hushfs.toml", 0o646);
    let said = fixture.check();
    assert!(said.starts_with("exit status 0\n--- standard output\nok: 1 scope\n"), "{said}");
    for part in [
        "warning: this file of the configuration may be written to by everybody (mode 0646)",
        "[dir]/hushfs.toml",
        "whoever may write it decides who reads secrets",
        "chmod go-w [dir]/hushfs.toml",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let json = fixture.run(&["check", "--json", "--config", &fixture.file().display().to_string()]);
    assert!(json.contains("\"ok\": true") && json.contains("\"severity\": \"warning\""), "{json}");
}

#[test]
fn a_fragment_and_a_folder_that_others_may_write_are_each_warned_of() {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml", "").write("conf.d/prod.toml", SCOPE);
    assert_eq!(warnings(&fixture), "");
    fixture.mode("conf.d/prod.toml", 0o620);
    let said = warnings(&fixture);
    assert!(
        said.contains("may be written to by group ") && said.contains("chmod go-w [dir]/conf.d/prod.toml"),
        "{said}"
    );
    // A sticky folder keeps nobody from adding one.
    for mode in [0o777, 0o1777] {
        fixture.mode("conf.d/prod.toml", 0o600).mode("conf.d", mode);
        let said = warnings(&fixture);
        assert!(
            said.contains("this folder of the configuration") && said.contains("chmod go-w [dir]/conf.d"),
            "{said}"
        );
        assert_eq!(said.matches("warning").count(), 1, "{said}");
        fixture.mode("conf.d", 0o755);
    }
}

/// Needs what only root may do.
mod as_root {
    use std::os::unix::fs::chown;

    use super::*;

    #[test]
    fn a_configuration_of_another_user_is_used_and_warned_of() {
        let fixture = Fixture::new();
        fixture.write("hushfs.toml", SCOPE);
        chown(fixture.file(), Some(4711), None).unwrap();
        let said = fixture.check();
        assert!(said.starts_with("exit status 0\n"), "{said}");
        assert!(said.contains("may be written to by its owner user 4711 (mode 0600)"), "{said}");
        assert!(said.contains("chown root [dir]/hushfs.toml"), "{said}");
    }
}
