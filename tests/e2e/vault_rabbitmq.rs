//! Accounts of RabbitMQ that Vault lends, read from the mount and used with the server.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::support::bao_auth::approle;
use crate::support::daemon::{Place, errno_of_reading, eventually, xattr};
use crate::support::openbao::OpenBao;
use crate::support::rabbitmq::RabbitMq;
use crate::support::vault_walk::{names, why};

fn text(path: PathBuf) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn an_account_of_rabbitmq_is_made_by_reading_it_and_is_gone_after_the_unmount() {
    let place = Place::new();
    let (bao, rabbit) = (OpenBao::start(), RabbitMq::start());
    rabbit.engine(&bao, "app", 3600);
    let rules = r#"path "rabbitmq/creds/*" { capabilities = ["read"] }
        path "rabbitmq/roles" { capabilities = ["list"] }"#;
    bao.policy("reader", rules);
    let (role_id, secret_id) = approle(&bao, json!({}));
    let daemon = place.mount(&format!(
        "[scopes.mq]\nprovider = \"vault\"\naddress = {:?}\nkv = \"rabbitmq\"\n\
         auth = {{ method = \"approle\", role_id_file = {role_id:?}, secret_id_file = {secret_id:?} }}\n",
        bao.url()
    ));
    let role = place.mnt().join("mq/app");
    assert_eq!(names(&place.mnt().join("mq")), ["app"]);
    assert!(rabbit.users().is_empty(), "looking at a role asks for nothing");

    let (user, password) = (text(role.join("username")), text(role.join("password")));
    assert_eq!(rabbit.whoami(&user, &password).as_deref(), Some(user.as_str()));
    assert_eq!(rabbit.whoami(&user, "another password"), None);
    assert_eq!(text(role.join("username")), user, "every reader gets the same");
    assert_eq!(text(role.join("@current/password")), password);
    assert_eq!(rabbit.users(), [user.as_str()]);
    let told = serde_json::from_str::<serde_json::Value>(&text(role.join(".json"))).expect("JSON");
    assert_eq!(told, json!({"username": user, "password": password}));
    assert!(xattr(&role.join("username"), "user.hushfs.expires").is_some());
    let (status, told) = why(&role.join("password"));
    assert!(status == Some(0) && !told.contains(&password), "{status:?}");
    assert_eq!(errno_of_reading(&place.mnt().join("mq/none/username")), Some(libc::ENOENT));

    // No policy lets it give leases back: they go with the token that we have logged in for.
    assert!(daemon.stop().success());
    eventually("the account is gone", || rabbit.users().is_empty().then_some(()));
    assert_eq!(rabbit.whoami(&user, &password), None);
}
