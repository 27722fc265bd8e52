//! Grants on a real mount: real users and groups, what they read, see and are shown.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use super::permissions::mount_as;
use crate::support::audit_log::AuditFile;
use crate::support::daemon::{Daemon, Place, xattr};
use crate::support::plain::PlainStore;
use crate::support::users::{NOBODY, as_user, private_mounts};

pub const EACCES: &str = "Permission denied";

/// A place that other users may pass, with `prod/{db,web,billing}` and `prod/team/app`.
pub fn place() -> (Place, PlainStore) {
    let place = Place::new();
    private_mounts(&place, 0);
    std::fs::set_permissions(place.mnt(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let store = PlainStore::new(place.path(), "store");
    for name in ["db", "web", "billing", "team/app"] {
        store.put(&format!("{name}.json"), br#"{"KEY":"value","OTHER":"more"}"#);
    }
    (place, store)
}

pub fn mount<'a>(place: &'a Place, store: &PlainStore, settings: &str) -> Daemon<'a> {
    place.mount(&format!("allow_other = true\n{settings}\n{}", store.scope("prod")))
}

pub fn grant(effect: &str, principal: &str, action: &str, resource: &str) -> String {
    format!(
        "[[grant]]\neffect = {effect:?}\nprincipals = [{principal:?}]\nactions = [{action:?}]\nresources = [{resource:?}]\n"
    )
}

/// Runs a program as a user, in the group of the same number and in these.
pub fn run(uid: u32, groups: &[u32], program: &[&str], path: &Path) -> Output {
    let ids: Vec<String> = groups.iter().map(u32::to_string).collect();
    let groups = if ids.is_empty() { "--clear-groups".to_owned() } else { format!("--groups={}", ids.join(",")) };
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={uid}"), format!("--regid={uid}"), groups, "--".to_owned()]);
    command.args(program).arg(path).output().expect("setpriv")
}

/// What is read; None where it is refused.
pub fn cat(uid: u32, groups: &[u32], path: &Path) -> Option<String> {
    read_by(run(uid, groups, &["cat"], path))
}

/// What a program read; None where it was refused.
pub fn read_by(output: Output) -> Option<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || said.contains(EACCES), "{said}");
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

