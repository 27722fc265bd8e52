//! Callers in containers and namespaces, of a mount that was made outside of them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use super::grants::{cat, grant, mount, place, read_by, real, run};
use super::permissions::mount_as;
use crate::support::audit_log::AuditFile;
use crate::support::child::Guarded;
use crate::support::containers::{Container, Podman};
use crate::support::daemon::{HUSHFS, Place};
use crate::support::missing;
use crate::support::plain::PlainStore;
use crate::support::users::{NOBODY, private_mounts, share_mounts};

const ROOT: &str = "0:0";
const USER: &str = "2001:2001";

/// What a user in a container reads below /secrets; None where it is refused.
fn cat_in(container: &Container<'_>, user: &str, path: &str) -> Option<String> {
    read_by(container.exec(user, &["cat", &format!("/secrets/{path}")], None))
}

/// The commands of the page for users. A test that names one runs it, with something to run for the `…`.
pub const ONE_SCOPE: &str = "podman run --volume=/secrets/prod:/secrets/prod:ro …";
pub const MOUNTED_LATER: &str = "podman run --volume=/srv/hushfs:/srv/hushfs:ro,rslave …";
pub const OWN_MOUNT: &str = "podman run --volume=$XDG_RUNTIME_DIR/secrets:/secrets …";
pub const OWN_MOUNT_AS_ONESELF: &str = "podman run --userns=keep-id --volume=$XDG_RUNTIME_DIR/shared:/shared:rslave …";
pub const ANOTHER_USER: &str = "podman run --user=1000:1000 --volume=/secrets/prod:/secrets/prod:ro …";
const ONE_SCOPE_IN_BWRAP: &str = "bwrap --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
                                  --ro-bind /secrets/prod /secrets/prod …";
const MOUNTED_LATER_IN_BWRAP: &str = "bwrap --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
                                      --bind /srv/hushfs /srv/hushfs …";
const ROOT_IN_BWRAP: &str = "bwrap --unshare-user --uid 0 --gid 0 --dev-bind / / …";

/// The options of a command, with a folder of the test's in the place of this one on the host.
pub fn options(command: &str, folder: &str, ours: &Path) -> Vec<String> {
    let ours = ours.display().to_string();
    let words = command.trim_end_matches(" …").split(' ').skip_while(|word| !word.starts_with('-'));
    let mut replaced = false;
    let options = words.map(|word| match word.strip_prefix("--volume=").or(Some(word)) {
        Some(of) if of.starts_with(folder) && !std::mem::replace(&mut replaced, true) => {
            word.replacen(folder, &ours, 1)
        }
        _ => word.to_owned(),
    });
    let options = options.collect();
    assert!(replaced, "{command} has no {folder}");
    options
}

/// The one option of such a command.
fn option(command: &str, folder: &str, ours: &Path) -> String {
    let mut options = options(command, folder, ours);
    assert_eq!(options.len(), 1, "{command}");
    options.remove(0)
}

fn secrets(place: &Place) -> String {
    option(OWN_MOUNT, "$XDG_RUNTIME_DIR/secrets", &place.mnt())
}

#[test]
fn the_commands_of_the_page_are_those_that_the_tests_run() {
    let page = include_str!("../../../docs/containers.md");
    let all = [
        ONE_SCOPE,
        MOUNTED_LATER,
        OWN_MOUNT,
        OWN_MOUNT_AS_ONESELF,
        ANOTHER_USER,
        ONE_SCOPE_IN_BWRAP,
        MOUNTED_LATER_IN_BWRAP,
        ROOT_IN_BWRAP,
    ];
    let commands = page.lines().filter_map(|line| line.strip_prefix("    "));
    assert_eq!(commands.collect::<Vec<_>>(), all);
}

/// A folder whose mounts reach whoever is given it, and a mountpoint in it.
fn shared_mountpoint(place: &Place) -> (std::path::PathBuf, std::path::PathBuf) {
    private_mounts(place, 0);
    let shared = place.path().join("shared");
    let mountpoint = shared.join("mnt");
    std::fs::create_dir_all(&mountpoint).unwrap();
    share_mounts(&shared);
    (shared, mountpoint)
}

