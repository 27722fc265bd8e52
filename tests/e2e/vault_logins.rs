//! Every way to log in at Vault, as a user has it: `hushfs check --online`, a mount, reading, a rotation; and what readers
//! are told while a login is refused.

mod approle;
mod certificate;
mod platforms;
mod tokens;

use std::path::Path;

use serde_json::json;

use crate::support::bao_auth::READ_ALL;
use crate::support::daemon::{Place, errno_of_reading};
use crate::support::openbao::OpenBao;
use crate::support::vault_walk::{NEW, OLD, Walk, why};

const LOGIN: &str = "POST /v1/auth/approle/login";

fn put(server: &OpenBao, value: &str) {
    server.root("POST", "secret/data/prod/db", &json!({"data": {"PASSWORD": value}}));
}

/// With the secret, a policy that reads it, and one beside the scope's prefix.
fn prepared(server: OpenBao) -> OpenBao {
    put(&server, OLD);
    server.put("elsewhere", "outside of the prefix");
    server.policy("reader", READ_ALL);
    server
}

fn scope(address: &str, auth: &str) -> String {
    format!("[scopes.app]\nprovider = \"vault\"\naddress = {address:?}\nprefix = \"prod/\"\n{auth}\n")
}

fn with_approle((role_id, secret_id): &(impl AsRef<Path>, impl AsRef<Path>), more: &str) -> String {
    let (role_id, secret_id) = (role_id.as_ref(), secret_id.as_ref());
    format!("auth = {{ method = \"approle\", role_id_file = {role_id:?}, secret_id_file = {secret_id:?}{more} }}")
}

/// The whole walk, where the login is `auth` and Vault then calls us `whoami`.
fn works(place: &Place, server: &OpenBao, whoami: &str, scope: &str) {
    let walk = Walk::new(place, scope);
    let _daemon = walk.is_taken_for(whoami).mount();
    walk.looks_around("vault");
    walk.sees_the_rotation(true, || put(server, NEW));
}

/// Nobody has the value, and readers are told that it is our credentials that are refused; `says` is why.
fn is_refused(walk: &Walk, says: &str) {
    walk.forget();
    assert_eq!(errno_of_reading(&walk.file()), Some(libc::EKEYREJECTED));
    let (status, told) = why(&walk.file());
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains(says), "{says} in\n{told}");
}

/// Without a restart; what was refused is remembered for `negative_ttl`, or until a flush.
fn is_taken_again(walk: &Walk) {
    walk.forget();
    assert_eq!(walk.text(&walk.file()), NEW);
}
