//! Containers that a user runs without root, by the commands of the page for users.

use std::path::Path;
use std::process::Output;

use serde_json::json;

use super::containers::{ANOTHER_USER, MOUNTED_LATER, ONE_SCOPE, OWN_MOUNT, OWN_MOUNT_AS_ONESELF, options};
use super::grants::{cat, grant, place, read_by};
use crate::support::audit_log::AuditFile;
use crate::support::containers::{FIRST_OF_WORKERS, Podman, WORKER};
use crate::support::daemon::{Daemon, Place};
use crate::support::plain::PlainStore;
use crate::support::users::{hushfs_as, share_mounts};

/// Runs a command of the page, with further options.
fn run(podman: &Podman, command: &str, (folder, ours): (&str, &Path), more: &[&str], program: &[&str]) -> Output {
    let options = options(command, folder, ours);
    podman.run(&options.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>(), program)
}

fn said(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The user's podman, and a place.
fn rootless() -> (Place, PlainStore, Podman) {
    let (place, store) = place();
    let podman = Podman::rootless(&place);
    (place, store, podman)
}

/// The user's own mount, where the user's unit has it, and what podman is told of it.
fn own_mount<'a>(place: &'a Place, store: &PlainStore, podman: &Podman) -> Daemon<'a> {
    let mountpoint = podman.runtime().join("shared/secrets");
    std::fs::create_dir_all(&mountpoint).unwrap();
    std::os::unix::fs::chown(&mountpoint, Some(WORKER), Some(WORKER)).unwrap();
    let settings = format!("mountpoint = {mountpoint:?}\n{}timeout = \"60s\"\n", store.scope("prod"));
    std::fs::write(place.path().join("hushfs.toml"), settings).unwrap();
    let mut command = hushfs_as(place, WORKER, &["mount"]);
    command.env("XDG_RUNTIME_DIR", podman.runtime());
    place.start(command)
}

#[test]
fn a_users_own_mount_is_read_in_rootless_containers_by_the_user_alone() {
    let (place, store, podman) = rootless();
    let _daemon = own_mount(&place, &store, &podman);
    let shared = podman.runtime().join("shared");
    let own = shared.join("secrets");
    let itself = ("$XDG_RUNTIME_DIR/secrets", own.as_path());
    let above = ("$XDG_RUNTIME_DIR/shared", shared.as_path());
    for (command, volume, uid, key) in [
        (OWN_MOUNT, itself, 0, "/secrets/prod/db/KEY"),
        (OWN_MOUNT_AS_ONESELF, above, WORKER, "/shared/secrets/prod/db/KEY"),
    ] {
        let run = |more: &[&str], program: &[&str]| run(&podman, command, volume, more, program);
        assert_eq!(said(run(&[], &["id", "-u"])).trim(), uid.to_string(), "as it is called there");
        assert_eq!(read_by(run(&[], &["cat", key])).as_deref(), Some("value"), "{command}");
        assert_eq!(read_by(run(&["--user=1000"], &["cat", key])), None, "{command}");
    }
    // Whom the kernel keeps out is not shown it by a runtime that is the same.
    let refused = run(&podman, OWN_MOUNT, itself, &["--userns=keep-id"], &["true"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("permission denied"), "{refused:?}");
    let key = own.join("prod/db/KEY");
    assert_eq!(cat(FIRST_OF_WORKERS + 999, &[], &key), None, "nor is it let in outside");
    assert_eq!(cat(WORKER, &[], &key).as_deref(), Some("value"));
}

#[test]
fn who_is_in_a_rootless_container_is_judged_by_the_numbers_outside() {
    let (place, store, podman) = rootless();
    // What is mounted there later comes into the namespaces that podman makes now.
    share_mounts(place.path());
    let audit = AuditFile::new(&place, "audit.log");
    let other = FIRST_OF_WORKERS + 999;
    let settings = grant("allow", &format!("uid:{WORKER}"), "read", "prod/db")
        + &grant("allow", &format!("uid:{other}"), "read", "prod/web")
        + &grant("allow", "uid:1000", "read", "prod/billing")
        + &grant("allow", &format!("gid:{WORKER}"), "read", "prod/team/app")
        + &audit.section("required = true");
    let _daemon = super::grants::mount(&place, &store, &settings);
    let prod = place.mnt().join("prod");
    let readable = |command: &str, more: &[&str]| {
        let names = ["db", "web", "billing", "team/app"].into_iter();
        let read = |name: &&str| {
            let path = format!("/secrets/prod/{name}/KEY");
            read_by(run(&podman, command, ("/secrets/prod", &prod), more, &["cat", &path])).is_some()
        };
        names.filter(read).collect::<Vec<_>>()
    };
    let by = |name: &str| {
        audit.about(&format!("prod/{name}/KEY")).into_iter().rev().find(|it| it["decision"] == "allow").unwrap()
    };
    assert_eq!(readable(ONE_SCOPE, &[]), ["db", "team/app"], "its root is who started it");
    assert_eq!((&by("db")["uid"], &by("db")["container"]), (&json!(WORKER), &json!(null)));
    let as_oneself = run(
        &podman,
        MOUNTED_LATER,
        ("/srv/hushfs", place.path()),
        &["--userns=keep-id"],
        &["sh", "-c", "id -u; cat /srv/hushfs/mnt/prod/db/KEY"],
    );
    assert_eq!(said(as_oneself), format!("{WORKER}\nvalue"));
    assert_eq!(readable(ANOTHER_USER, &[]), ["web"]);
    assert_eq!((&by("web")["uid"], &by("web")["gid"]), (&json!(other), &json!(other)));
    // Of whom podman has not written a group into the container.
    assert_eq!(readable(ONE_SCOPE, &["--user=1001"]), ["team/app"], "group 0 in there is the user's own outside");
}

#[test]
fn a_rootless_container_with_one_scope_sees_no_other_and_one_with_the_folder_above_sees_later_mounts() {
    let (place, store, podman) = rootless();
    share_mounts(place.path());
    // Before anything is mounted.
    let options = options(MOUNTED_LATER, "/srv/hushfs", place.path());
    let mut before = podman.create(&options.iter().map(String::as_str).collect::<Vec<_>>());
    before.start();
    let list = || said(before.exec("0:0", &["ls", "-A", "/srv/hushfs/mnt"], None));
    assert_eq!(list(), "", "nothing is mounted");
    let settings = grant("allow", &format!("uid:{WORKER}"), "read", "**") + &store.scope("billing");
    let daemon = super::grants::mount(&place, &store, &settings);
    let read = || read_by(before.exec("0:0", &["cat", "/srv/hushfs/mnt/prod/db/KEY"], None));
    assert_eq!(read().as_deref(), Some("value"));
    let inside = |script: &str| {
        run(&podman, ONE_SCOPE, ("/secrets/prod", &place.mnt().join("prod")), &[], &["sh", "-c", script])
    };
    assert_eq!(said(inside("cat /secrets/prod/db/KEY; ls -A /secrets /secrets/prod/..")).matches("prod").count(), 3);
    let other = inside("cat /secrets/prod/../billing/db/KEY");
    assert!(String::from_utf8_lossy(&other.stderr).contains("No such file or directory"), "{other:?}");
    assert!(daemon.stop().success());
    assert_eq!(list(), "", "it is gone from there too");
    let _daemon = super::grants::mount(&place, &store, &settings);
    assert_eq!(read().as_deref(), Some("value"), "and it is there again");
}
