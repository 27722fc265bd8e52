//! `hushfs refresh` and `hushfs flush`: what an operator who does not want to wait for the ttl gets.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::daemon::{HUSHFS, Place, errno_of_reading, eventually};
use crate::support::plain::PlainStore;

#[cfg(feature = "aws")]
mod aws;

/// Nothing is asked for again by itself while a test runs.
const LONG: &str = "[cache]\nttl = \"1h\"\nlist_ttl = \"1h\"\nnegative_ttl = \"1h\"\n";

fn command(args: &[&str], path: &Path) -> Output {
    Command::new(HUSHFS).args(args).arg(path).output().expect("hushfs runs")
}

/// The exit status, and what it says for machines.
fn says(name: &str, path: &Path) -> (Option<i32>, Value) {
    let output = command(&[name, "--json"], path);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let json = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    (output.status.code(), json)
}

/// Path and outcome of each value.
fn outcomes(answer: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    answer["values"].as_array().unwrap().iter().map(|it| (text(&it["path"]), text(&it["outcome"]))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(path, outcome)| ((*path).to_owned(), (*outcome).to_owned())).collect()
}

fn place() -> (Place, PlainStore) {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("db.json", br#"{"KEY":"the first value"}"#);
    store.put("team/app.json", br#"{"KEY":"of the app"}"#);
    store.put("team/web.json", br#"{"KEY":"of the web"}"#);
    (place, store)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn what_is_refreshed_is_seen_by_the_next_open_and_what_is_open_stays() {
    let (place, store) = place();
    let _daemon = place.mount(&(LONG.to_owned() + &store.scope("prod")));
    let prod = place.mnt().join("prod");
    let key = prod.join("db/KEY");
    let mut open = File::open(&key).unwrap();
    assert_eq!(read(&prod.join("team/app/KEY")), "of the app");
    let before = fs::metadata(&key).unwrap().len();
    store.put("db.json", br#"{"KEY":"a second value, which is longer","NEW":"x"}"#);
    assert_eq!(read(&key), "the first value");

    let (status, answer) = says("refresh", &place.mnt());
    assert_eq!(status, Some(0));
    assert_eq!(outcomes(&answer), pairs(&[("prod/db", "changed"), ("prod/team/app", "unchanged")]));
    let db = &answer["values"][0];
    assert_ne!(db["before"], db["after"]);
    assert!(!answer.to_string().contains("value, which"), "{answer}");

    assert_eq!(read(&key), "a second value, which is longer");
    assert_eq!(read(&prod.join("db/NEW")), "x");
    assert_ne!(fs::metadata(&key).unwrap().len(), before);
    let mut kept = String::new();
    open.read_to_string(&mut kept).unwrap();
    assert_eq!(kept, "the first value");
    assert_eq!(outcomes(&says("refresh", &key).1), pairs(&[("prod/db", "unchanged")]));
}

#[test]
fn a_path_is_a_file_a_secret_a_folder_a_scope_or_the_whole() {
    let (place, store) = place();
    let _daemon = place.mount(&(LONG.to_owned() + &store.scope("prod") + &store.scope("other")));
    let (prod, other) = (place.mnt().join("prod"), place.mnt().join("other"));
    for path in ["db/KEY", "team/app/KEY", "team/web/KEY"] {
        read(&prod.join(path));
    }
    read(&other.join("db/KEY"));
    let asked = |path: &Path| {
        let (status, answer) = says("refresh", path);
        assert_eq!(status, Some(0));
        outcomes(&answer).into_iter().map(|(path, _)| path).collect::<Vec<_>>()
    };
    for one in ["db", "db/KEY", "db/.json", "db/@current/KEY", "db/NOT-YET"] {
        assert_eq!(asked(&prod.join(one)), ["prod/db"], "{one}");
    }
    assert_eq!(asked(&prod.join("team/app/KEY")), ["prod/team/app"]);
    assert_eq!(asked(&prod.join("team")), ["prod/team/app", "prod/team/web"]);
    assert_eq!(asked(&prod), ["prod/db", "prod/team/app", "prod/team/web"]);
    assert_eq!(asked(&other), ["other/db"]);
    assert_eq!(asked(&place.mnt()).len(), 4);
    assert!(asked(&prod.join("team/app/@current/NOT-YET")).len() == 1);

    // Without a path the configured mount, or the one that is named.
    for args in [&["refresh"][..], &["flush"]] {
        let output = place.run(args);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let named = command(&["refresh", "--mountpoint"], &place.mnt());
    assert_eq!(String::from_utf8_lossy(&named.stdout), "nothing of it was in memory; it is fetched when it is read\n");
}

#[test]
fn a_new_secret_and_one_that_was_refused_are_seen_at_once_after_a_refresh() {
    for command in ["refresh", "flush"] {
        let (place, store) = place();
        let _daemon = place.mount(&(LONG.to_owned() + &store.scope("prod")));
        let prod = place.mnt().join("prod");
        let new = prod.join("new/deep/KEY");
        let listed = || fs::read_dir(&prod).unwrap().count();
        assert_eq!((errno_of_reading(&new), listed()), (Some(libc::ENOENT), 2));
        store.put("new/deep.json", br#"{"KEY":"here"}"#);
        assert_eq!(
            (errno_of_reading(&new), listed()),
            (Some(libc::ENOENT), 2),
            "it is remembered that it is not there"
        );
        assert_eq!(says(command, &new).0, Some(0));
        assert_eq!(read(&new), "here");
        assert_eq!(listed(), 3);
    }
}

#[test]
fn what_the_provider_does_not_have_any_more_is_taken_away_by_a_refresh() {
    let (place, store) = place();
    let _daemon = place.mount(&(LONG.to_owned() + &store.scope("prod")));
    let prod = place.mnt().join("prod");
    let open = File::open(prod.join("db/KEY")).unwrap();
    read(&prod.join("team/app/KEY"));
    store.remove("db.json");
    // An answer that cannot be served is no outage.
    store.put("team/app.json", &vec![b'x'; 2 << 20]);
    let (status, answer) = says("refresh", &prod);
    assert_eq!(status, Some(77));
    assert_eq!(outcomes(&answer), pairs(&[("prod/db", "gone"), ("prod/team/app", "refused")]));
    assert_eq!(errno_of_reading(&prod.join("team/app/KEY")), Some(libc::EFBIG));
    assert_eq!(errno_of_reading(&prod.join("db/KEY")), Some(libc::ENOENT));
    let mut kept = String::new();
    (&open).read_to_string(&mut kept).unwrap();
    assert_eq!(kept, "the first value");
}

#[test]
fn a_flush_forgets_everything_below_its_path_and_says_what_is_still_open() {
    let (place, store) = place();
    let _daemon = place.mount(&(LONG.to_owned() + &store.scope("prod")));
    let prod = place.mnt().join("prod");
    let mut open = File::open(prod.join("db/KEY")).unwrap();
    read(&prod.join("team/app/KEY"));
    read(&prod.join("team/web/KEY"));
    store.put("db.json", br#"{"KEY":"the second"}"#);
    let flush = |path: &Path| {
        let (status, answer) = says("flush", path);
        assert_eq!(status, Some(0));
        (answer["values"].as_u64().unwrap(), answer["open"].as_u64().unwrap())
    };
    eventually("what was read is closed", || (place.status()["open"] == 1).then_some(()));
    assert_eq!(flush(&prod.join("team/app")), (1, 0));
    assert_eq!(place.status()["cache"]["values"], 2);
    assert_eq!(flush(&prod.join("db/KEY")), (1, 1));
    assert_eq!(flush(&prod), (1, 1));
    assert_eq!(place.status()["cache"]["values"], 0);
    let people = String::from_utf8(command(&["flush"], &prod).stdout).unwrap();
    assert_eq!(people, "0 values are wiped from memory; 1 file is still open and keeps its value until it is closed\n");
    assert_eq!(read(&prod.join("db/KEY")), "the second");
    let mut kept = String::new();
    open.read_to_string(&mut kept).unwrap();
    assert_eq!(kept, "the first value");
    drop(open);
    eventually("nothing is open", || (flush(&prod).1 == 0).then_some(()));
}

#[test]
fn a_flush_says_of_a_name_that_nothing_is_known_of_that_it_may_be_mistyped() {
    let (place, store) = place();
    let _daemon = place.mount(&(LONG.to_owned() + &store.scope("prod")));
    let prod = place.mnt().join("prod");
    let flushed = |name: &str| {
        let people = command(&["flush"], &prod.join(name));
        assert_eq!(people.status.code(), Some(0), "{name}");
        String::from_utf8(people.stdout).unwrap()
    };
    let hint = "0 values are wiped from memory; nothing is known here by that name: is it right?\n";
    // Each flush forgets the scope's listing, and what is known of names.
    for known in ["db", "db/KEY", "team", "team/app", "team/app/KEY", ""] {
        assert_eq!(fs::read_dir(&prod).unwrap().count(), 2);
        assert_eq!(flushed(known), "0 values are wiped from memory\n", "{known}");
    }
    for mistyped in ["bd", "bd/KEY", "bd/.json", "team/ap", "team/ap/KEY"] {
        assert_eq!(fs::read_dir(&prod).unwrap().count(), 2);
        assert_eq!(flushed(mistyped), hint, "{mistyped}");
    }
    read(&prod.join("db/KEY"));
    assert_eq!(flushed("bd/KEY"), hint);
    assert_eq!(says("flush", &prod.join("bd/KEY")).1["unknown"], true);
    eventually("what was read is closed", || (place.status()["open"] == 0).then_some(()));
    assert_eq!(flushed("db/KEY"), "1 value is wiped from memory\n");
}

#[test]
fn a_path_that_no_daemon_serves_is_an_error() {
    let (place, store) = place();
    let daemon = place.mount(&store.scope("prod"));
    let status = |args: &[&str], path: &Path| {
        let output = command(args, path);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for name in ["refresh", "flush"] {
        let (code, said) = status(&[name], place.path());
        assert!(code == Some(66) && said.contains("is in no hushfs mount"), "{said}");
        let (code, said) = status(&[name], &place.mnt().join("nosuch/db"));
        assert!(code == Some(66) && said.contains("no scope `nosuch`"), "{said}");
        let (code, said) = status(&[name], &place.mnt().join("prod/.hidden"));
        assert!(code == Some(66) && said.contains("no file is ever called"), "{said}");
        let (code, said) = status(&[name, "--mountpoint"], place.path());
        assert!(code == Some(69) && said.contains("no hushfs is mounted"), "{said}");
    }
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_name_that_there_is_not_is_told_and_one_that_was_not_read_is_not_fetched() {
    let (place, store) = place();
    let _daemon = place.mount(&(LONG.to_owned() + &store.scope("prod")));
    let prod = place.mnt().join("prod");
    for unread in ["", "db", "db/KEY", "db/.json", "db/@current/KEY", "team", "team/app/KEY"] {
        let (status, answer) = says("refresh", &prod.join(unread));
        assert_eq!((status, outcomes(&answer).len(), &answer["unknown"]), (Some(0), 0, &Value::Null), "{unread}");
    }
    for mistyped in ["bd", "bd/KEY", "bd/.json", "team/ap", "team/ap/KEY", "team/KEY"] {
        let output = command(&["refresh"], &prod.join(mistyped));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(66), "{mistyped}: {said}");
        assert!(said.contains(mistyped) && said.contains("is the name right?"), "{said}");
    }
    assert_eq!(place.calls("prod", "fetch"), 0);

    // Whether it is there nobody can say now.
    fs::remove_dir_all(&store.path).unwrap();
    let (status, answer) = says("refresh", &prod.join("db/KEY"));
    assert_eq!((status, &answer["unknown"]["kind"]), (Some(69), &Value::from("unreachable")), "{answer}");
    let output = command(&["refresh"], &prod.join("db/KEY"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("whether it is there is not known"), "{output:?}");
}
