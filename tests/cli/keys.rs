//! Keys that are unknown, misplaced, missing or set twice.

use crate::support::{Fixture, golden, goldens};

goldens! {
    an_unknown_key_near_a_known_one: "[cache]\ntll = \"5m\"\n";
    an_unknown_key_near_one_of_another_table: "tll = \"5m\"\n";
    an_unknown_key_near_nothing: "colour = \"blue\"\n";
    an_unknown_key_in_a_scope: "[scopes.prod]\nprovider = \"aws-secrets-manager\"\nregoin = \"us-east-1\"\n";
    an_unknown_table: "[cahce]\nttl = \"5m\"\n";
    an_unknown_key_in_control: "[control]\nsocked = \"/run/x\"\n";
    an_unknown_key_with_a_dash: "[cache]\nmax-stale = \"1h\"\n";
    an_unknown_quoted_key_with_control_characters: "\"a\\u001b[31mb\" = 1\n";
    a_cache_key_at_the_top: "ttl = \"5m\"\n";
    a_top_level_key_in_a_scope: "[scopes.prod]\nprovider = \"aws-secrets-manager\"\nmountpoint = \"/secrets\"\n";
    a_cache_only_key_in_a_scope: "[scopes.prod]\nprovider = \"aws-secrets-manager\"\nmax_bytes = \"1MiB\"\n";
    a_scopes_key_in_cache: "[cache]\nformat = \"json\"\n";
    another_providers_key: "[scopes.prod]\nprovider = \"aws-secrets-manager\"\nidentity = \"/etc/hushfs/dev.key\"\n";
    a_key_of_a_later_version: "page_cache = true\n";
    a_scope_without_a_provider: "[scopes.prod]\nregion = \"us-east-1\"\n";
    a_local_scope_without_its_keys: "[scopes.dev]\nprovider = \"local\"\n";
    an_unknown_provider: "[scopes.prod]\nprovider = \"aws-secret-manager\"\n";
    an_unknown_provider_near_nothing: "[scopes.prod]\nprovider = \"floppy\"\n";
    a_provider_near_a_known_one: "[scopes.prod]\nprovider = \"azure-keyvault\"\n";
    a_scope_with_a_bad_name: "[scopes.\".hidden\"]\nprovider = \"aws-secrets-manager\"\n";
    a_scope_with_an_empty_name: "[scopes.\"\"]\nprovider = \"aws-secrets-manager\"\n";
    a_scope_that_is_no_table: "[scopes]\nprod = \"aws-secrets-manager\"\n";
    scopes_that_are_an_array: "[[scopes]]\nprovider = \"local\"\n";
    a_key_set_twice_in_one_file: "mountpoint = \"/a\"\nmountpoint = \"/b\"\n";
    a_table_defined_twice_in_one_file: "[cache]\nttl = \"5m\"\n[cache]\nlist_ttl = \"5m\"\n";
    everything_wrong_is_reported_together_and_in_order:
        "mountpoint = \"secrets\"\n[scopes.dev]\nprovider = \"lokal\"\n[cache]\nttl = 5\ntimeout = \"0\"\n";
}

/// Lines that may hold a credential are told of and not shown, whatever is wrong with them.
#[test]
fn no_credential_is_ever_shown() {
    for (number, line) in [
        "password = \"CANARY\"",
        "secret_access_key = \"CANARY\"",
        "db.token = \"CANARY\"",
        "\"api key\" = \"CANARY\"",
        "password = CANARY",
        "password: CANARY",
        "passphrase = \"\"\"\nsome\nCANARY \\q\n\"\"\"",
        "mountpoint = 5 password CANARY",
        "client_secret = [\"CANARY\"]\nclient_secret = 1",
        "scopes.prod = { provider = \"local\", session_token = \"CANARY\" }",
        "scopes.prod = { provider = \"local\", path = \"x\", identity = \"AGE-SECRET-KEY-1CANARY\" }",
        "scopes.prod = { provider = \"AGE-SECRET-KEY-1CANARY\" }",
        "root = \"AGE-SECRET-KEY-1CANARY\"",
        "scopes.prod.provider = \"aws-secrets-manager\"\nscopes.prod.endpoint_url = \"http://me:CANARY@localhost\"",
        "anything = \"CANARY\"",
    ]
    .iter()
    .enumerate()
    {
        let fixture = Fixture::new();
        fixture.write("hushfs.toml", line);
        let said = fixture.check();
        assert!(said.starts_with("exit status 78\n"), "{number}: {said}");
        assert!(said.contains("hushfs.toml:"), "no line and column in {number}: {said}");
        assert!(!said.contains("CANARY"), "{number}: {said}");
        let file = fixture.file().display().to_string();
        let said = fixture.run(&["check", "--json", "--config", &file]);
        assert!(!said.contains("CANARY"), "{number}: {said}");
    }
}

#[test]
fn an_inline_credential() {
    let fixture = Fixture::new();
    fixture
        .write("hushfs.toml", "[scopes.prod]\nprovider = \"aws-secrets-manager\"\nsecret_access_key = \"hunter2\"\n");
    golden("an_inline_credential", &fixture.check());
}
