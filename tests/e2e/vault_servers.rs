//! A server of Vault's that is sealed, is a standby, or limits how often it is asked: what readers get, what an operator is
//! told, and that it passes without a restart.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::bao_auth::READ_ALL;
use crate::support::bao_cluster::BaoCluster;
use crate::support::daemon::{Daemon, Place, errno_of_reading, eventually};
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::openbao::OpenBao;
use crate::support::vault_walk::{NEW, OLD, Walk, why};

fn put(server: &OpenBao, name: &str) {
    server.root("POST", &format!("secret/data/prod/{name}"), &json!({"data": {"PASSWORD": OLD}}));
}

fn scope(address: &str, token_file: &Path, lines: &str) -> String {
    format!(
        "[scopes.app]\nprovider = \"vault\"\naddress = {address:?}\nprefix = \"prod/\"\n{lines}\n\
         auth = {{ method = \"token\", token_file = {token_file:?} }}\n"
    )
}

/// With the secrets `db` and `other`, and a token that may read them.
fn prepared() -> (OpenBao, PathBuf) {
    let server = OpenBao::start();
    put(&server, "db");
    put(&server, "other");
    server.policy("reader", READ_ALL);
    let token = server.file("token", &server.token(&["reader"], json!({})));
    (server, token)
}

/// A mount that has a value, which every read asks for anew, and the file of another that nobody has read.
fn with_one_value_read<'a>(
    place: &'a Place,
    server: &OpenBao,
    token: &Path,
    timeout: &str,
) -> (Walk<'a>, PathBuf, Daemon<'a>) {
    let walk = Walk::new(place, &scope(&server.url(), token, &format!("ttl = \"0\"\ntimeout = {timeout:?}")));
    let daemon = walk.mount();
    assert_eq!(walk.text(&walk.file()), OLD);
    let other = walk.scope().join("other/PASSWORD");
    (walk, other, daemon)
}

fn status_of(place: &Place) -> (Value, String) {
    let text = String::from_utf8(place.run(&["status"]).stdout).expect("text");
    (place.status()["scopes"][0].clone(), text)
}

#[test]
fn while_it_is_sealed_who_has_a_value_keeps_it_and_who_has_none_is_told_to_unseal() {
    let place = Place::new();
    let (server, token) = prepared();
    let (walk, other, _daemon) = with_one_value_read(&place, &server, &token, "60s");
    server.seal();
    assert_eq!(walk.text(&walk.file()), OLD, "the last good value, within max_stale");
    assert_eq!(errno_of_reading(&other), Some(libc::EHOSTUNREACH));
    let (status, told) = why(&other);
    assert!(status == Some(1) && told.contains("it is sealed; unseal it"), "{told}");
    let told = walk.refresh().expect_err("nobody gives a new one");
    assert!(told.contains("sealed"), "{told}");
    let (scope, text) = status_of(&place);
    assert_eq!(scope["up"], false, "{scope:#}");
    assert!(scope["failures"]["unreachable"].as_u64() >= Some(1), "{scope:#}");
    assert!(text.contains("app (vault): DOWN, ") && text.contains("sealed"), "{text}");
    let (status, found) = walk.check();
    assert_eq!((status, &found[0]["whoami"]["failed"]["kind"]), (Some(69), &json!("unreachable")), "{found:#?}");

    server.unseal();
    assert_eq!(eventually("the other value", || fs::read_to_string(&other).ok()), OLD);
    assert_eq!(walk.text(&walk.file()), OLD);
    assert_eq!(status_of(&place).0["up"], true);
    assert_eq!(walk.check().0, Some(0));
}

#[test]
fn a_standby_reads_also_when_there_is_no_active_node_any_more() {
    let (place, mut cluster) = (Place::new(), BaoCluster::start());
    let put = |cluster: &BaoCluster, value: &str| cluster.put("prod/db", &json!({"PASSWORD": value}));
    put(&cluster, OLD);
    let token = place.path().join("token");
    fs::write(&token, &cluster.root_token).expect("a file");
    fs::set_permissions(&token, PermissionsExt::from_mode(0o600)).expect("permissions");
    let address = format!("http://{}", cluster.standby());
    let walk = Walk::new(&place, &scope(&address, &token, "timeout = \"60s\""));
    let _daemon = walk.is_taken_for("root (policies: root)").mount();
    walk.looks_around("vault");
    walk.sees_the_rotation(true, || put(&cluster, NEW));

    cluster.stop_active();
    walk.forget();
    assert_eq!(walk.text(&walk.file()), NEW);
    assert_eq!(status_of(&place).0["up"], true);
}

#[test]
fn a_standby_that_sends_us_elsewhere_is_ehostunreach_and_the_active_node_is_named() {
    let place = Place::new();
    let (server, token) = prepared();
    let proxy = FaultProxy::start(server.address());
    let active = "http://active.example:8200";
    let headers = vec![format!("Location: {active}/v1/secret/data/prod/db")];
    proxy.set("*", Fault::Answer { status: 307, headers, body: String::new() });
    let walk = Walk::new(&place, &scope(&proxy.url(), &token, ""));
    let _daemon = walk.mount();
    assert_eq!(errno_of_reading(&walk.file()), Some(libc::EHOSTUNREACH));
    let (status, told) = why(&walk.file());
    assert!(status == Some(1) && told.contains("standby") && told.contains(active), "{told}");
    assert_eq!(status_of(&place).0["up"], false);
    // It has become the active one.
    proxy.set("*", Fault::Pass);
    assert_eq!(eventually("the value", || fs::read_to_string(walk.file()).ok()), OLD);
}

#[test]
fn past_a_quota_of_the_server_who_has_a_value_keeps_it_and_who_has_none_gets_ebusy_until_the_pause_is_over() {
    let place = Place::new();
    let (server, token) = prepared();
    // A pause that is longer is not waited for.
    let (walk, other, _daemon) = with_one_value_read(&place, &server, &token, "5s");
    server.root("POST", "sys/quotas/config", &json!({"enable_rate_limit_response_headers": true}));
    server.root("POST", "sys/quotas/rate-limit/slow", &json!({"path": "secret", "rate": 1, "interval": "15s"}));
    // Until it is the quota that answers, each of these is the last good value or the value itself.
    eventually("throttling", || {
        assert_eq!(walk.text(&walk.file()), OLD);
        (place.status()["scopes"][0]["failures"]["throttled"].as_u64() >= Some(1)).then_some(())
    });
    assert_eq!(errno_of_reading(&other), Some(libc::EBUSY));
    let (status, told) = why(&other);
    assert!(status == Some(1) && told.contains("throttl"), "{told}");
    let (scope, text) = status_of(&place);
    assert!(!scope["budget"]["throttled_until"].is_null(), "{scope:#}");
    assert!(text.contains("throttled"), "{text}");

    server.root("DELETE", "sys/quotas/rate-limit/slow", &Value::Null);
    assert_eq!(eventually("the other value", || fs::read_to_string(&other).ok()), OLD);
}
