//! The main job on Kubernetes: keys, attributes, changes that show at once, what RBAC refuses, and who we are.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::daemon::{HUSHFS, Place, errno_of_reading, eventually, xattr};
use crate::support::kubernetes::{Cluster, NAMESPACE};

const VALUE: &[u8] = b"the value itself";

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A scope whose service account may do what `verbs` say. Nothing becomes old by itself while a test runs.
fn scope(cluster: &Cluster, verbs: &[&str]) -> String {
    cluster.allow(
        "hushfs",
        "ServiceAccount/hushfs",
        json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": verbs}]),
    );
    let file = cluster.file("token", &cluster.token_of("hushfs"));
    format!(
        "[scopes.k8s]\nprovider = \"kubernetes\"\nnamespace = {NAMESPACE:?}\nprefix = \"prod-\"\nttl = \"1h\"\n\
         list_ttl = \"1h\"\nnegative_ttl = \"1h\"\nendpoint_url = {:?}\nca_file = {:?}\n\
         auth = {{ method = \"token\", token_file = {file:?} }}\n",
        cluster.url(),
        cluster.ca_file()
    )
}

#[test]
fn secrets_are_read_by_name_and_key() {
    let place = Place::new();
    let cluster = Cluster::start();
    cluster.put("prod-db.main", &[("USER", b"app"), ("bin", b"\0\xff"), ("EMPTY", b""), ("tls.crt", b"PEM\n")]);
    cluster.put("elsewhere", &[("value", VALUE)]);
    let _daemon = place.mount(&scope(&cluster, &["get", "list", "watch"]));
    let scope = place.mnt().join("k8s");

    assert_eq!(names(&scope), ["db.main"]);
    assert_eq!(names(&scope.join("db.main")), ["EMPTY", "USER", "bin", "tls.crt"]);
    for (key, value) in [("USER", &b"app"[..]), ("bin", b"\0\xff"), ("EMPTY", b""), ("tls.crt", b"PEM\n")] {
        assert_eq!(fs::read(scope.join("db.main").join(key)).unwrap(), value, "{key}");
    }
    for absent in ["elsewhere/value", "db.main/NOSUCH", "db.main/@previous/USER", "db.main/@7/USER"] {
        assert_eq!(errno_of_reading(&scope.join(absent)), Some(libc::ENOENT), "{absent}");
    }
    let user = scope.join("db.main/USER");
    let source = format!("{}/api/v1/namespaces/{NAMESPACE}/secrets/prod-db.main", cluster.url());
    for (name, value) in [("provider", "kubernetes"), ("source", &source), ("tag.type", "Opaque")] {
        assert_eq!(xattr(&user, &format!("user.hushfs.{name}")).as_deref(), Some(value), "{name}");
    }
    let version = xattr(&user, "user.hushfs.version").expect("a version");
    assert_eq!(fs::read_link(scope.join("db.main/@current")).unwrap(), Path::new(&format!("@{version}")));
}

#[test]
fn a_change_shows_at_the_next_open_and_long_before_the_ttl() {
    let place = Place::new();
    let cluster = Cluster::start();
    cluster.put("prod-db", &[("value", b"first"), ("goes", b"x")]);
    cluster.put("prod-gone", &[("value", VALUE)]);
    let _daemon = place.mount(&scope(&cluster, &["get", "list", "watch"]));
    let scope = place.mnt().join("k8s");
    let read = |name: &str| fs::read(scope.join(name).join("value"));
    assert_eq!(names(&scope), ["db", "gone"]);
    assert_eq!(read("db").unwrap(), b"first");
    assert_eq!(read("gone").unwrap(), VALUE);
    assert_eq!(errno_of_reading(&scope.join("new/value")), Some(libc::ENOENT));
    let inode = fs::metadata(scope.join("db/value")).unwrap().ino();

    for round in ["second", "third"] {
        cluster.put("prod-db", &[("value", round.as_bytes())]);
        eventually("a new open sees the new value", || (read("db").unwrap() == round.as_bytes()).then_some(()));
    }
    assert_eq!(fs::metadata(scope.join("db/value")).unwrap().ino(), inode);
    cluster.put("prod-new", &[("value", VALUE)]);
    eventually("a new secret is listed", || (names(&scope) == ["db", "gone", "new"]).then_some(()));
    assert_eq!(read("new").unwrap(), VALUE);
    cluster.delete("prod-gone");
    eventually("a deleted secret cannot be read", || {
        (errno_of_reading(&scope.join("gone/value")) == Some(libc::ENOENT)).then_some(())
    });
    eventually("a deleted secret is not listed", || (names(&scope) == ["db", "new"]).then_some(()));
    // The server would have been asked every few milliseconds by anything that polls.
    assert!(place.calls("k8s", "list") < 20, "{}", place.calls("k8s", "list"));
}

