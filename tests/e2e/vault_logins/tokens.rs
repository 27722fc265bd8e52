//! A token that somebody else got for us; and how long one lasts.

use serde_json::json;

use super::{LOGIN, is_refused, is_taken_again, prepared, put, scope, with_approle};
use crate::support::bao_auth;
use crate::support::daemon::{Place, errno_of_reading, eventually};
use crate::support::fault_proxy::FaultProxy;
use crate::support::openbao::OpenBao;
use crate::support::vault_walk::{NEW, OLD, Walk, names};

const RENEW: &str = "POST /v1/auth/token/renew-self";

#[test]
fn a_token_in_a_file_reads_and_whatever_is_in_the_file_counts_at_once() {
    let (place, server) = (Place::new(), prepared(OpenBao::start()));
    let token = |policy: &str| server.token(&[policy], json!({"display_name": "file"}));
    let first = token("reader");
    let file = server.file("token", &first);
    let scope = scope(&server.url(), &format!("auth = {{ method = \"token\", token_file = {file:?} }}"));
    let walk = Walk::new(&place, &scope);
    let _daemon = walk.is_taken_for("token-file (policies: default, reader)").mount();
    walk.looks_around("vault");
    walk.sees_the_rotation(true, || put(&server, NEW));

    // Valid as well, but may nothing: only whoever noticed the change is refused.
    server.file("token", &token("default"));
    walk.forget();
    assert_eq!(errno_of_reading(&walk.file()), Some(libc::EACCES));
    server.file("token", &token("reader"));
    is_taken_again(&walk);

    // Revoked: who has only this one is told so until there is another.
    server.file("token", &first);
    is_taken_again(&walk);
    server.root("POST", "auth/token/revoke", &json!({ "token": first }));
    is_refused(&walk, "put a new one where this one came from");
    assert!(!place.log().contains(&first), "the token is in the log");
    server.file("token", &token("reader"));
    is_taken_again(&walk);
}

#[test]
fn a_mount_comes_up_without_a_token_and_serves_as_soon_as_its_file_holds_one() {
    let (place, server) = (Place::new(), prepared(OpenBao::start()));
    let file = server.folder().join("token");
    let auth = format!("auth = {{ method = \"token\", token_file = {file:?} }}\nnegative_ttl = \"1s\"");
    let walk = Walk::new(&place, &scope(&server.url(), &auth));
    let _daemon = walk.mount();
    let is_there = || assert_eq!(names(&place.mnt()), ["app"]);
    is_there();
    assert_eq!(errno_of_reading(&walk.file()), Some(libc::EKEYREJECTED));
    is_refused(&walk, "cannot be read");
    server.file("token", "");
    is_refused(&walk, "is empty");
    is_there();

    server.file("token", &server.token(&["reader"], json!({})));
    let read = eventually("the value, by the same daemon", || std::fs::read_to_string(walk.file()).ok());
    assert_eq!(read, OLD);
    walk.looks_around("vault");
}

#[test]
fn without_auth_the_token_is_that_of_the_environment_and_then_that_of_the_home_directory() {
    let (place, server) = (Place::new(), prepared(OpenBao::start()));
    let token = |name: &str| server.token(&["reader"], json!({ "display_name": name }));
    let home = place.path().join("home");
    std::fs::create_dir(&home).expect("a folder");
    let scope = scope(&server.url(), "");
    let at_home = || Walk::new(&place, &scope).with("HOME", home.display().to_string()).with("VAULT_TOKEN", "");
    let (status, found) = at_home().check();
    assert_eq!(status, Some(69), "{found:#?}");
    let failed = &found[0]["whoami"]["failed"];
    assert!(
        failed["kind"] == "credentials_rejected"
            && failed["why"].as_str().is_some_and(|why| why.contains("VAULT_TOKEN"))
    );

    std::fs::rename(server.file("t", &token("home")), home.join(".vault-token")).expect("moved");
    at_home().is_taken_for("token-home ");
    let walk = at_home().with("VAULT_TOKEN", token("environment"));
    let _daemon = walk.is_taken_for("token-environment ").mount();
    walk.looks_around("vault");
    walk.sees_the_rotation(true, || put(&server, NEW));
}

#[test]
fn a_token_is_renewed_while_nobody_reads_and_replaced_when_it_can_be_renewed_no_more() {
    let (place, server) = (Place::new(), prepared(OpenBao::start()));
    let files = bao_auth::approle(&server, json!({"token_ttl": "12s", "token_max_ttl": "1h"}));
    let proxy = FaultProxy::start(server.address());
    let walk = Walk::new(&place, &scope(&proxy.url(), &with_approle(&files, "")));
    let daemon = walk.mount();
    assert_eq!(walk.text(&walk.file()), OLD);
    // One at each two thirds of a lease.
    eventually("renewals beyond the first lease", || (proxy.calls(RENEW) >= 2).then_some(()));
    put(&server, NEW);
    walk.refresh().expect("the token is good");
    assert_eq!((walk.text(&walk.file()).as_str(), proxy.calls(LOGIN)), (NEW, 1));
    assert!(daemon.stop().success());

    server.root("POST", "auth/approle/role/hushfs", &json!({"token_ttl": "1s", "token_max_ttl": "1s"}));
    proxy.forget_calls();
    let _daemon = walk.mount();
    eventually("a login for each token", || {
        is_taken_again(&walk);
        (proxy.calls(LOGIN) >= 3).then_some(())
    });
}
