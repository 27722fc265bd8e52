//! Names that resolve and are never listed.

use std::process::Command;

use super::{errno, listed, sh};
use crate::support::daemon::{Daemon, Place};
use crate::support::plain::PlainStore;

const RAW: &[u8] = b"{ \"USER\": \"u\",\n  \"PASSWORD\": \"it's \\\"x\\\" $HOME `id` \\\\ \\n\\ttab\", \"N\": 1 }\n";
const PASSWORD: &str = "it's \"x\" $HOME `id` \\ \n\ttab";

fn with_db(test: impl FnOnce(&Place, &PlainStore, &Daemon)) {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("db.json", RAW);
    let daemon = place.mount(&store.scope("prod"));
    test(&place, &store, &daemon);
}

#[test]
fn they_are_seen_by_no_listing_before_and_after_they_were_used() {
    with_db(|place, _, _| {
        let db = place.mnt().join("prod/db");
        for round in 0..2 {
            assert_eq!(listed(&db), ["N", "PASSWORD", "USER"], "round {round}");
            assert_eq!(sh("ls -a \"$1\" | xargs", &db), ". .. N PASSWORD USER\n");
            assert_eq!(sh("cd \"$1\"; shopt -s dotglob; echo *", &db), "N PASSWORD USER\n");
            assert_eq!(sh("cd \"$1\"; echo @* .r*", &db), "@* .r*\n");
            assert_eq!(sh("cd \"$1\"; find . | sort | xargs", &db), ". ./N ./PASSWORD ./USER\n");
            assert_eq!(sh("tar -C \"$1\" -cf - . | tar -tf - | sort | xargs", &db), "./ ./N ./PASSWORD ./USER\n");
            for hidden in [".raw", ".json", ".env", "@current/N"] {
                std::fs::read(db.join(hidden)).unwrap_or_else(|error| panic!("{hidden}: {error}"));
            }
        }
    });
}

#[test]
fn raw_holds_the_exact_bytes_and_json_all_keys() {
    with_db(|place, _, _| {
        let db = place.mnt().join("prod/db");
        assert_eq!(std::fs::read(db.join(".raw")).unwrap(), RAW);
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(db.join(".json")).unwrap()).unwrap();
        assert_eq!(json, serde_json::json!({"USER": "u", "PASSWORD": PASSWORD, "N": "1"}));
        for hidden in [".raw", ".json", ".env"] {
            let content = std::fs::read(db.join(hidden)).unwrap();
            assert_eq!(std::fs::metadata(db.join(hidden)).unwrap().len(), content.len() as u64, "{hidden}");
        }
    });
}

#[test]
fn env_is_read_back_by_a_shell_to_the_same_bytes() {
    with_db(|place, _, _| {
        let script = r#"set -a; . "$1"; exec printenv PASSWORD"#;
        for shell in ["sh", "bash"] {
            let run = Command::new(shell).args(["-c", script, shell]).arg(place.mnt().join("prod/db/.env")).output();
            assert_eq!(String::from_utf8(run.unwrap().stdout).unwrap(), format!("{PASSWORD}\n"), "{shell}");
        }
    });
}

#[test]
fn json_marks_what_is_not_text() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("bin", b"\xff\0");
    let _daemon = place.mount(&store.scope("prod"));
    let json = std::fs::read(place.mnt().join("prod/bin/.json")).unwrap();
    assert_eq!(json, br#"{"value":{"base64":"/wA="}}"#);
    assert_eq!(std::fs::read(place.mnt().join("prod/bin/.raw")).unwrap(), b"\xff\0");
}

#[test]
fn current_links_to_its_version_and_there_is_no_previous_one_in_a_folder() {
    with_db(|place, _, _| {
        let db = place.mnt().join("prod/db");
        let target = std::fs::read_link(db.join("@current")).unwrap();
        let version = target.to_str().unwrap();
        assert!(version.starts_with('@') && version.len() > 1, "{version}");
        assert!(std::fs::symlink_metadata(db.join("@current")).unwrap().is_symlink());
        assert_eq!(std::fs::symlink_metadata(db.join("@current")).unwrap().len(), version.len() as u64);
        assert_eq!(std::fs::canonicalize(db.join("@current")).unwrap(), db.join(version));
        for directory in [db.join(version), db.join("@current/")] {
            assert_eq!(listed(&directory), ["N", "PASSWORD", "USER"]);
            assert_eq!(std::fs::read_to_string(directory.join("PASSWORD")).unwrap(), PASSWORD);
            assert_eq!(std::fs::read(directory.join(".raw")).unwrap(), RAW);
            assert_eq!(errno(std::fs::read(directory.join("nosuch"))), libc::ENOENT);
            assert_eq!(errno(std::fs::symlink_metadata(directory.join("@current"))), libc::ENOENT);
        }
        for missing in ["@previous", "@previous/N", "@nosuch", "@nosuch/N", "@", "@%", "@.", ".nosuch"] {
            assert_eq!(errno(std::fs::metadata(db.join(missing))), libc::ENOENT, "{missing}");
        }
        assert_eq!(errno(std::fs::read_link(db.join("N"))), libc::EINVAL);
    });
}