#[test]
fn without_the_right_to_watch_it_is_said_once_and_the_ttl_counts() {
    let place = Place::new();
    let cluster = Cluster::start();
    cluster.put("prod-db", &[("value", b"first")]);
    let text = scope(&cluster, &["get", "list"]).replace("ttl = \"1h\"\nlist", "ttl = \"1s\"\nlist");
    let _daemon = place.mount(&text);
    let value = place.mnt().join("k8s/db/value");
    assert_eq!(fs::read(&value).unwrap(), b"first");
    cluster.put("prod-db", &[("value", b"second")]);
    eventually("the value is asked for anew after its ttl", || (fs::read(&value).unwrap() == b"second").then_some(()));
    let said = eventually("the log says so", || {
        let lines: Vec<String> =
            place.log().lines().filter(|it| it.contains("only after ttl")).map(str::to_owned).collect();
        (!lines.is_empty()).then_some(lines)
    });
    assert!(said.len() == 1 && said[0].contains("cannot watch"), "{said:?}");
}

#[test]
fn a_daemon_that_follows_changes_ends_as_fast_as_any() {
    let place = Place::new();
    let cluster = Cluster::start();
    cluster.put("prod-db", &[("value", b"first")]);
    let daemon = place.mount(&scope(&cluster, &["get", "list", "watch"]));
    let value = place.mnt().join("k8s/db/value");
    assert_eq!(fs::read(&value).unwrap(), b"first");
    cluster.put("prod-db", &[("value", b"second")]);
    eventually("it follows", || (fs::read(&value).unwrap() == b"second").then_some(()));
    assert!(daemon.stop().success());
}

#[test]
fn what_rbac_refuses_has_no_bits_and_its_reason_is_told() {
    let place = Place::new();
    let cluster = Cluster::start();
    for name in ["prod-db", "prod-billing"] {
        cluster.put(name, &[("value", VALUE)]);
    }
    let text = scope(&cluster, &["list", "watch"]);
    let one = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["prod-db"]}]);
    cluster.allow("one", "ServiceAccount/hushfs", one);
    place.configure(&text);
    let output = place.run(&["check", "--online", "--json"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(77), "{told}");
    assert!(told.contains("system:serviceaccount:apps:hushfs") && told.contains("billing"), "{told}");

    let _daemon = place.mount(&text);
    let scope = place.mnt().join("k8s");
    let mode = |name: &str| fs::metadata(scope.join(name)).unwrap().mode() & 0o7777;
    eventually("the listing shows what is refused", || {
        assert_eq!(names(&scope), ["billing", "db"]);
        (mode("billing") == 0).then_some(())
    });
    assert_eq!(fs::read(scope.join("db/value")).unwrap(), VALUE);
    assert_eq!(errno_of_reading(&scope.join("billing/value")), Some(libc::EACCES));
    let output = Command::new(HUSHFS).arg("why").arg(scope.join("billing/value")).output().expect("hushfs runs");
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("no rule allows get of secrets/prod-billing"), "{told}");
}
