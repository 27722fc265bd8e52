//! Where the provider lets an identity fetch secrets and not list them.

use std::fs;
use std::path::Path;

use crate::support::cloud::Cloud;
use crate::support::daemon::{Daemon, Place, errno_of_reading};

/// Mounts with a user who may do these actions with every secret, and no other.
fn mount_with<'a>(cloud: &Cloud, place: &'a Place, actions: &str, scopes: &str) -> Daemon<'a> {
    let policy =
        format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":[{actions}],"Resource":"*"}}]}}"#);
    let (id, secret) = cloud.account.server.user("reader", &policy);
    cloud.mount_as(place, scopes, Some((&id, &secret)))
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn any_directory_is_taken_to_be_there_and_a_key_in_it_tells() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    cloud.create("db", br#"{"USER":"app"}"#);
    cloud.create("team/db", b"below");
    let scopes = cloud.scope("prod", "") + &cloud.scope("team", "prefix = \"team/\"");
    let _daemon = mount_with(&cloud, &place, r#""secretsmanager:GetSecretValue""#, &scopes);
    let prod = place.mnt().join("prod");
    assert_eq!(fs::read_dir(&prod).unwrap_err().raw_os_error(), Some(libc::EACCES));
    assert_eq!(fs::read(prod.join("db/USER")).unwrap(), b"app");
    assert!(fs::metadata(prod.join("nosuch")).unwrap().is_dir());
    assert_eq!(errno_of_reading(&prod.join("nosuch/value")), Some(libc::ENOENT));
    // A name with a slash could be a key as well: it is found where the prefix ends before its last part.
    assert_eq!(errno_of_reading(&prod.join("team/db/value")), Some(libc::ENOENT));
    assert_eq!(fs::read(place.mnt().join("team/db/value")).unwrap(), b"below");
}

#[test]
fn names_with_a_slash_are_found_where_single_names_may_be_asked_for() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    cloud.create("team/db", b"below");
    let actions = r#""secretsmanager:GetSecretValue","secretsmanager:DescribeSecret""#;
    let _daemon = mount_with(&cloud, &place, actions, &cloud.scope("prod", ""));
    assert_eq!(fs::read(place.mnt().join("prod/team/db/value")).unwrap(), b"below");
}

#[test]
fn a_secret_lists_its_keys_and_not_the_secrets_below_it() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    cloud.create("db", br#"{"USER":"app","PORT":1}"#);
    cloud.create("db/creds", b"below");
    let _daemon = mount_with(&cloud, &place, r#""secretsmanager:GetSecretValue""#, &cloud.scope("prod", ""));
    assert_eq!(names(&place.mnt().join("prod/db")), ["PORT", "USER"]);
}
