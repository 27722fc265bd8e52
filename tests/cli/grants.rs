//! What is said of `[[grant]]`.

use hushfs::config::{Source, load};

use crate::support::{Fixture, golden, goldens};

const HEAD: &str = "allow_other = true\n[scopes.prod]\nprovider = \"aws-secrets-manager\"\n";

/// A good grant with one line of another kind in the place of its own.
fn with(line: &str) -> String {
    let name = line.split(' ').next().unwrap_or_default();
    let good = ["principals = [\"uid:1000\"]", "actions = [\"read\"]", "resources = [\"prod/db-*\"]"];
    let rest: Vec<&str> = good.into_iter().filter(|good| good.split(' ').next() != Some(name)).collect();
    format!("{HEAD}[[grant]]\n{line}\n{}\n", rest.join("\n"))
}

fn deny(line: &str) -> String {
    with(&format!("{line}\neffect = \"deny\""))
}

goldens! {
    a_grant_that_is_good: with("effect = \"deny\"");
    a_grant_of_one_bracket: format!("{HEAD}[grant]\nprincipals = [\"everyone\"]\n");
    a_grant_that_is_a_text: "grant = \"everyone\"\n";
    a_grant_of_nothing: format!("{HEAD}[[grant]]\n");
    a_grant_with_an_unknown_key: with("resource = [\"prod/db\"]");
    a_grants_key_at_the_top: "principals = [\"everyone\"]\n";
    a_grant_to_a_text: with("principals = \"uid:1000\"");
    a_grant_to_a_number: with("principals = [\"uid:1000\", 1000]");
    a_grant_to_an_empty_text: with("principals = [\"\"]");
    a_grant_to_nobody: with("principals = []");
    a_grant_of_no_action: with("actions = []");
    a_grant_to_no_resource: with("resources = []");
    an_effect_that_is_misspelt: with("effect = \"denny\"");
    an_action_that_is_misspelt: with("actions = [\"raed\"]");
    an_action_that_there_is_not: with("actions = [\"write\"]");
    a_principal_without_a_kind: with("principals = [\"airflow\"]");
    a_principal_that_is_nearly_everyone: with("principals = [\"Everyone\"]");
    a_principal_of_an_unknown_kind: with("principals = [\"grup:root\"]");
    a_user_who_is_not_there: with("principals = [\"user:rooot\"]");
    a_user_who_is_a_number: with("principals = [\"user:123456789\"]");
    a_group_that_is_not_there: with("principals = [\"group:no-such-group-anywhere\"]");
    a_uid_that_is_a_name: with("principals = [\"uid:root\"]");
    a_gid_that_nobody_can_have: with("principals = [\"gid:4294967295\"]");
    a_unit_without_a_suffix: with("principals = [\"unit:worker\"]");
    a_unit_that_no_process_is_in: with("principals = [\"unit:backup.timer\"]");
    a_unit_that_is_a_template: with("principals = [\"unit:worker@.service\"]");
    a_container_with_a_short_id: with("principals = [\"container:4f5e6a7b8c9d\"]");
    an_executable_without_its_path: with("principals = [\"exe:psql\"]");
    a_glob_of_another_language: with("principals = [\"exe:/usr/bin/{a,b}\"]");
    a_resource_with_a_class: deny("resources = [\"prod/db[12]\"]");
    a_resource_with_a_leading_slash: with("resources = [\"/secrets/prod/db\"]");
    a_resource_that_is_a_scope: with("resources = [\"prod\"]");
    a_resource_that_no_file_is_called: deny("resources = [\"prod/db/@current/x\"]");
    a_resource_with_stars_in_a_name: with("resources = [\"prod/db**\"]");
    an_allow_in_a_scope_that_is_not_there: with("resources = [\"prd/db\"]");
    a_deny_in_a_scope_that_is_not_there: deny("resources = [\"prod/db\", \"prd/db\"]");
    a_deny_in_a_scope_of_another_name: deny("resources = [\"staging*/db\"]");
    a_grant_without_any_scope:
        "allow_other = true\n[[grant]]\nprincipals = [\"everyone\"]\nactions = [\"read\"]\nresources = [\"**\"]\n";
    a_deny_of_root: deny("principals = [\"uid:0\"]");
    a_root_who_is_denied_what_is_granted_to_nobody: format!("root = \"deny\"\n{HEAD}");
    a_deny_of_root_where_root_is_like_any_other: format!("root = \"deny\"\n{}", deny("principals = [\"uid:0\"]"));
    a_grant_while_others_cannot_pass: with("actions = [\"list\"]").replace("allow_other = true\n", "");
    a_grant_while_others_cannot_pass_and_root_is_like_any_other:
        with("actions = [\"list\"]").replace("allow_other = true", "root = \"deny\"");
    a_grant_said_twice: format!(
        "{}[[grant]]\nresources = [\"prod/db-*\"]\nactions = [\"read\", \"read\"]\nprincipals = [\"uid:1000\"]\n",
        with("effect = \"allow\"")
    );
}

#[test]
fn grants_of_all_files_count_and_know_their_place() {
    let fixture = Fixture::new();
    let grant = "[[grant]]\nprincipals = [\"everyone\"]\nactions = [\"list\"]\n";
    fixture
        .write("hushfs.toml", format!("{HEAD}{grant}resources = [\"prod/a\"]\n\n{grant}resources = [\"prod/b\"]\n"))
        .write("conf.d/more.toml", format!("{grant}resources = [\"prod/c\"]\n"));
    let loaded = load(&Source::Directory(fixture.path().to_owned())).unwrap_or_else(|report| panic!("{report}"));
    let grants = loaded.config.grants.iter();
    let places = grants.map(|grant| fixture.without_directory(&format!("{} {}", grant.resources[0], grant.place)));
    assert_eq!(
        places.collect::<Vec<_>>(),
        ["prod/a [dir]/hushfs.toml:4", "prod/b [dir]/hushfs.toml:9", "prod/c [dir]/conf.d/more.toml:1"]
    );
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
}

#[test]
fn grants_that_are_none_in_one_of_two_files() {
    let fixture = Fixture::new();
    fixture.write("conf.d/1.toml", "[[grant]]\n").write("conf.d/2.toml", "grant = [\"everyone\"]\n");
    let report = load(&Source::Directory(fixture.path().to_owned())).expect_err("no grant");
    golden("grants_that_are_none_in_one_of_two_files", &fixture.without_directory(&report.to_string()));
}
