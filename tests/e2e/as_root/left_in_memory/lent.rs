//! Credentials that Vault lends, which it makes up itself.

use std::fs;

use serde_json::json;

use super::{LONG, PATIENCE, flush};
use crate::support::backend::KEEPS_WORN;
use crate::support::daemon::{Place, eventually};
use crate::support::marked::Mark;
use crate::support::memory::{Kind, scan, scan_until};
use crate::support::openbao::OpenBao;
use crate::support::postgres::Postgres;

const RULES: &str = r#"path "database/creds/*" { capabilities = ["read"] }
    path "database/roles" { capabilities = ["list"] }
    path "database/static-roles" { capabilities = ["list"] }
    path "sys/leases/revoke" { capabilities = ["update"] }"#;

#[test]
fn nothing_is_left_of_a_password_that_vault_has_lent_while_its_lease_goes_on() {
    let place = Place::new();
    let (bao, postgres) = (OpenBao::start(), Postgres::start());
    postgres.engine(&bao);
    postgres.role(&bao, "app", "1h", "24h");
    bao.policy("hushfs", RULES);
    let token = bao.file("token", &bao.token(&["hushfs"], json!({})));
    place.configure(&format!(
        "[scopes.db]\nprovider = \"vault\"\naddress = {:?}\nkv = \"database\"\n\
         auth = {{ method = \"token\", token_file = {token:?} }}\n{LONG}",
        bao.url()
    ));
    let mut command = place.hushfs(&["mount"]);
    command.env(KEEPS_WORN, "1");
    let daemon = place.start(command);
    let role = place.mnt().join("db/app");
    let password = fs::read_to_string(role.join("password")).unwrap();
    let mark = Mark::of(password.clone());
    for whole in [".json", ".env"] {
        assert!(mark.is_in(&fs::read(role.join(whole)).unwrap()), "{whole}");
    }
    assert!(scan(&daemon, &mark).of(Kind::Locked) > 0, "the scan finds what is there");

    flush(&place);
    let left = scan_until(&daemon, &mark, PATIENCE, |copies| copies.0.is_empty());
    assert!(left.0.is_empty(), "{:#?}", left.0);
    // Whoever comes now is lent another.
    let next = fs::read_to_string(role.join("password")).unwrap();
    assert!(next != password, "nobody has what is not in memory");
    assert_eq!(daemon.stop().code(), Some(0));
    eventually("the accounts are gone", || postgres.roles().is_empty().then_some(()));
}
