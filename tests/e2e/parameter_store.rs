//! The main job, on AWS Parameter Store.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Barrier};

use serde_json::json;

use crate::support::cloud::Cloud;
use crate::support::daemon::{Place, errno_of_reading, eventually, xattr};
use crate::support::fault_proxy::Fault;

fn text(path: &Path) -> String {
    String::from_utf8(fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn put(cloud: &Cloud, name: &str, value: &str) {
    cloud.wait(cloud.account.put_secure(name, value));
}

fn document(statements: &serde_json::Value) -> String {
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

#[test]
fn parameters_are_files_where_they_stand() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    put(&cloud, "/app/prod/db/PASSWORD", "old");
    put(&cloud, "/app/prod/db/PASSWORD", "s3cret\n");
    put(&cloud, "/app/prod/db/USER", "app");
    put(&cloud, "/app/prod/db/replica/PASSWORD", "other");
    put(&cloud, "/app/prod/TOKEN", r#"{"not":"split"}"#);
    put(&cloud, "/app/other/KEY", "outside of the path");
    let _daemon = cloud.mount(&place, &cloud.parameters("params", "/app/prod/", ""));
    let params = place.mnt().join("params");

    assert_eq!(text(&params.join("db/PASSWORD")), "s3cret\n");
    assert_eq!(text(&params.join("db/replica/PASSWORD")), "other");
    assert_eq!(text(&params.join("TOKEN/value")), r#"{"not":"split"}"#);
    assert_eq!(names(&params), ["TOKEN", "db"]);
    assert_eq!(names(&params.join("db")), ["PASSWORD", "USER", "replica"]);
    assert_eq!(text(&params.join("db/.json")), r#"{"PASSWORD":"s3cret\n","USER":"app"}"#);
    assert_eq!(text(&params.join("db/.env")), "PASSWORD='s3cret\n'\nUSER='app'\n");
    assert_eq!(fs::metadata(params.join("db/PASSWORD")).unwrap().len(), 7);
    for absent in ["db/NONE", "none/KEY", "KEY/value", "db/@previous/PASSWORD"] {
        assert_eq!(errno_of_reading(&params.join(absent)), Some(libc::ENOENT), "{absent}");
    }

    // Versions are those of single parameters; a directory's own is its present state.
    assert_eq!(text(&params.join("db/@1/PASSWORD")), "old");
    assert_eq!(text(&params.join("db/@2/PASSWORD")), "s3cret\n");
    assert_eq!(names(&params.join("db/@2")), ["PASSWORD"]);
    let current = fs::read_link(params.join("db/@current")).unwrap();
    assert_eq!(text(&params.join("db").join(&current).join("USER")), "app");
    assert_eq!(text(&params.join("db/@current/PASSWORD")), "s3cret\n");

    let file = params.join("db/PASSWORD");
    assert_eq!(xattr(&file, "user.hushfs.provider").as_deref(), Some("aws-parameter-store"));
    let source = xattr(&file, "user.hushfs.source").unwrap();
    assert_eq!(source, "arn:aws:ssm:us-east-1:000000000000:parameter/app/prod/db");
    assert_eq!(format!("@{}", xattr(&file, "user.hushfs.version").unwrap()), current.to_str().unwrap());
}

#[test]
fn fifty_readers_of_a_cold_directory_are_one_call_and_ls_fetches_no_value() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    for number in 0..10 {
        put(&cloud, &format!("/app/prod/db/KEY{number}"), "value");
    }
    let _daemon = cloud.mount(&place, &cloud.parameters("params", "/app/prod/", ""));
    let params = place.mnt().join("params");
    let listed = Command::new("ls").arg("-l").arg(&params).output().unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains(" db\n"), "{listed:?}");
    assert_eq!((cloud.proxy.calls("DescribeParameters"), cloud.proxy.all_calls()), (1, 1));
    let start = Arc::new(Barrier::new(50));
    let readers: Vec<_> = (0..50)
        .map(|number| {
            let (start, file) = (Arc::clone(&start), params.join(format!("db/KEY{}", number % 10)));
            std::thread::spawn(move || {
                start.wait();
                text(&file)
            })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), "value");
    }
    assert_eq!(names(&params.join("db")).len(), 10);
    assert_eq!((cloud.proxy.calls("GetParametersByPath"), cloud.proxy.all_calls()), (1, 2));
}

#[test]
fn what_iam_refuses_is_in_the_bits_and_why_says_so() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    for name in ["mine/KEY", "theirs/KEY", "lone", "their-lone"] {
        put(&cloud, &format!("/app/prod/{name}"), "the value itself");
    }
    let policy = document(&json!([
        {"Effect": "Allow", "Action": ["ssm:*", "iam:SimulatePrincipalPolicy"], "Resource": "*"},
        {"Effect": "Deny", "Action": ["ssm:GetParametersByPath", "ssm:GetParameter"],
         "Resource": "arn:aws:ssm:us-east-1:000000000000:parameter/app/prod/their*"},
    ]));
    let keys = cloud.account.server.user("app", &policy);
    let configuration = cloud.parameters("params", "/app/prod/", "");
    let _daemon = cloud.mount_with_iam(&place, &configuration, (&keys.0, &keys.1));
    let params = place.mnt().join("params");
    eventually("the bits go", || {
        let _ = fs::read_dir(&params).unwrap().count();
        (mode(&params.join("theirs")) == 0 && mode(&params.join("their-lone")) == 0).then_some(())
    });
    assert_eq!((mode(&params.join("mine")), mode(&params.join("lone"))), (0o500, 0o500));
    assert_eq!(text(&params.join("mine/KEY")), "the value itself");

    let why = |path: &str| {
        let output = place.hushfs(&["why"]).arg(params.join(path)).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    // The emulator predicts for a directory's path and does not enforce it: the refusal itself is a lone one's.
    let (status, told) = why("their-lone/value");
    assert!(status == Some(1) && told.contains("explicitDeny"), "{status:?} {told}");
    let (status, told) = why("mine/KEY");
    assert!(status == Some(0) && told.contains("iam:SimulatePrincipalPolicy"), "{status:?} {told}");
}

#[test]
fn check_online_asks_who_we_are_and_what_would_be_refused() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    for name in ["mine/KEY", "theirs/KEY"] {
        put(&cloud, &format!("/app/prod/{name}"), "the value itself");
    }
    let policy = document(&json!([
        {"Effect": "Allow", "Action": ["ssm:*", "iam:SimulatePrincipalPolicy"], "Resource": "*"},
        {"Effect": "Deny", "Action": "ssm:GetParametersByPath",
         "Resource": "arn:aws:ssm:us-east-1:000000000000:parameter/app/prod/theirs"},
    ]));
    let keys = cloud.account.server.user("app", &policy);
    let configuration = cloud.parameters("params", "/app/prod/", "");
    let output = crate::check_online::check(&place, &cloud, (&keys.0, &keys.1), &configuration, &["--json"]);
    assert_eq!(output.status.code(), Some(77), "{output:?}");
    let found = crate::check_online::findings(&output);
    assert_eq!(found[0]["whoami"]["ok"], "arn:aws:iam::000000000000:user/app");
    assert_eq!(found[0]["list"]["ok"], 2);
    assert_eq!(found[0]["refused"][0]["secret"], "theirs");
    assert_eq!(found[0]["read"]["ok"], "mine");
}

#[test]
fn with_the_least_policy_a_full_path_is_read_and_nothing_is_listed() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    put(&cloud, "/app/prod/db/KEY", "value");
    put(&cloud, "/app/prod/lone", "value");
    let policy = document(&json!([
        {"Effect": "Allow", "Action": ["ssm:GetParametersByPath", "ssm:GetParameter"], "Resource": "*"}
    ]));
    let keys = cloud.account.server.user("app", &policy);
    let configuration = cloud.parameters("params", "/app/prod/", "");
    let _daemon = cloud.mount_as(&place, &configuration, Some((&keys.0, &keys.1)));
    let params = place.mnt().join("params");
    assert_eq!(text(&params.join("db/KEY")), "value");
    assert_eq!(text(&params.join("lone/value")), "value");
    assert_eq!(errno_of_reading(&params.join("none/value")), Some(libc::ENOENT));
    assert_eq!(fs::read_dir(&params).unwrap_err().raw_os_error(), Some(libc::EACCES));
}

#[test]
fn a_secret_of_secrets_manager_is_split_into_its_keys() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    // As AWS documents it; the emulator has no references.
    let answer = json!({"Parameter": {"Value": r#"{"USER":"app"}"#, "Version": 0,
        "SourceResult": r#"{"VersionId":"11111111-aaaa-bbbb-cccc-123456789012"}"#}});
    cloud.proxy.set("GetParameter", Fault::body(&answer.to_string()));
    let _daemon = cloud.mount(&place, &cloud.parameters("refs", "/aws/reference/secretsmanager/", ""));
    let refs = place.mnt().join("refs");
    assert_eq!(text(&refs.join("prod-db/USER")), "app");
    assert_eq!(text(&refs.join("prod-db/@current/USER")), "app");
    assert_eq!(fs::read_dir(&refs).unwrap_err().raw_os_error(), Some(libc::EACCES));
}
