//! A client certificate, over TLS.

use serde_json::json;

use super::{is_refused, prepared, scope, works};
use crate::support::bao_auth;
use crate::support::daemon::{Place, errno_of_reading};
use crate::support::openbao::OpenBao;
use crate::support::vault_walk::{Walk, why};

#[test]
fn a_client_certificate_logs_in_over_tls_to_a_server_that_is_trusted() {
    let (place, server) = (Place::new(), prepared(OpenBao::start_with_tls()));
    bao_auth::certificates(&server);
    let (ca, certificate, key) = server.certificates();
    let auth =
        format!("auth = {{ method = \"cert\", role = \"hushfs\", cert_file = {certificate:?}, key_file = {key:?} }}");
    let trusting = scope(&server.tls_url(), &format!("ca_file = {ca:?}\n{auth}"));
    works(&place, &server, "cert-hushfs", &trusting);

    // The system's authorities do not vouch for this server: nothing is sent to it.
    let walk = Walk::new(&place, &scope(&server.tls_url(), &auth));
    let (status, found) = walk.check();
    assert_eq!((status, &found[0]["whoami"]["failed"]["kind"]), (Some(69), &json!("unreachable")), "{found:#?}");
    let _daemon = walk.mount();
    assert_eq!(errno_of_reading(&walk.file()), Some(libc::EHOSTUNREACH));
    let (status, told) = why(&walk.file());
    assert!(status == Some(1) && told.contains("certificate"), "{told}");
}

#[test]
fn a_certificate_that_no_role_is_for_is_ekeyrejected() {
    let (place, server) = (Place::new(), prepared(OpenBao::start_with_tls()));
    bao_auth::certificates(&server);
    let (ca, certificate, key) = server.certificates();
    let auth =
        format!("auth = {{ method = \"cert\", role = \"other\", cert_file = {certificate:?}, key_file = {key:?} }}");
    let walk = Walk::new(&place, &scope(&server.tls_url(), &format!("ca_file = {ca:?}\n{auth}")));
    let _daemon = walk.mount();
    is_refused(&walk, "certificate login at `cert`");
}