#[test]
fn a_bubblewrap_with_one_scope_sees_no_other_and_one_with_the_folder_above_sees_later_mounts() {
    let place = Place::new();
    let (shared, mountpoint) = shared_mountpoint(&place);
    let store = PlainStore::new(place.path(), "store");
    store.put("db.json", br#"{"KEY":"value"}"#);
    let settings = grant("allow", "uid:2001", "read", "**") + &store.scope("prod") + &store.scope("billing");
    let settings = format!("mountpoint = {mountpoint:?}\nallow_other = true\n{settings}[cache]\ntimeout = \"60s\"\n");
    std::fs::write(place.path().join("hushfs.toml"), settings).unwrap();
    let user = |uid: u32| {
        let mut command = Command::new("setpriv");
        command.args([
            format!("--reuid={uid}"),
            format!("--regid={uid}"),
            "--clear-groups".to_owned(),
            "bwrap".to_owned(),
        ]);
        command
    };
    // It says that it is there, and waits for a line before it looks.
    let mut before = user(2001);
    before.args(options(MOUNTED_LATER_IN_BWRAP, "/srv/hushfs", &shared)).arg("--die-with-parent");
    before.args(["sh", "-c", "ls -A /srv/hushfs/mnt; echo .; read line; cat /srv/hushfs/mnt/prod/db/KEY"]);
    let mut before = Guarded::spawn(before.stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap();
    let mut said = BufReader::new(before.0.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, ".\n", "nothing is mounted");
    let _daemon = place.start(place.hushfs(&["mount"]));
    before.0.stdin.take().unwrap().write_all(b"\n").unwrap();
    line.clear();
    said.read_to_string(&mut line).unwrap();
    assert_eq!(line, "value");
    for (uid, readable) in [(0, true), (2001, true), (2002, false)] {
        let inside = |script: &str| {
            let mut command = user(uid);
            command.args(options(ONE_SCOPE_IN_BWRAP, "/secrets/prod", &mountpoint.join("prod")));
            command.args(["sh", "-c", script]).output().unwrap()
        };
        let read = read_by(inside("cat /secrets/prod/db/KEY"));
        assert_eq!(read.as_deref(), readable.then_some("value"), "{uid}");
        if !readable {
            continue;
        }
        assert_eq!(
            String::from_utf8_lossy(&inside("ls -A /secrets /secrets/prod/..").stdout).matches("prod").count(),
            3
        );
        let other = inside("cat /secrets/prod/../billing/db/KEY");
        assert!(String::from_utf8_lossy(&other.stderr).contains("No such file or directory"), "{other:?}");
    }
}

/// Runs a program in namespaces of its own.
fn bwrap(uid: u32, groups: &[u32], namespaces: &[&str], program: &[&str], path: &Path) -> Output {
    missing::program("bwrap", "bubblewrap");
    let mut all = vec!["bwrap", "--die-with-parent", "--dev-bind", "/", "/", "--proc", "/proc"];
    all.extend(namespaces);
    all.push("--");
    all.extend(program);
    run(uid, groups, &all, path)
}

#[test]
fn a_containers_id_is_granted_to_its_own_processes_and_to_nobody_else_whatever_their_user() {
    granted_to_a_container(NOBODY);
}

#[test]
fn root_in_a_container_is_judged_as_any_other_where_root_runs_the_daemon_and_is_a_caller_like_any_other() {
    granted_to_a_container(0);
}

fn granted_to_a_container(runs_it: u32) {
    let place = Place::new();
    let podman = Podman::new(&place);
    let mut mine = podman.create(&[&secrets(&place)]);
    let mut other = podman.create(&[&secrets(&place)]);
    // Root is a caller like any other where that is asked for.
    let short = format!("container:{}*", &mine.id[..12]);
    let _daemon = mount_as(
        &place,
        runs_it,
        &format!("allow_other = true\nroot = \"deny\"\n{}", grant("allow", &short, "read", "prod/db")),
    );
    mine.start();
    other.start();
    let outside = place.mnt().join("prod/db/KEY");
    // Again: what one has made the kernel remember is not the other's.
    for _ in 0..2 {
        for (user, uid) in [(ROOT, 0), (USER, 2001)] {
            assert_eq!(cat_in(&mine, user, "prod/db/KEY").as_deref(), Some("value"), "{user}");
            assert_eq!(cat_in(&other, user, "prod/db/KEY"), None, "{user}");
            assert_eq!(cat(uid, &[], &outside), None, "{user}");
        }
    }
}

#[test]
fn every_container_is_granted_by_one_glob_a_denied_one_is_not_and_outside_there_is_none() {
    let (place, store) = place();
    let podman = Podman::new(&place);
    let mut granted = podman.create(&[&secrets(&place)]);
    let mut denied = podman.create(&[&secrets(&place)]);
    let settings = grant("allow", "container:*", "read", "prod/**")
        + &grant("allow", "uid:2002", "read", "prod/db")
        + &grant("deny", &format!("container:{}", denied.id), "read", "prod/db");
    let _daemon = mount(&place, &store, &settings);
    granted.start();
    denied.start();
    assert_eq!(cat_in(&granted, USER, "prod/db/KEY").as_deref(), Some("value"));
    assert_eq!(cat_in(&denied, USER, "prod/web/KEY").as_deref(), Some("value"));
    assert_eq!(cat_in(&denied, USER, "prod/db/KEY"), None);
    assert_eq!(cat_in(&denied, "2002:2002", "prod/db/KEY"), None, "whatever its user is granted");
    assert_eq!(cat(2001, &[], &place.mnt().join("prod/db/KEY")), None);
    assert_eq!(cat(2002, &[], &place.mnt().join("prod/db/KEY")).as_deref(), Some("value"), "it is in no container");
}

#[test]
fn a_control_group_of_containers_is_granted_with_each_in_it() {
    let (place, store) = place();
    let (podman, apart) = (Podman::new(&place), place.path().join("apart"));
    let apart = Podman::in_folder(&apart);
    let mut one = podman.create(&[&secrets(&place)]);
    let mut two = podman.create(&[&secrets(&place)]);
    let mut three = apart.create(&[&secrets(&place)]);
    let settings = grant("allow", &format!("cgroup:{}", podman.cgroup()), "read", "prod/db")
        + &grant("allow", &format!("cgroup:{}", one.cgroup()), "read", "prod/web");
    let _daemon = mount(&place, &store, &settings);
    for container in [&mut one, &mut two, &mut three] {
        container.start();
    }
    for (container, db, web) in [(&one, true, true), (&two, true, false), (&three, false, false)] {
        assert_eq!(cat_in(container, USER, "prod/db/KEY").is_some(), db);
        assert_eq!(cat_in(container, USER, "prod/web/KEY").is_some(), web);
    }
    for name in ["db", "web"] {
        assert_eq!(cat(2001, &[], &place.mnt().join(format!("prod/{name}/KEY"))), None, "{name}");
    }
}

#[test]
fn users_and_groups_in_a_container_are_granted_by_number_and_the_audit_log_names_the_container() {
    let (place, store) = place();
    let podman = Podman::new(&place);
    let mut container = podman.create(&[&secrets(&place)]);
    let audit = AuditFile::new(&place, "audit.log");
    let settings = grant("allow", "uid:2001", "read", "prod/db")
        + &grant("allow", "gid:3000", "read", "prod/web")
        + &audit.section("required = true");
    let _daemon = mount(&place, &store, &settings);
    container.start();
    assert_eq!(cat_in(&container, USER, "prod/db/KEY").as_deref(), Some("value"));
    assert_eq!(cat_in(&container, "2002:3000", "prod/web/KEY").as_deref(), Some("value"));
    assert_eq!(cat_in(&container, "2002:3000", "prod/db/KEY"), None);
    let read = audit.about("prod/db/KEY").into_iter().find(|line| line["decision"] == "allow").unwrap();
    assert_eq!((&read["container"], &read["uid"]), (&json!(container.id), &json!(2001)));
    assert!(read["pid"].as_u64().is_some_and(|pid| pid > 0), "as the daemon numbers it: {read}");
    assert_eq!(cat(2001, &[], &place.mnt().join("prod/db/KEY")).as_deref(), Some("value"));
    let outside = audit.about("prod/db/KEY").pop().unwrap();
    assert_eq!((&outside["container"], &outside["uid"]), (&json!(null), &json!(2001)));
}

#[test]
fn a_container_with_the_folder_above_sees_later_mounts_and_one_with_the_mount_itself_keeps_the_old_one() {
    let place = Place::new();
    let (shared, mountpoint) = shared_mountpoint(&place);
    let podman = Podman::new(&place);
    let mut above = podman.create(&[&option(MOUNTED_LATER, "/srv/hushfs", &shared)]);
    let mut itself = podman.create(&[&format!("--volume={}:/secrets:rslave", mountpoint.display())]);
    above.start();
    let store = PlainStore::new(place.path(), "store");
    store.put("db.json", br#"{"KEY":"value"}"#);
    let granted = grant("allow", &format!("container:{}*", &above.id[..12]), "read", "prod/db");
    let scope = store.scope("prod") + "timeout = \"60s\"\n";
    let settings = format!("mountpoint = {mountpoint:?}\nallow_other = true\n{granted}{scope}");
    std::fs::write(place.path().join("hushfs.toml"), settings).unwrap();
    let list = |container: &Container<'_>, path: &str| {
        let output = container.exec(ROOT, &["ls", "-A", path], None);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(list(&above, "/srv/hushfs/mnt"), "", "nothing is mounted");
    let daemon = place.start(place.hushfs(&["mount"]));
    assert_eq!(read_by(above.exec(USER, &["cat", "/srv/hushfs/mnt/prod/db/KEY"], None)).as_deref(), Some("value"));
    assert_eq!(cat(2001, &[], &mountpoint.join("prod/db/KEY")), None);
    itself.start();
    assert_eq!(list(&itself, "/secrets"), "prod\n");
    assert!(daemon.stop().success());
    assert_eq!(list(&above, "/srv/hushfs/mnt"), "", "it is gone from there too");
    let _daemon = place.start(place.hushfs(&["mount"]));
    assert_eq!(read_by(above.exec(USER, &["cat", "/srv/hushfs/mnt/prod/db/KEY"], None)).as_deref(), Some("value"));
    let dead = itself.exec(ROOT, &["ls", "-A", "/secrets"], None);
    assert!(String::from_utf8_lossy(&dead.stderr).contains("Transport endpoint is not connected"), "{dead:?}");
}

#[test]
fn a_container_that_runs_one_program_reads_by_the_pages_commands() {
    let (place, store) = place();
    share_mounts(place.path());
    let podman = Podman::new(&place);
    let audit = AuditFile::new(&place, "audit.log");
    let settings = grant("allow", "uid:1000", "read", "prod/web") + &audit.section("required = true");
    let _daemon = mount(&place, &store, &settings);
    let prod = place.mnt().join("prod");
    let read = |command: &str, folder: &str, ours: &Path, path: &str| {
        let options = options(command, folder, ours);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        read_by(podman.run(&options, &["cat", path]))
    };
    let one_scope = read(ONE_SCOPE, "/secrets/prod", &prod, "/secrets/prod/db/KEY");
    assert_eq!(one_scope.as_deref(), Some("value"), "root of the host");
    assert!(audit.about("prod/db/KEY").pop().unwrap()["container"].is_string());
    // As on a host with SELinux, of which there is none here.
    let labelled = ONE_SCOPE.replace(":ro", ":ro,z");
    let one_scope = read(&labelled, "/secrets/prod", &prod, "/secrets/prod/db/KEY");
    assert_eq!(one_scope.as_deref(), Some("value"), "nothing is labelled");
    let later = read(MOUNTED_LATER, "/srv/hushfs", place.path(), "/srv/hushfs/mnt/prod/db/KEY");
    assert_eq!(later.as_deref(), Some("value"));
    for (name, readable) in [("web", true), ("db", false)] {
        let another = read(ANOTHER_USER, "/secrets/prod", &prod, &format!("/secrets/prod/{name}/KEY"));
        assert_eq!(another.is_some(), readable, "{name}");
    }
}

#[test]
fn where_root_is_denied_it_can_give_a_scope_to_a_container_once_it_may_list_and_reads_nothing_by_that() {
    let (place, store) = place();
    let podman = Podman::new(&place);
    let settings = |lists: &str| {
        let others = grant("allow", "uid:2001", "read", "prod/db") + &grant("allow", "uid:202001", "read", "prod/db");
        format!("root = \"deny\"\n{others}{lists}")
    };
    let one_scope = option(ONE_SCOPE, "/secrets/prod", &place.mnt().join("prod"));
    // A container with users of its own is not given it with `ro`.
    let of_its_own = one_scope.trim_end_matches(":ro");
    let users = ["--uidmap=0:200000:65536", "--gidmap=0:200000:65536"];
    let run = |options: &[&str], user: &str| {
        let options = [options, &["--user", user]].concat();
        podman.run(&options, &["cat", "/secrets/prod/db/KEY"])
    };
    let daemon = mount(&place, &store, &settings(""));
    for options in [&[one_scope.as_str()][..], &[users[0], users[1], of_its_own]] {
        let output = run(options, USER);
        assert!(String::from_utf8_lossy(&output.stderr).contains("permission denied"), "{output:?}");
    }
    assert_eq!(daemon.stop().code(), Some(0));
    let lists = grant("allow", "uid:0", "list", "prod/**") + &grant("allow", "uid:200000", "list", "prod/**");
    let _daemon = mount(&place, &store, &settings(&lists));
    for options in [&[one_scope.as_str()][..], &[users[0], users[1], of_its_own]] {
        assert_eq!(read_by(run(options, USER)).as_deref(), Some("value"));
        assert_eq!(read_by(run(options, ROOT)), None);
    }
}

#[test]
fn a_container_with_one_scope_sees_no_other() {
    let (place, store) = place();
    let podman = Podman::new(&place);
    let other = PlainStore::new(place.path(), "other");
    other.put("db.json", br#"{"KEY":"another"}"#);
    // It may read both; only one of them is there.
    let _daemon = mount(&place, &store, &(grant("allow", "container:*", "read", "**") + &other.scope("billing")));
    let mut container = podman.create(&[&option(ONE_SCOPE, "/secrets/prod", &place.mnt().join("prod"))]);
    container.start();
    assert_eq!(cat_in(&container, USER, "prod/db/KEY").as_deref(), Some("value"));
    for path in ["/secrets", "/secrets/prod/.."] {
        let listed = container.exec(ROOT, &["ls", "-A", path], None);
        assert_eq!(String::from_utf8_lossy(&listed.stdout), "prod\n", "{path}: {listed:?}");
    }
    let inside = container.exec(ROOT, &["cat", "/secrets/prod/../billing/db/KEY"], None);
    assert!(String::from_utf8_lossy(&inside.stderr).contains("No such file or directory"), "{inside:?}");
}

#[test]
fn a_users_own_mount_is_read_by_the_user_as_root_of_a_namespace_and_by_nobody_else_there() {
    let place = Place::new();
    let _daemon = mount_as(&place, NOBODY, "");
    let key = place.mnt().join("prod/db/KEY");
    let command: Vec<&str> = ROOT_IN_BWRAP.trim_end_matches('…').split_whitespace().chain(["cat"]).collect();
    let inside = |uid| read_by(run(uid, &[], &command, &key));
    assert_eq!(inside(NOBODY).as_deref(), Some("value"));
    assert_eq!(inside(2002), None);
}

#[test]
fn the_hosts_own_program_is_known_in_a_container_and_a_copy_of_it_is_not() {
    let (place, store) = place();
    let podman = Podman::new(&place);
    let program = real("cat");
    let copy = place.path().join("copy");
    std::fs::copy(&program, &copy).unwrap();
    let over = format!("--volume={}:{program}:ro", copy.display());
    let mut same = podman.create(&[&secrets(&place)]);
    let mut copied = podman.create(&[&secrets(&place), &over]);
    let _daemon = mount(&place, &store, &grant("allow", &format!("exe:{program}"), "read", "prod/db"));
    same.start();
    copied.start();
    // The containers have the host's /usr.
    assert_eq!(cat_in(&same, USER, "prod/db/KEY").as_deref(), Some("value"));
    assert_eq!(cat_in(&copied, USER, "prod/db/KEY"), None);
}

#[test]
fn a_descriptor_that_is_passed_into_a_container_is_read_there_and_opens_nothing_anew() {
    let (place, store) = place();
    let podman = Podman::new(&place);
    let mut container = podman.create(&[&secrets(&place)]);
    let _daemon = mount(&place, &store, &grant("allow", "uid:2002", "read", "prod/db"));
    container.start();
    let key = File::open(place.mnt().join("prod/db/KEY")).unwrap();
    let passed = container.exec(USER, &["sh", "-c", "cat <&3"], Some(&key));
    assert_eq!(read_by(passed).as_deref(), Some("value"));
    assert_eq!(read_by(container.exec(USER, &["cat", "/proc/self/fd/3"], Some(&key))), None);
    assert_eq!(cat_in(&container, USER, "prod/db/KEY"), None);
}

#[test]
fn a_caller_in_another_pid_namespace_is_known_by_its_user_groups_and_program() {
    let (place, store) = place();
    let settings = grant("allow", "uid:2001", "read", "prod/db")
        + &grant("allow", "gid:3000", "read", "prod/web")
        + &grant("allow", &format!("exe:{}", real("cat")), "read", "prod/team/**");
    let _daemon = mount(&place, &store, &settings);
    let prod = place.mnt().join("prod");
    // With a user namespace, which only root can do without, and without.
    let setpriv = |groups: &'static str| ["setpriv", "--reuid=2001", "--regid=2001", groups, "cat"];
    let in_namespace = |groups: &[u32], name: &str| {
        let path = prod.join(name).join("KEY");
        let listed = if groups.is_empty() { "--clear-groups" } else { "--groups=3000" };
        let ordinary = read_by(bwrap(2001, groups, &["--unshare-pid"], &["cat"], &path));
        let roots = read_by(bwrap(0, &[], &["--unshare-pid"], &setpriv(listed), &path));
        assert_eq!(ordinary, roots, "{name}");
        ordinary.is_some()
    };
    let seen = run(
        2001,
        &[],
        &["bwrap", "--unshare-pid", "--dev-bind", "/", "/", "--proc", "/proc", "readlink"],
        Path::new("/proc/self"),
    );
    assert!(String::from_utf8_lossy(&seen.stdout).trim().parse::<u32>().unwrap() < 10, "it is another: {seen:?}");
    assert!(in_namespace(&[], "db"));
    assert!(in_namespace(&[3000], "web"));
    assert!(!in_namespace(&[], "web"));
    assert!(in_namespace(&[], "team/app"));
    let head = bwrap(2001, &[], &["--unshare-pid"], &["head"], &prod.join("team/app/KEY"));
    assert_eq!(read_by(head), None, "another program");
    assert!(!in_namespace(&[3000], "billing"));
}

#[test]
fn root_of_a_user_namespace_is_the_user_who_made_it_and_has_nothing_of_roots() {
    let (place, store) = place();
    let audit = AuditFile::new(&place, "audit.log");
    let settings = grant("allow", "uid:2001", "read", "prod/db") + &audit.section("required = true");
    let _daemon = mount(&place, &store, &settings);
    let prod = place.mnt().join("prod");
    let as_root = ["--unshare-user", "--uid", "0", "--gid", "0"];
    let inside = |uid: u32, name: &str| read_by(bwrap(uid, &[], &as_root, &["cat"], &prod.join(name).join("KEY")));
    let id = bwrap(2001, &[], &as_root, &["sh", "-c", "echo $(id -u) $(id -g)"], Path::new("sh"));
    assert_eq!(String::from_utf8_lossy(&id.stdout), "0 0\n", "it is root there: {id:?}");
    assert_eq!(cat(0, &[], &prod.join("web/KEY")).as_deref(), Some("value"), "root itself may");
    assert_eq!(inside(2001, "db").as_deref(), Some("value"));
    assert_eq!(audit.about("prod/db/KEY").pop().unwrap()["uid"], 2001);
    assert_eq!(inside(2001, "web"), None);
    let refused = audit.lines().pop().unwrap();
    assert_eq!((&refused["uid"], &refused["decision"]), (&json!(2001), &json!("deny")));
    assert_eq!(inside(2002, "db"), None, "nor has it anything of another's");
}

#[test]
fn users_of_a_container_that_has_its_own_are_known_by_their_numbers_outside() {
    let (place, store) = place();
    let podman = Podman::new(&place);
    let users = ["--uidmap=0:200000:65536", "--gidmap=0:200000:65536"];
    let mut container = podman.create(&[users[0], users[1], &secrets(&place)]);
    let audit = AuditFile::new(&place, "audit.log");
    let settings = grant("allow", "uid:202001", "read", "prod/db")
        + &grant("allow", "uid:2001", "read", "prod/web")
        + &grant("allow", "gid:200000", "read", "prod/billing")
        + &audit.section("required = true");
    let _daemon = mount(&place, &store, &settings);
    container.start();
    for (user, uid, readable) in [(USER, 202_001, "db"), (ROOT, 200_000, "billing")] {
        for name in ["db", "web", "billing"] {
            let read = cat_in(&container, user, &format!("prod/{name}/KEY"));
            assert_eq!(read.is_some(), name == readable, "{user} {name}");
        }
        let read = audit.about(&format!("prod/{readable}/KEY")).pop().unwrap();
        assert_eq!((&read["uid"], &read["container"]), (&json!(uid), &json!(container.id)));
    }
}

/// Who is judged by a daemon: the user, the user in a group besides, the primary group, and everyone with a
/// condition in a deny.
fn answers(prod: &Path) -> [bool; 4] {
    [
        cat(2001, &[], &prod.join("db/KEY")).is_some(),
        cat(2001, &[3000], &prod.join("web/KEY")).is_some(),
        cat(3000, &[], &prod.join("web/KEY")).is_some(),
        cat(2001, &[], &prod.join("billing/KEY")).is_some(),
    ]
}

#[test]
fn of_callers_outside_of_the_daemons_pid_namespace_the_user_and_primary_group_are_known_and_nothing_else() {
    let settings = grant("allow", "uid:2001", "read", "prod/db")
        + &grant("allow", "gid:3000", "read", "prod/web")
        + &grant("allow", "everyone", "read", "prod/billing")
        + &grant("deny", "container:*", "read", "prod/billing");
    // Its /proc is that of its namespace; or that of ours, in which its numbers are others'.
    let own = "mount -t proc proc /proc && exec \"$@\"";
    for (script, expected) in
        [(None, [true; 4]), (Some(own), [true, false, true, false]), (Some("exec \"$@\""), [true, false, true, false])]
    {
        let place = Place::new();
        private_mounts(&place, 0);
        // Out of its namespace the mount comes only so.
        share_mounts(place.path());
        let store = PlainStore::new(place.path(), "store");
        for name in ["db", "web", "billing"] {
            store.put(&format!("{name}.json"), br#"{"KEY":"value"}"#);
        }
        std::fs::set_permissions(place.mnt(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let audit = AuditFile::new(&place, "audit.log");
        let sections = format!("{}{}", audit.section("required = true"), store.scope("prod"));
        place.configure(&format!("allow_other = true\n{settings}{sections}"));
        let daemon = script.map_or_else(
            || place.hushfs(&["mount"]),
            |script| {
                let mut command = Command::new("unshare");
                command.args(["--pid", "--fork", "--kill-child=TERM", "--mount", "--propagation=unchanged", "--"]);
                command.args(["sh", "-c", script, "sh", HUSHFS, "mount", "--config"]);
                command.arg(place.path().join("hushfs.toml"));
                command
            },
        );
        let mut daemon = place.start(daemon);
        assert_eq!(answers(&place.mnt().join("prod")), expected, "{script:?}");
        let read = audit.about("prod/db/KEY").pop().unwrap();
        assert_eq!((&read["uid"], &read["decision"]), (&json!(2001), &json!("allow")));
        if script.is_some() {
            for name in ["tgid", "exe", "unit", "container"] {
                assert_eq!(read[name], json!(null), "{name}");
            }
            assert_eq!(read["pid"], 0);
        }
        // unshare passes no SIGTERM on.
        assert!(Command::new("umount").arg(place.mnt()).status().unwrap().success());
        assert!(daemon.wait().success());
    }
}

#[test]
fn a_program_that_a_namespace_has_in_anothers_place_is_not_taken_for_it() {
    let (place, store) = place();
    let program = real("cat");
    let _daemon = mount(&place, &store, &grant("allow", &format!("exe:{program}"), "read", "prod/db"));
    // The same bytes, so that it reads as well; the file is another.
    let copy = place.path().join("copy");
    std::fs::copy(&program, &copy).unwrap();
    let copy = copy.to_str().unwrap();
    let key = place.mnt().join("prod/db/KEY");
    assert_eq!(read_by(bwrap(2001, &[], &["--unshare-user"], &[&program], &key)).as_deref(), Some("value"));
    let replaced = bwrap(2001, &[], &["--unshare-user", "--bind", copy, &program], &[&program], &key);
    assert_eq!(read_by(replaced), None);
}
