//! What is another configuration, and what is only written otherwise.

use std::path::Path;

use super::changes::{Changes, fixed};
use super::settings::{Config, ScopeName};
use super::{Source, load as load_from};

fn load(folder: &Path, text: &str) -> Config {
    let file = folder.join("hushfs.toml");
    std::fs::write(&file, text).unwrap();
    load_from(&Source::File(file)).unwrap_or_else(|report| panic!("{report}")).config
}

/// A folder and scopes in it.
fn scope(folder: &Path, name: &str, of: &str, settings: &str) -> String {
    let path = folder.join(of);
    std::fs::create_dir_all(&path).unwrap();
    format!("[scopes.{name}]\nprovider = \"local\"\nallow_plaintext = true\npath = {path:?}\n{settings}\n")
}

fn grant(principal: &str, resource: &str) -> String {
    format!("[[grant]]\nprincipals = [{principal:?}]\nactions = [\"read\"]\nresources = [{resource:?}]\n")
}

fn names(scopes: &[ScopeName]) -> Vec<&str> {
    scopes.iter().map(ScopeName::as_str).collect()
}

#[test]
fn a_scope_is_added_changed_adjusted_removed_or_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str, of: &str, settings: &str| scope(folder.path(), name, of, settings);
    let before = [of("a", "a", ""), of("b", "b", ""), of("c", "c", ""), of("d", "d", ""), of("e", "e", "")].concat();
    let after = [
        of("f", "f", ""),
        of("a", "a", ""),
        of("b", "other", ""),
        of("c", "c", "ttl = \"7m\""),
        of("d", "d", "timeout = \"7s\""),
    ]
    .concat();
    let changes = Changes::between(&load(folder.path(), &before), &load(folder.path(), &after));
    assert_eq!(names(&changes.added), ["f"]);
    assert_eq!(names(&changes.changed), ["b", "d"]);
    assert_eq!(names(&changes.adjusted), ["c"]);
    assert_eq!(names(&changes.removed), ["e"]);
    assert_eq!((changes.unchanged, changes.is_empty()), (1, false));
}

#[test]
fn settings_for_all_scopes_are_settings_of_each() {
    let folder = tempfile::tempdir().unwrap();
    let scopes = scope(folder.path(), "a", "a", "") + &scope(folder.path(), "b", "b", "ttl = \"9m\"");
    let (before, after) =
        (load(folder.path(), &scopes), load(folder.path(), &format!("[cache]\nttl = \"8m\"\n{scopes}")));
    assert_eq!(names(&Changes::between(&before, &after).adjusted), ["a"]);
}

#[test]
fn a_configuration_that_is_only_written_otherwise_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (scope(folder.path(), "a", "a", ""), scope(folder.path(), "b", "b", "ttl = \"5m\""));
    let (one, two) = (grant("uid:1", "a/db"), grant("uid:2", "b/db"));
    let before = load(folder.path(), &format!("{one}{two}{a}{b}"));
    let after = load(folder.path(), &format!("# a remark\n{b}\n{two}\n[cache]\nttl = \"300s\"\n{a}{one}"));
    let changes = Changes::between(&before, &after);
    assert!(changes.is_empty() && !changes.are_of_access(), "{changes:?}");
    assert_eq!(changes.unchanged, 2);
}

#[test]
fn grants_are_told_by_where_they_are_or_were_written_each_as_often_as_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let a = scope(folder.path(), "a", "a", "");
    let (one, two) = (grant("uid:1", "a/db"), grant("uid:2", "a/db"));
    let before = load(folder.path(), &format!("{one}{one}{a}"));
    let after = load(folder.path(), &format!("{a}{one}{two}"));
    let changes = Changes::between(&before, &after);
    let ends = |places: &[String], end: &str| places.len() == 1 && places.iter().all(|place| place.ends_with(end));
    assert!(ends(&changes.grants.removed, "hushfs.toml:5"), "{changes:?}");
    assert!(ends(&changes.grants.added, "hushfs.toml:10"), "{changes:?}");
    assert!(changes.are_of_access());
    let other_root = load(folder.path(), &format!("root = \"deny\"\n{one}{one}{a}"));
    assert!(Changes::between(&before, &other_root).are_of_access());
}

#[cfg(feature = "aws")]
#[test]
fn the_order_of_identities_counts_and_their_numbers_do_not_follow_it() {
    let folder = tempfile::tempdir().unwrap();
    let scope = "[scopes.a]\nprovider = \"aws-secrets-manager\"\nregion = \"us-east-1\"\n";
    let identity = |uid: u32, role: &str| {
        let arn = format!("arn:aws:iam::123456789012:role/{role}");
        format!("[[identity]]\nprincipals = [\"uid:{uid}\"]\nscopes = [\"a\"]\naws.role_arn = {arn:?}\n")
    };
    let (one, two) = (identity(1, "one"), identity(2, "two"));
    let before = load(folder.path(), &format!("{one}{two}{scope}"));
    let after = load(folder.path(), &format!("{two}{one}{scope}"));
    let changes = Changes::between(&before, &after);
    assert!(changes.identities.reordered && changes.identities.added.is_empty(), "{changes:?}");
    let numbers = |config: &Config| config.identities.iter().map(|it| it.number).collect::<Vec<_>>();
    let (before, after) = (numbers(&before), numbers(&after));
    assert_eq!(before.iter().rev().collect::<Vec<_>>(), after.iter().collect::<Vec<_>>());
    assert_ne!(before.first(), before.last());
}

#[test]
fn what_a_mount_that_lives_cannot_change_is_named_with_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let a = scope(folder.path(), "a", "a", "");
    let before = load(folder.path(), &a);
    let after = load(
        folder.path(),
        &format!(
            "mountpoint = \"/elsewhere\"\nallow_other = true\nevents = true\n[control]\nsocket = \"/run/h.sock\"\n\
             [audit]\nfile = \"/var/log/h.log\"\n[sandbox]\nuser = \"other\"\n{a}"
        ),
    );
    assert!(fixed(&before, &before).is_empty());
    let named = fixed(&before, &after).join("\n");
    assert_eq!(named.lines().count(), 6, "{named}");
    assert!(named.contains("`mountpoint` is /secrets and was to be /elsewhere"), "{named}");
    assert!(named.contains("`file` is nowhere and was to be /var/log/h.log") && named.contains("[sandbox]"), "{named}");
}