pub fn ls(uid: u32, groups: &[u32], path: &Path) -> Vec<String> {
    let output = run(uid, groups, &["ls", "-A"], path);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The file that a program is run from.
pub fn real(name: &str) -> String {
    let found = Command::new("sh").args(["-c", &format!("readlink -f \"$(command -v {name})\"")]).output().unwrap();
    String::from_utf8(found.stdout).unwrap().trim_end().to_owned()
}

/// The errno of looking at a path.
pub fn look(uid: u32, path: &Path) -> String {
    let said = String::from_utf8(run(uid, &[], &["stat", "-c", "there"], path).stderr).unwrap();
    said.trim_end().rsplit(": ").next().unwrap().to_owned()
}

#[test]
fn users_groups_and_supplementary_groups_read_what_is_granted_to_them_and_nobody_else_does() {
    let (place, store) = place();
    let settings = grant("allow", "uid:2001", "read", "prod/db") + &grant("allow", "gid:3000", "read", "prod/web");
    let _daemon = mount(&place, &store, &settings);
    let (db, web) = (place.mnt().join("prod/db/KEY"), place.mnt().join("prod/web/KEY"));
    // In both orders: what one has made the kernel remember is not the other's.
    for _ in 0..2 {
        assert_eq!(cat(2001, &[], &db).as_deref(), Some("value"));
        assert_eq!(cat(2001, &[], &web), None);
        assert_eq!(cat(3000, &[], &web).as_deref(), Some("value"), "its own group");
        assert_eq!(cat(2002, &[7, 3000], &web).as_deref(), Some("value"), "a supplementary group");
        assert_eq!(cat(2002, &[7], &web), None);
        assert_eq!(cat(2002, &[3000], &db), None);
        assert_eq!(cat(NOBODY, &[], &db), None);
        assert_eq!(std::fs::read(&db).unwrap(), b"value", "the user who runs it");
    }
}

#[test]
fn what_root_is_granted_where_it_needs_a_grant_is_not_said_to_be_given_to_nobody() {
    let (place, store) = place();
    let said = |settings: &str| {
        place.configure(&format!("root = \"deny\"\n{settings}\n{}", store.scope("prod")));
        let output = place.run(&["check"]);
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let nobody = "give nobody anything without `allow_other = true`";
    for principal in ["uid:0", "gid:0", "everyone"] {
        let settings = grant("allow", principal, "read", "prod/db");
        assert!(!said(&settings).contains(nobody), "{principal}");
        let _daemon = place.start(place.hushfs(&["mount"]));
        let reloaded = place.run(&["reload"]);
        let said = String::from_utf8([reloaded.stdout, reloaded.stderr].concat()).unwrap();
        assert!(reloaded.status.success() && !said.contains(nobody), "{principal}: {said}");
        assert_eq!(std::fs::read(place.mnt().join("prod/db/KEY")).unwrap(), b"value", "{principal}");
        assert!(std::fs::read(place.mnt().join("prod/web/KEY")).is_err(), "{principal}");
    }
    let both = grant("allow", "uid:0", "read", "prod/db") + &grant("allow", "uid:2001", "read", "prod/db");
    let said_of_both = said(&both);
    assert!(said_of_both.contains(&format!("grants to others than root {nobody}")), "{said_of_both}");
    let said_of_another = said(&grant("allow", "uid:2001", "read", "prod/db"));
    assert!(said_of_another.contains(&format!("grants {nobody}")), "{said_of_another}");
    assert!(said_of_another.contains("root has what is granted to root"), "{said_of_another}");
}

#[test]
fn a_deny_wins_and_covers_the_files_that_hold_all_keys() {
    let (place, store) = place();
    let settings = grant("allow", "uid:2001", "read", "prod/**")
        + &grant("deny", "gid:3000", "read", "prod/billing")
        + &grant("deny", "uid:2001", "read", "prod/db/OTHER");
    let _daemon = mount(&place, &store, &settings);
    let prod = place.mnt().join("prod");
    assert_eq!(cat(2001, &[], &prod.join("billing/KEY")).as_deref(), Some("value"));
    assert_eq!(cat(2001, &[3000], &prod.join("billing/KEY")), None);
    assert_eq!(cat(2001, &[], &prod.join("db/KEY")).as_deref(), Some("value"));
    for file in ["OTHER", ".json", ".env", ".raw"] {
        assert_eq!(cat(2001, &[], &prod.join("db").join(file)), None, "{file}");
        assert!(cat(2001, &[], &prod.join("web").join(file)).is_some(), "{file}");
    }
}

#[test]
fn a_listing_shows_only_what_the_caller_may_know_of() {
    let (place, store) = place();
    let settings = grant("allow", "uid:2001", "read", "prod/db/KEY")
        + &grant("allow", "uid:2002", "list", "prod/team/**")
        + &grant("allow", "uid:2003", "read", "prod/**")
        + &grant("deny", "uid:2003", "list", "prod/billing");
    let _daemon = mount(&place, &store, &settings);
    let (mnt, prod) = (place.mnt(), place.mnt().join("prod"));
    for _ in 0..2 {
        assert_eq!(ls(2001, &[], &mnt), ["prod"]);
        assert_eq!(ls(2001, &[], &prod), ["db"]);
        assert_eq!(ls(2001, &[], &prod.join("db")), ["KEY"]);
        assert_eq!(ls(2002, &[], &prod), ["team"]);
        assert_eq!(ls(2002, &[], &prod.join("team/app")), ["KEY", "OTHER"]);
        assert_eq!(cat(2002, &[], &prod.join("team/app/KEY")), None, "names are not values");
        assert_eq!(ls(2003, &[], &prod), ["db", "team", "web"]);
        assert_eq!(ls(0, &[], &prod), ["billing", "db", "team", "web"]);
    }
}

#[test]
fn whether_a_name_is_there_makes_no_difference_to_who_may_not_know() {
    let (place, store) = place();
    let _daemon = mount(&place, &store, &grant("allow", "uid:2001", "read", "prod/db"));
    let prod = place.mnt().join("prod");
    // Known to the kernel, and to us.
    std::fs::read(prod.join("web/KEY")).unwrap();
    let calls = || ["list", "look", "fetch"].map(|kind| place.calls("prod", kind));
    let before = calls();
    for name in ["web", "web/KEY", "nosuch", "nosuch/KEY", "team", "team/app", "billing/KEY"] {
        assert_eq!(look(2001, &prod.join(name)), EACCES, "{name}");
        assert_eq!(look(2002, &prod.join(name)), EACCES, "{name}");
    }
    assert_eq!(calls(), before, "the provider is not asked for who may not know");
    assert_eq!(look(2001, &prod.join("db/nosuch")), "No such file or directory");
    assert_eq!(look(2002, &prod.join("db/nosuch")), EACCES);
    assert_eq!(look(2002, &place.mnt().join("nosuch")), EACCES);
}

#[test]
fn whether_a_name_is_there_makes_no_difference_to_who_is_denied_it_among_others() {
    let (place, store) = place();
    let settings = grant("allow", "uid:2001", "read", "prod/**")
        + &grant("deny", "uid:2001", "read", "prod/b*")
        + &grant("deny", "uid:2001", "list", "prod/db/O*");
    let _daemon = mount(&place, &store, &settings);
    let prod = place.mnt().join("prod");
    for _ in 0..2 {
        for name in ["billing", "billing/KEY", "bnosuch", "bnosuch/KEY", "db/OTHER", "db/Onosuch"] {
            assert_eq!(look(2001, &prod.join(name)), EACCES, "{name}");
        }
        assert_eq!(look(2001, &prod.join("nosuch")), "No such file or directory");
        assert_eq!(ls(2001, &[], &prod), ["db", "team", "web"]);
        // The values are in memory from here on.
        std::fs::read(prod.join("billing/KEY")).unwrap();
        std::fs::read(prod.join("db/OTHER")).unwrap();
    }
}

#[test]
fn the_bits_and_lists_show_exactly_who_is_granted() {
    let (place, store) = place();
    let settings = grant("allow", "uid:2001", "read", "prod/db") + &grant("allow", "gid:3000", "read", "prod/db/KEY");
    let _daemon = mount(&place, &store, &settings);
    let list = |path: &str| {
        let output = Command::new("getfacl").args(["-cnp"]).arg(place.mnt().join(path)).output().expect("getfacl");
        String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(list("prod/db/KEY"), "user::r-- user:2001:r-- group::--- group:3000:r-- mask::r-- other::---");
    assert_eq!(list("prod/db/OTHER"), "user::r-- user:2001:r-- group::--- mask::r-- other::---");
    assert_eq!(list("prod/db"), "user::r-x user:2001:r-x group::--- group:3000:r-x mask::r-x other::---");
    assert_eq!(list("prod/web/KEY"), "user::r-- group::--- other::---");
    let output = Command::new("ls").arg("-l").arg(place.mnt().join("prod/db/KEY")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.starts_with("-r--r-----+ 1 "), "{said}");
}

#[test]
fn a_daemon_that_is_not_root_grants_as_well() {
    let place = Place::new();
    let settings = format!("allow_other = true\nroot = \"deny\"\n{}", grant("allow", "uid:2001", "read", "prod/db"));
    let _daemon = mount_as(&place, NOBODY, &settings);
    let key = place.mnt().join("prod/db/KEY");
    assert_eq!(cat(2001, &[], &key).as_deref(), Some("value"));
    assert_eq!(cat(2002, &[], &key), None);
    assert_eq!(cat(0, &[], &key), None, "a caller like any other");
    assert_eq!(cat(NOBODY, &[], &key).as_deref(), Some("value"));
}

#[test]
fn callers_who_come_at_once_never_get_what_is_anothers() {
    let (place, store) = place();
    // To each its own: a value that came to the wrong caller would show.
    for name in ["db", "web"] {
        store.put(&format!("{name}.json"), json!({ "KEY": format!("of {name}") }).to_string().as_bytes());
    }
    let settings = grant("allow", "uid:2001", "read", "prod/db") + &grant("allow", "uid:2002", "read", "prod/web");
    // What memory has changes all the time.
    let _daemon = mount(&place, &store, &(settings + "[cache]\nttl = \"5ms\"\nlist_ttl = \"5ms\"\n"));
    let prod = place.mnt().join("prod");
    std::thread::scope(|scope| {
        for (uid, mine, other) in [(2001, "db", "web"), (2002, "web", "db")] {
            let prod = &prod;
            scope.spawn(move || {
                as_user(uid, || {
                    for _ in 0..500 {
                        let value = std::fs::read_to_string(prod.join(mine).join("KEY")).unwrap();
                        assert_eq!(value, format!("of {mine}"));
                        for path in [format!("{other}/KEY"), format!("{other}/.json"), other.to_owned()] {
                            let refused = std::fs::File::open(prod.join(path)).unwrap_err();
                            assert_eq!(refused.raw_os_error(), Some(libc::EACCES));
                        }
                        let names = std::fs::read_dir(prod).unwrap().map(|entry| entry.unwrap().file_name());
                        assert_eq!(names.collect::<Vec<_>>(), [mine]);
                    }
                });
            });
        }
    });
}

#[test]
fn a_descriptor_that_was_opened_is_read_by_whoever_holds_it() {
    let (place, store) = place();
    let _daemon = mount(&place, &store, &grant("allow", "uid:2001", "read", "prod/db"));
    let script = "exec 3< \"$1\"; setpriv --reuid=2002 --regid=2002 --clear-groups cat <&3; \
                  setpriv --reuid=2002 --regid=2002 --clear-groups cat \"$1\" 2>/dev/null || echo refused";
    let output = Command::new("sh").args(["-c", script, "sh"]).arg(place.mnt().join("prod/db/KEY")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "valuerefused\n");
}

#[test]
fn metadata_of_a_secret_is_not_for_who_may_only_pass() {
    let (place, store) = place();
    store.put("team.json", br#"{"KEY":"value"}"#);
    let _daemon = mount(&place, &store, &grant("allow", "uid:2001", "read", "prod/team/app/KEY"));
    let team = place.mnt().join("prod/team");
    std::fs::read(team.join("KEY")).unwrap();
    assert!(xattr(&team, "user.hushfs.version").is_some());
    let seen = run(2001, &[], &["getfattr", "-d"], &team);
    assert_eq!(String::from_utf8_lossy(&seen.stdout), "", "{seen:?}");
    assert_eq!(ls(2001, &[], &team), ["app"]);
    assert_eq!(look(2001, &team.join("KEY")), EACCES);
    assert_eq!(look(2001, &team.join("@current")), EACCES);
}

#[test]
fn a_condition_is_judged_at_every_open_whatever_the_bits_say() {
    let (place, store) = place();
    let _daemon = mount(&place, &store, &grant("allow", &format!("exe:{}", real("cat")), "read", "prod/db"));
    let key = place.mnt().join("prod/db/KEY");
    for _ in 0..2 {
        assert_eq!(cat(2001, &[], &key).as_deref(), Some("value"));
        let head = run(2001, &[], &["head"], &key);
        assert!(String::from_utf8_lossy(&head.stderr).contains(EACCES), "{head:?}");
    }
}

#[test]
fn the_audit_log_names_the_grant_or_the_deny() {
    let (place, store) = place();
    let audit = AuditFile::new(&place, "audit.log");
    let settings = grant("allow", "uid:2001", "read", "prod/**")
        + &grant("deny", "uid:2001", "read", "prod/billing/OTHER")
        + &audit.section("required = true");
    let _daemon = mount(&place, &store, &settings);
    let configuration = place.path().join("hushfs.toml");
    cat(2001, &[], &place.mnt().join("prod/db/KEY")).unwrap();
    let read = audit.about("prod/db/KEY").pop().unwrap();
    assert_eq!(read["reason"], format!("grant at {}:3", configuration.display()));
    assert_eq!((&read["uid"], &read["decision"]), (&json!(2001), &json!("allow")));
    assert!(read["exe"].as_str().unwrap().contains("cat") || read["exe"].as_str().unwrap().contains("coreutils"));
    assert_eq!(cat(2001, &[], &place.mnt().join("prod/billing/OTHER")), None);
    let refused = audit.about("prod/billing/OTHER").pop().unwrap();
    assert_eq!(refused["reason"], format!("deny at {}:8", configuration.display()));
    assert_eq!((&refused["uid"], &refused["decision"]), (&json!(2001), &json!("deny")));
}

#[cfg(feature = "aws")]
#[test]
fn older_versions_need_a_grant_of_their_own() {
    use crate::support::cloud::Cloud;

    let (place, _store) = place();
    let cloud = Cloud::start(&place);
    cloud.create("db", br#"{"KEY":"first"}"#);
    let settings =
        grant("allow", "uid:2001", "read", "prod/db") + &grant("allow", "uid:2002", "read-previous", "prod/db");
    let scope = cloud.scope("prod", "ttl = \"1s\"");
    let _daemon = cloud.mount(&place, &format!("allow_other = true\n{settings}{scope}"));
    let db = place.mnt().join("prod/db");
    std::fs::read(db.join("KEY")).unwrap();
    let first = std::fs::read_link(db.join("@current")).unwrap();
    assert_eq!(cat(2001, &[], &db.join(&first).join("KEY")).as_deref(), Some("first"), "it is the current one");
    assert_eq!(cat(2001, &[], &db.join("@current/KEY")).as_deref(), Some("first"));
    cloud.wait(cloud.account.rotate("db", br#"{"KEY":"newer"}"#));
    crate::support::daemon::eventually("the new value", || {
        (cat(2001, &[], &db.join("KEY")).as_deref() == Some("newer")).then_some(())
    });
    for path in [first.join("KEY"), "@previous/KEY".into(), "@nosuch/KEY".into()] {
        assert_eq!(cat(2001, &[], &db.join(&path)), None, "{}", path.display());
    }
    assert_eq!(cat(2002, &[], &db.join(&first).join("KEY")).as_deref(), Some("first"));
    assert_eq!(cat(2002, &[], &db.join("@previous/KEY")).as_deref(), Some("first"));
    assert_eq!(cat(2002, &[], &db.join("KEY")), None, "the current one is another right");
}
