//! A version before the current one, and what takes a value's place.

use std::fs;

use super::{LONG, PATIENCE, flush};
use crate::support::daemon::Place;
use crate::support::marked::Mark;
use crate::support::memory::{Kind, scan, scan_until};
use crate::support::openbao::OpenBao;

#[test]
fn nothing_is_left_of_a_version_that_was_refreshed_away_nor_of_the_previous_one_after_a_flush() {
    let place = Place::new();
    let bao = OpenBao::start();
    bao.policy("app", r#"path "secret/*" { capabilities = ["read", "list"] }"#);
    let token = bao.file("token", &bao.token(&["app"], serde_json::json!({})));
    let marks = [Mark::new(), Mark::new(), Mark::new()];
    let [first, second, third] = &marks;
    for mark in [first, second] {
        bao.put("db", &mark.value);
    }
    let daemon = place.mount(&format!(
        "[scopes.app]\nprovider = \"vault\"\naddress = {:?}\n\
         auth = {{ method = \"token\", token_file = {token:?} }}\n{LONG}",
        bao.url()
    ));
    let db = place.mnt().join("app/db");
    let shows = |version: &str, mark: &Mark| {
        for file in ["value", ".json", ".env"] {
            assert!(mark.is_in(&fs::read(db.join(version).join(file)).unwrap()), "{version}/{file}");
        }
    };
    shows("@current", second);
    shows("@previous", first);
    for mark in [first, second] {
        assert!(scan(&daemon, mark).of(Kind::Locked) > 0, "the scan finds what is there");
    }

    bao.put("db", &third.value);
    let refreshed = place.run(&["refresh", &db.to_string_lossy()]);
    assert!(refreshed.status.success(), "{}", String::from_utf8_lossy(&refreshed.stderr));
    shows("@current", third);
    shows("@previous", second);
    let replaced = scan_until(&daemon, first, PATIENCE, |copies| copies.0.is_empty());
    assert!(replaced.0.is_empty(), "nobody can read it any more: {:#?}", replaced.0);

    flush(&place);
    for mark in &marks {
        let left = scan_until(&daemon, mark, PATIENCE, |copies| copies.0.is_empty());
        assert!(left.0.is_empty(), "{:#?}", left.0);
    }
    assert_eq!(daemon.stop().code(), Some(0));
}
