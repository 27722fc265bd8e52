//! What the provider's IAM refuses is not in the permission bits: expected by its own word, or learnt from refusals.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::grants::{cat, grant};
use crate::support::cloud::Cloud;
use crate::support::daemon::{Place, errno_of_reading, eventually};
use crate::support::users::private_mounts;

fn place() -> Place {
    let place = Place::new();
    private_mounts(&place, 0);
    std::fs::set_permissions(place.mnt(), PermissionsExt::from_mode(0o755)).unwrap();
    place
}

fn allow(actions: &[&str], resource: &str) -> Value {
    json!({"Effect": "Allow", "Action": actions, "Resource": resource})
}

fn document(statements: &[Value]) -> String {
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

fn secret(name: &str) -> String {
    format!("arn:aws:secretsmanager:us-east-1:000000000000:secret:{name}-??????")
}

const LOOK: &[&str] = &["secretsmanager:ListSecrets", "secretsmanager:DescribeSecret"];
const READ: &[&str] = &["secretsmanager:GetSecretValue"];
const PREDICT: &[&str] = &["iam:SimulatePrincipalPolicy", "secretsmanager:GetResourcePolicy"];

/// As `ls` shows it.
fn mode(path: &Path) -> String {
    format!("{:04o}", std::fs::metadata(path).unwrap().mode() & 0o7777)
}

fn list(path: &Path) -> String {
    let output = Command::new("getfacl").args(["-cnp"]).arg(path).output().expect("getfacl");
    String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Looks at a directory until its bits are these.
fn shows(path: &Path, wanted: &str) {
    eventually(&format!("{} shows {wanted}", path.display()), || {
        let _ = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        (mode(path) == wanted).then_some(())
    });
}

/// Is refused a secret's key until the bits of its directory show that: they do for `negative_ttl` after a refusal.
fn shows_that_it_is_refused(secret: &Path) {
    eventually(&format!("{} shows a refusal", secret.display()), || {
        assert_eq!(errno_of_reading(&secret.join("KEY")), Some(libc::EACCES));
        let _ = std::fs::read_dir(secret.parent().unwrap()).unwrap().count();
        (mode(secret) == "0000").then_some(())
    });
}

#[test]
fn a_listing_shows_what_iam_refuses_before_anything_is_read() {
    let place = place();
    let cloud = Cloud::start(&place);
    for name in ["mine", "theirs", "team/app", "team"] {
        cloud.create(name, br#"{"KEY":"value"}"#);
    }
    let deny = json!({"Effect": "Deny", "Action": READ, "Resource": secret("theirs")});
    let policy = document(&[allow(LOOK, "*"), allow(READ, &secret("mine")), allow(PREDICT, "*"), deny]);
    let keys = cloud.account.server.user("app", &policy);
    let grants = grant("allow", "uid:2001", "read", "prod/**");
    let configuration = format!("allow_other = true\n{grants}{}", cloud.scope("prod", ""));
    let _daemon = cloud.mount_with_iam(&place, &configuration, (&keys.0, &keys.1));
    let prod = place.mnt().join("prod");
    shows(&prod.join("theirs"), "0000");
    shows(&prod.join("mine"), "0550");
    assert_eq!(list(&prod.join("theirs")), "user::--- group::--- other::---");
    assert_eq!(list(&prod.join("mine")), "user::r-x user:2001:r-x group::--- mask::r-x other::---");
    // Refused as a secret, and the way to another one all the same.
    assert_eq!(list(&prod.join("team")), "user::r-x user:2001:r-x group::--- mask::r-x other::---");
    assert_eq!(cloud.proxy.calls("GetSecretValue") + cloud.proxy.calls("BatchGetSecretValue"), 0);
    shows(&prod.join("team/app"), "0000");
    assert_eq!(cat(2001, &[], &prod.join("mine/KEY")).as_deref(), Some("value"));
    let asked = cloud.proxy.calls("SimulatePrincipalPolicy");
    for _ in 0..3 {
        let _ = std::fs::read_dir(&prod).unwrap().count();
    }
    assert_eq!(cloud.proxy.calls("SimulatePrincipalPolicy"), asked, "within iam_ttl it is asked once");
}

#[test]
fn a_refusal_corrects_a_prediction_at_once_and_a_grant_when_the_prediction_is_old() {
    let place = place();
    let cloud = Cloud::start(&place);
    cloud.create("db", br#"{"KEY":"value"}"#);
    let everything = [allow(LOOK, "*"), allow(PREDICT, "*"), allow(READ, "*")];
    let keys = cloud.account.server.user("app", &document(&everything));
    let arn = cloud.wait(cloud.account.arn("db"));
    // Policies of secrets are no part of what IAM expects of users with rights of their own.
    let of_secret = |effect: &str| {
        let statement = json!({"Effect": effect, "Principal": {"AWS": "*"}, "Action": READ, "Resource": arn});
        cloud.account.server.secret_policy("db", &document(&[statement]));
    };
    of_secret("Deny");
    let scope = cloud.scope("prod", "iam_ttl = \"1s\"\nnegative_ttl = \"1s\"");
    let _daemon = cloud.mount_with_iam(&place, &scope, (&keys.0, &keys.1));
    let db = place.mnt().join("prod/db");
    let _ = std::fs::read_dir(place.mnt().join("prod")).unwrap().count();
    eventually("IAM is asked", || (cloud.proxy.calls("SimulatePrincipalPolicy") > 0).then_some(()));
    assert_eq!(mode(&db), "0500", "it is expected to be readable");
    shows_that_it_is_refused(&db);
    of_secret("Allow");
    // Without the capabilities of root nobody could even ask: the bits let them, in time.
    eventually("it is read", || {
        let _ = std::fs::read_dir(place.mnt().join("prod")).unwrap().count();
        let output = Command::new("setpriv")
            .args(["--bounding-set=-all", "--inh-caps=-all", "cat"])
            .arg(db.join("KEY"))
            .output();
        (output.unwrap().stdout == b"value").then_some(())
    });
    assert_eq!(mode(&db), "0500");
}

#[test]
fn an_answer_that_is_younger_than_a_prediction_outlives_its_ttl_in_the_bits() {
    let place = place();
    let cloud = Cloud::start(&place);
    cloud.create("db", br#"{"KEY":"value"}"#);
    let asking = [allow(LOOK, "*"), allow(PREDICT, "*")];
    let keys = cloud.account.server.user("app", &document(&asking));
    let scope = cloud.scope("prod", "ttl = \"3s\"");
    let _daemon = cloud.mount_with_iam(&place, &scope, (&keys.0, &keys.1));
    let db = place.mnt().join("prod/db");
    shows(&db, "0000");
    cloud.account.server.change_user("app", &document(&[&asking[..], &[allow(READ, "*")]].concat()));
    // Root's capabilities are above bits.
    assert_eq!(errno_of_reading(&db.join("KEY")), None);
    shows(&db, "0500");
    std::thread::sleep(std::time::Duration::from_millis(4200));
    assert_eq!(mode(&db), "0500");
}

#[test]
fn who_may_not_ask_iam_learns_from_refusals() {
    let place = place();
    let cloud = Cloud::start(&place);
    for name in ["mine", "theirs"] {
        cloud.create(name, br#"{"KEY":"value"}"#);
    }
    let policy = |resource: &str| document(&[allow(LOOK, "*"), allow(READ, resource)]);
    let keys = cloud.account.server.user("app", &policy(&secret("mine")));
    let scope = cloud.scope("prod", "negative_ttl = \"2s\"");
    let _daemon = cloud.mount_with_iam(&place, &scope, (&keys.0, &keys.1));
    let prod = place.mnt().join("prod");
    let _ = std::fs::read_dir(&prod).unwrap().count();
    eventually("IAM refuses to say", || (cloud.proxy.calls("SimulatePrincipalPolicy") > 0).then_some(()));
    assert_eq!((mode(&prod.join("mine")), mode(&prod.join("theirs"))), ("0500".into(), "0500".into()));
    shows_that_it_is_refused(&prod.join("theirs"));
    assert_eq!(errno_of_reading(&prod.join("mine/KEY")), None);
    assert_eq!(mode(&prod.join("mine")), "0500");
    for _ in 0..3 {
        let _ = std::fs::read_dir(&prod).unwrap().count();
    }
    assert_eq!(cloud.proxy.calls("SimulatePrincipalPolicy"), 1, "who is refused does not ask again and again");
    cloud.account.server.change_user("app", &policy("*"));
    shows(&prod.join("theirs"), "0500");
    assert_eq!(errno_of_reading(&prod.join("theirs/KEY")), None);
}

#[test]
fn a_scope_that_may_not_be_listed_can_only_be_passed() {
    let place = place();
    let cloud = Cloud::start(&place);
    cloud.create("db", br#"{"KEY":"value"}"#);
    let keys = cloud.account.server.user("app", &document(&[allow(READ, "*")]));
    let _daemon = cloud.mount_with_iam(&place, &cloud.scope("prod", ""), (&keys.0, &keys.1));
    let prod = place.mnt().join("prod");
    assert_eq!(std::fs::read_dir(&prod).unwrap_err().raw_os_error(), Some(libc::EACCES));
    eventually("r goes and x stays", || (mode(&prod) == "0100").then_some(()));
    assert_eq!(errno_of_reading(&prod.join("db/KEY")), None);
}

#[test]
fn bits_show_each_group_what_its_own_identity_may() {
    let place = place();
    let cloud = Cloud::start(&place);
    cloud.create("db", br#"{"KEY":"value"}"#);
    let anyone = json!({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"});
    let role = |name: &str, effect: &str| {
        let policy = json!({"Effect": effect, "Action": "secretsmanager:*", "Resource": "*"});
        cloud.account.server.role(name, &document(std::slice::from_ref(&anyone)), &document(&[policy]))
    };
    let identity = |gid: u32, arn: String| {
        format!("[[identity]]\nprincipals = [\"gid:{gid}\"]\nscopes = [\"prod\"]\naws.role_arn = {arn:?}\n")
    };
    let identities = identity(3001, role("may", "Allow")) + &identity(3002, role("may-not", "Deny"));
    let policy = document(&[allow(LOOK, "*"), allow(PREDICT, "*"), allow(READ, "*"), allow(&["sts:AssumeRole"], "*")]);
    let keys = cloud.account.server.user("app", &policy);
    let grants = grant("allow", "gid:3001", "read", "prod/**") + &grant("allow", "gid:3002", "read", "prod/**");
    let configuration = format!("allow_other = true\n{grants}{identities}{}", cloud.scope("prod", ""));
    let _daemon = cloud.mount_with_iam(&place, &configuration, (&keys.0, &keys.1));
    let key = place.mnt().join("prod/db/KEY");
    let wanted = "user::r-- group::--- group:3001:r-- mask::r-- other::---";
    eventually("the bits of both", || (list(&key) == wanted).then_some(()));
    assert_eq!(cat(3001, &[], &key).as_deref(), Some("value"));
    assert_eq!(cat(3002, &[], &key), None);
    assert_eq!(list(&key), wanted);
}

/// As of a service with `SupplementaryGroups=`, or a container with `--group-add`.
#[test]
fn a_group_that_the_host_does_not_know_of_gives_its_identity_and_bits_do_not_stand_in_the_way() {
    let place = place();
    let cloud = Cloud::start(&place);
    cloud.create("db", br#"{"KEY":"value"}"#);
    let anyone = json!({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"});
    let role = cloud.account.server.role("may", &document(&[anyone]), &document(&[allow(&["secretsmanager:*"], "*")]));
    // The scope's own identity may read nothing itself.
    let policy = document(&[allow(LOOK, "*"), allow(PREDICT, "*"), allow(&["sts:AssumeRole"], "*")]);
    let keys = cloud.account.server.user("app", &policy);
    let identity = format!("[[identity]]\nprincipals = [\"gid:3001\"]\nscopes = [\"prod\"]\naws.role_arn = {role:?}\n");
    let grants = grant("allow", "uid:3003", "read", "prod/**");
    let configuration = format!("allow_other = true\n{grants}{identity}{}", cloud.scope("prod", ""));
    let _daemon = cloud.mount_with_iam(&place, &configuration, (&keys.0, &keys.1));
    let db = place.mnt().join("prod/db");
    shows(&db, "0050");
    assert_eq!(cat(3003, &[3001], &db.join("KEY")).as_deref(), Some("value"));
    assert_eq!(cat(3003, &[], &db.join("KEY")), None);
    assert_eq!(cat(3004, &[3001], &db.join("KEY")), None);
}

#[test]
fn an_endpoint_of_ones_own_keeps_iam_from_being_asked() {
    let place = place();
    let cloud = Cloud::start(&place);
    cloud.create("db", b"value");
    let _daemon = cloud.mount(&place, &cloud.scope("prod", ""));
    let prod = place.mnt().join("prod");
    for _ in 0..3 {
        let _ = std::fs::read_dir(&prod).unwrap().count();
    }
    eventually("the question that is not put", || (place.calls("prod", "iam") > 0).then_some(()));
    assert_eq!(mode(&prod.join("db")), "0500");
    assert_eq!(cloud.proxy.calls("SimulatePrincipalPolicy") + cloud.proxy.calls("GetCallerIdentity"), 0);
}

#[test]
fn what_a_role_may_no_longer_read_is_gone_within_ttl_and_never_served_as_stale() {
    let place = place();
    let cloud = Cloud::start(&place);
    cloud.create("db", br#"{"KEY":"value"}"#);
    let anyone = json!({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"});
    let everything = [allow(&["secretsmanager:*"], "*")];
    let server = &cloud.account.server;
    let role = server.role("app", &document(&[anyone]), &document(&everything));
    let identity = format!("[[identity]]\nprincipals = [\"uid:2001\"]\nscopes = [\"prod\"]\naws.role_arn = {role:?}\n");
    let grants = grant("allow", "uid:2001", "read", "prod/**") + &grant("allow", "uid:2002", "read", "prod/**");
    let scope = cloud.scope("prod", "ttl = \"1s\"\nnegative_ttl = \"1s\"\nmax_stale = \"1h\"");
    let configuration = format!("allow_other = true\n{grants}{identity}{scope}");
    let _daemon = cloud.mount_with_iam(&place, &configuration, crate::support::ministack::ROOT_KEYS);
    let key = place.mnt().join("prod/db/KEY");
    for uid in [2001, 2002] {
        assert_eq!(cat(uid, &[], &key).as_deref(), Some("value"));
    }
    server.change_role("app", &document(&[json!({"Effect": "Deny", "Action": "*", "Resource": "*"})]));
    eventually("the refusal", || cat(2001, &[], &key).is_none().then_some(()));
    for _ in 0..20 {
        assert_eq!(cat(2001, &[], &key), None);
        assert_eq!(cat(2002, &[], &key).as_deref(), Some("value"), "of another identity");
    }
    server.change_role("app", &document(&everything));
    eventually("the grant", || cat(2001, &[], &key).map(drop));
}
