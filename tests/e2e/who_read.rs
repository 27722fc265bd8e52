//! `hushfs readers`: who has read which version, and may an old one be revoked?

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::child::Guarded;
use crate::support::daemon::{HUSHFS, Place, eventually};
use crate::support::plain::PlainStore;

const LONG: &str = "[cache]\nttl = \"1h\"\nlist_ttl = \"1h\"\n";
/// A value that may be in no answer.
const VALUE: &str = "the-value";

fn ask(path: &Path) -> (Option<i32>, Value) {
    let output = Command::new(HUSHFS).arg("readers").arg(path).arg("--json").output().expect("hushfs runs");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains(VALUE), "{text}");
    let json = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), json)
}

fn people(path: &Path) -> String {
    String::from_utf8(Command::new(HUSHFS).arg("readers").arg(path).output().expect("hushfs runs").stdout).unwrap()
}

fn refresh(path: &Path) {
    assert!(Command::new(HUSHFS).arg("refresh").arg(path).output().expect("hushfs runs").status.success());
}

fn place() -> (Place, PlainStore) {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("db.json", format!(r#"{{"KEY":"{VALUE} one"}}"#).as_bytes());
    store.put("team/app.json", br#"{"KEY":"x"}"#);
    (place, store)
}

/// A process that has the file open until it is ended; gives its id.
fn holder(path: &Path) -> (Guarded, u64) {
    let mut command = Command::new("sh");
    command.args(["-c", "exec <\"$0\"; echo open; exec sleep 600"]).arg(path).stdout(Stdio::piped());
    let mut child = Guarded::spawn(&mut command).expect("sh");
    let mut said = [0; 5];
    child.0.stdout.as_mut().unwrap().read_exact(&mut said).expect("it has it open");
    let id = child.0.id();
    let exe = || std::fs::read_link(format!("/proc/{id}/exe")).ok().filter(|exe| exe.ends_with("sleep"));
    eventually("it sleeps", exe);
    (child, id.into())
}

#[test]
fn an_old_version_may_be_revoked_when_its_last_reader_has_closed_it() {
    let (place, store) = place();
    let _daemon = place.mount(&(LONG.to_owned() + &store.scope("prod")));
    let key = place.mnt().join("prod/db/KEY");
    assert!(Command::new("cat").arg(&key).output().unwrap().status.success());
    let (mut process, pid) = holder(&key);

    let (status, before) = ask(&key);
    assert_eq!(status, Some(0), "there is one version, and it is current");
    let one = &before["secrets"][0]["versions"][0];
    assert_eq!((&one["is_current"], &one["reads"]), (&Value::Bool(true), &Value::from(2)));

    store.put("db.json", format!(r#"{{"KEY":"{VALUE} two"}}"#).as_bytes());
    refresh(&key);
    assert!(Command::new("cat").arg(&key).output().unwrap().status.success());
    let (status, held) = ask(&place.mnt().join("prod/db"));
    assert_eq!(status, Some(1));
    let secret = &held["secrets"][0];
    assert_eq!(secret["path"], "prod/db");
    let (new, old) = (&secret["versions"][0], &secret["versions"][1]);
    assert_eq!(new["version"], secret["current"]);
    assert_eq!(old["version"], one["version"]);
    assert_eq!((&old["may_be_revoked"], &old["reads"]), (&Value::Bool(false), &Value::from(2)));
    let open = &old["open"][0];
    assert_eq!((open["pid"].as_u64(), open["uid"].as_u64()), (Some(pid), Some(rustix_uid())));
    assert!(open["exe"].as_str().unwrap().ends_with("/sleep"), "what it runs now: {open}");
    let version = old["version"].as_str().unwrap();
    let text = people(&key);
    assert!(text.contains(&format!("version {version} may not be revoked: not yet: 1 file of it is open")), "{text}");
    assert!(text.contains(&format!("by pid {pid}, uid {}", rustix_uid())), "{text}");

    process.0.kill().unwrap();
    process.0.wait().unwrap();
    let (_, after) = eventually("it may be revoked", || Some(ask(&key)).filter(|(status, _)| *status == Some(0)));
    let old = &after["secrets"][0]["versions"][1];
    assert_eq!((&old["may_be_revoked"], old["open"].as_array().unwrap().len()), (&Value::Bool(true), 0));
    let text = people(&key);
    let since = old["last"]["at"].as_str().unwrap();
    let said = format!("version {version} may be revoked: nobody has it open, and nobody has read it since {since}");
    assert!(text.contains(&said), "{text}");
}

#[test]
fn a_path_is_a_secret_a_folder_or_a_scope_and_what_nobody_has_read_is_not_told() {
    let (place, store) = place();
    let _daemon = place.mount(&(LONG.to_owned() + &store.scope("prod")));
    let prod = place.mnt().join("prod");
    let paths = |path: &Path| {
        let (status, answer) = ask(path);
        assert_eq!(status, Some(0));
        let secrets = answer["secrets"].as_array().unwrap().clone();
        secrets.iter().map(|secret| secret["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // Looking is not reading.
    assert_eq!(std::fs::metadata(prod.join("db/KEY")).unwrap().len(), VALUE.len() as u64 + 4);
    assert!(paths(&prod).is_empty());
    assert!(people(&prod).starts_with("nobody has read anything of it since "), "{}", people(&prod));
    for path in ["db/KEY", "team/app/.json"] {
        std::fs::read(prod.join(path)).unwrap();
    }
    assert_eq!(paths(&place.mnt()), ["prod/db", "prod/team/app"]);
    assert_eq!(paths(&prod.join("team")), ["prod/team/app"]);
    assert_eq!(paths(&prod.join("team/app/KEY")), ["prod/team/app"]);
    assert!(!Command::new(HUSHFS).arg("readers").arg(place.path()).output().unwrap().status.success());
}

#[test]
fn of_a_name_that_nobody_knows_there_is_no_yes() {
    let (place, store) = place();
    let _daemon = place.mount(&(LONG.to_owned() + &store.scope("prod")));
    let prod = place.mnt().join("prod");
    let told = |path: &str| {
        let output = Command::new(HUSHFS).arg("readers").arg(prod.join(path)).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    for path in ["nosuch", "db", "team/nosuch"] {
        let (is_yes, why) = told(path);
        assert!(!is_yes && why.contains(path) && why.contains("is the name right?"), "{path}: {why}");
    }
    std::fs::metadata(prod.join("db/KEY")).unwrap();
    std::fs::metadata(prod.join("team/app")).unwrap();
    for path in ["db", "db/KEY", "team", "team/app"] {
        assert_eq!(told(path), (true, String::new()), "{path}: it is there, and nobody has read it");
    }
    assert!(!told("team/nosuch").0);
}

#[test]
fn nothing_is_said_to_be_revocable_while_it_is_not_known_what_is_current() {
    let (place, store) = place();
    let _daemon = place.mount(&(LONG.to_owned() + &store.scope("prod")));
    let key = place.mnt().join("prod/db/KEY");
    drop(File::open(&key).unwrap());
    assert!(Command::new(HUSHFS).arg("flush").arg(place.mnt()).output().unwrap().status.success());
    let (status, answer) = ask(&key);
    let version = &answer["secrets"][0]["versions"][0];
    assert_eq!((status, &version["may_be_revoked"]), (Some(1), &Value::Bool(false)));
    assert!(version["why"].as_str().unwrap().contains("which version is current is not known"), "{answer}");
    store.put("db.json", format!(r#"{{"KEY":"{VALUE} two"}}"#).as_bytes());
    drop(File::open(&key).unwrap());
    assert_eq!(ask(&key).0, Some(0));
}

fn rustix_uid() -> u64 {
    u64::from(rustix::process::getuid().as_raw())
}
