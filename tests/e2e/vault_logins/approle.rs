//! AppRole, also with a secret id that came wrapped.

use serde_json::json;

use super::{LOGIN, is_refused, is_taken_again, prepared, put, scope, with_approle, works};
use crate::support::bao_auth;
use crate::support::daemon::Place;
use crate::support::fault_proxy::FaultProxy;
use crate::support::openbao::OpenBao;
use crate::support::vault_walk::{NEW, OLD, Walk};

#[test]
fn approle_logs_in_once_and_again_when_its_token_was_revoked() {
    let (place, server) = (Place::new(), prepared(OpenBao::start()));
    let files = bao_auth::approle(&server, json!({}));
    works(&place, &server, "approle (policies: default, reader)", &scope(&server.url(), &with_approle(&files, "")));

    put(&server, OLD);
    let proxy = FaultProxy::start(server.address());
    let walk = Walk::new(&place, &scope(&proxy.url(), &with_approle(&files, "")));
    let _daemon = walk.mount();
    walk.looks_around("vault");
    assert_eq!(proxy.calls(LOGIN), 1);
    bao_auth::revoke_all(&server);
    walk.sees_the_rotation(true, || put(&server, NEW));
    assert_eq!(proxy.calls(LOGIN), 2);

    bao_auth::revoke_all(&server);
    server.file("secret-id", "no-secret-id-of-that-role");
    is_refused(&walk, "AppRole login at `approle`");
    bao_auth::new_secret_id(&server);
    is_taken_again(&walk);
}

#[test]
fn a_wrapped_secret_id_is_left_to_the_daemon_which_unwraps_it_once() {
    let (place, server) = (Place::new(), prepared(OpenBao::start()));
    let files = bao_auth::approle(&server, json!({}));
    let token = bao_auth::new_wrapped_secret_id(&server);
    let proxy = FaultProxy::start(server.address());
    let walk = Walk::new(&place, &scope(&proxy.url(), &with_approle(&files, ", wrapped = true")));
    // Whoever only checks asks nothing: that would use up the wrapping token.
    let (status, found) = walk.check();
    assert_eq!(status, Some(69), "{found:#?}");
    let failed = &found[0]["whoami"]["failed"];
    assert_eq!(failed["kind"], "not_asked", "{failed}");
    assert!(failed["why"].as_str().expect("a reason").contains("wrapping token"), "{failed}");
    let text = String::from_utf8(place.run(&["check", "--online"]).stdout).expect("text");
    assert!(text.contains("  NOT ASKED: secret_id_file "), "{text}");
    let text = String::from_utf8(place.run(&["doctor"]).stdout).expect("text");
    assert!(text.contains("note     provider: app (vault) is not asked"), "{text}");
    assert_eq!(proxy.all_calls(), 0);

    let daemon = walk.mount();
    walk.looks_around("vault");
    bao_auth::revoke_all(&server);
    walk.sees_the_rotation(true, || put(&server, NEW));
    assert_eq!((proxy.calls(LOGIN), proxy.calls("POST /v1/sys/wrapping/unwrap")), (2, 1));
    assert!(daemon.stop().success());

    // The next daemon comes too late, and says what that means, until there is another.
    let _daemon = walk.mount();
    is_refused(&walk, "somebody else has: destroy that secret id");
    assert!(!place.log().contains(&token), "the token is in the log");
    bao_auth::new_wrapped_secret_id(&server);
    is_taken_again(&walk);
}
