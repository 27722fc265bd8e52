//! The audit log of a mount: a line per decision, before the bytes, and never a value.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::audit_log::AuditFile;
use crate::support::daemon::{Place, errno_of_reading, eventually};
use crate::support::plain::PlainStore;

const VALUE: &str = "correct-horse-battery-staple";

fn store(place: &Place) -> PlainStore {
    let store = PlainStore::new(place.path(), "store");
    store.put("db.json", format!(r#"{{"KEY":"{VALUE}","OTHER":"x"}}"#).as_bytes());
    store
}

fn fields(line: &Value, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| line[*name].clone()).collect()
}

#[test]
fn a_read_is_one_line_that_says_who_read_what() {
    let place = Place::new();
    let (store, audit) = (store(&place), AuditFile::new(&place, "audit.log"));
    let _daemon = place.mount(&(audit.section("required = true") + &store.scope("prod")));
    let since = Instant::now();
    assert_eq!(audit.text(), "", "nobody has asked for anything");
    let file = place.mnt().join("prod/db/KEY");
    let cat = Command::new("cat").arg(&file).stdout(Stdio::piped()).spawn().unwrap();
    let pid = cat.id();
    assert_eq!(cat.wait_with_output().unwrap().stdout, VALUE.as_bytes());
    let lines = audit.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    let expected = json!({
        "v": 1, "event": "decision", "path": "prod/db/KEY", "action": "read", "decision": "allow", "errno": null,
        "cache": "miss", "identity": null,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(line[name], *value, "{name}");
    }
    let is_new = line["age"].as_u64().is_some_and(|age| age <= since.elapsed().as_secs());
    assert!(is_new, "it was fetched just now: {line}");
    let reason = line["reason"].as_str().unwrap();
    assert!(["the user who runs hushfs", "root, and root = \"allow\""].contains(&reason), "{reason}");
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    assert_eq!(fields(line, &["uid", "gid", "pid", "tgid"]), [json!(uid), json!(gid), json!(pid), json!(pid)]);
    let cat = Command::new("sh").args(["-c", "readlink -f \"$(command -v cat)\""]).output().unwrap();
    assert_eq!(line["exe"], String::from_utf8_lossy(&cat.stdout).trim_end());
    let status = Command::new("getfattr").args(["--only-values", "-n", "user.hushfs.version"]).arg(&file).output();
    assert_eq!(line["version"], String::from_utf8_lossy(&status.unwrap().stdout).into_owned());
}

#[test]
fn the_first_read_of_what_was_fetched_is_a_miss_and_those_after_it_are_hits() {
    let place = Place::new();
    let (store, audit) = (store(&place), AuditFile::new(&place, "audit.log"));
    let _daemon = place.mount(&(audit.section("required = true") + &store.scope("prod")));
    let key = place.mnt().join("prod/db/KEY");
    for _ in 0..3 {
        fs::read(&key).unwrap();
    }
    // Of the same fetch.
    fs::read(place.mnt().join("prod/db/.json")).unwrap();
    let caches: Vec<Value> = audit.lines().iter().map(|line| line["cache"].clone()).collect();
    assert_eq!(caches, ["miss", "hit", "hit", "hit"]);
    assert_eq!(place.calls("prod", "fetch"), 1);
}

#[test]
fn listing_is_a_decision_and_looking_is_none() {
    let place = Place::new();
    let (store, audit) = (store(&place), AuditFile::new(&place, "audit.log"));
    let _daemon = place.mount(&(audit.section("required = true") + &store.scope("prod")));
    let mnt = place.mnt();
    fs::metadata(mnt.join("prod/db/KEY")).unwrap();
    assert!(fs::metadata(mnt.join("prod/nosuch")).is_err());
    fs::read_link(mnt.join("prod/db/@current")).unwrap();
    assert!(audit.lines().is_empty(), "{}", audit.text());
    for (directory, path) in [("", "."), ("prod", "prod"), ("prod/db", "prod/db")] {
        assert!(fs::read_dir(mnt.join(directory)).unwrap().count() > 0);
        let line = audit.lines().pop().unwrap();
        let said = fields(&line, &["path", "action", "decision", "cache", "age"]);
        assert_eq!(said, [json!(path), json!("list"), json!("allow"), Value::Null, Value::Null]);
    }
    assert_eq!(audit.lines().len(), 3);
}

#[test]
fn no_line_holds_a_value_whatever_is_read() {
    let place = Place::new();
    let (store, audit) = (store(&place), AuditFile::new(&place, "audit.log"));
    let _daemon = place.mount(&(audit.section("stderr = true\nrequired = true") + &store.scope("prod")));
    let db = place.mnt().join("prod/db");
    for file in ["KEY", ".json", ".env", ".raw", "@current/KEY"] {
        let text = fs::read_to_string(db.join(file)).unwrap();
        assert!(text.contains(VALUE), "{file}");
    }
    fs::read_dir(&db).unwrap().for_each(drop);
    assert!(fs::read(db.join("nosuch")).is_err());
    assert_eq!(audit.lines().len(), 6);
    for text in [audit.text(), place.log()] {
        assert!(!text.contains(VALUE), "{text}");
        assert!(text.contains("prod/db/.env"), "{text}");
    }
    // The version is named in the path; it is the current one.
    let of_version = audit.lines().into_iter().find(|line| line["path"].as_str().unwrap().contains('@')).unwrap();
    assert_eq!(of_version["action"], "read");
}

#[test]
fn a_required_record_that_cannot_be_written_refuses_the_read() {
    let place = Place::new();
    let store = store(&place);
    let audit = "[audit]\nfile = \"/dev/full\"\nrequired = true\n";
    let _daemon = place.mount(&(audit.to_owned() + &store.scope("prod")));
    let key = place.mnt().join("prod/db/KEY");
    for _ in 0..2 {
        assert_eq!(errno_of_reading(&key), Some(libc::EIO));
        let listed = fs::read_dir(place.mnt().join("prod"));
        assert_eq!(listed.err().and_then(|error| error.raw_os_error()), Some(libc::EIO));
    }
    let status = place.status();
    assert_eq!(status["open"], 0, "nothing stays open that nobody was given");
    let sink = &status["audit"]["sinks"][0];
    assert_eq!((&sink["sink"], &sink["written"]), (&json!("file"), &json!(0)));
    assert!(sink["lost"].as_u64() >= Some(4), "{sink}");
    assert!(sink["failing"].as_str().unwrap().contains("No space left"), "{sink}");
    let said = String::from_utf8(place.run(&["status"]).stdout).unwrap();
    assert!(said.contains("WARNING: audit records cannot be written to file: No space left"), "{said}");
    assert!(place.log().contains("the audit record is required and could not be written"), "{}", place.log());
}

#[test]
fn why_says_no_while_a_required_record_cannot_be_written_and_yes_once_it_can() {
    let place = Place::new();
    let (store, log) = (store(&place), AuditFile::new(&place, "audit.log"));
    let _daemon = place.mount(&(log.section("required = true") + &store.scope("prod")));
    let key = place.mnt().join("prod/db/KEY");
    let why = |path: &str| {
        let said = place.run(&["why", "--json", place.mnt().join(path).to_str().unwrap()]);
        let explanation: Value = serde_json::from_slice(&said.stdout).unwrap();
        let steps = explanation["steps"].as_array().unwrap();
        let audit = steps.iter().find(|step| step["stage"] == "audit").map(|step| step["text"].to_string());
        (said.status.code(), audit, explanation["change"].to_string())
    };
    assert_eq!(fs::read_to_string(&key).unwrap(), VALUE);
    assert_eq!((why("prod/db/KEY").0, why("prod/db/KEY").1), (Some(0), None));
    // A symbolic link is not written to.
    fs::remove_file(&log.path).unwrap();
    symlink("/dev/null", &log.path).unwrap();
    eventually("the read is refused", || (errno_of_reading(&key) == Some(libc::EIO)).then_some(()));
    for path in ["prod/db/KEY", "prod/db", ""] {
        let (status, audit, change) = why(path);
        let audit = audit.unwrap_or_else(|| panic!("no such step of {path:?}"));
        assert!(status == Some(1) && audit.contains("file: ") && audit.contains("EIO"), "{path:?}: {audit}");
        assert!(change.contains("have the audit log be written again"), "{path:?}: {change}");
    }
    assert_eq!(why("prod/db/@current").0, Some(0), "where it points to is told without a record");
    assert_eq!(errno_of_reading(&key), Some(libc::EIO));
    fs::remove_file(&log.path).unwrap();
    eventually("it is tried again by itself", || (why("prod/db/KEY").0 == Some(0)).then_some(()));
    assert_eq!(fs::read_to_string(&key).unwrap(), VALUE);
}

#[test]
fn a_record_that_is_not_required_keeps_nobody_from_reading() {
    let place = Place::new();
    let store = store(&place);
    let audit = "[audit]\nfile = \"/dev/full\"\n";
    let _daemon = place.mount(&(audit.to_owned() + &store.scope("prod")));
    for _ in 0..2 {
        assert_eq!(fs::read_to_string(place.mnt().join("prod/db/KEY")).unwrap(), VALUE);
    }
    eventually("both are counted as lost", || {
        (place.status()["audit"]["sinks"][0]["lost"].as_u64() >= Some(2)).then_some(())
    });
}

#[test]
fn after_a_rotation_by_rename_lines_go_to_the_new_file() {
    let place = Place::new();
    let (store, audit) = (store(&place), AuditFile::new(&place, "audit.log"));
    let daemon = place.mount(&(audit.section("required = true") + &store.scope("prod")));
    let (key, old) = (place.mnt().join("prod/db/KEY"), AuditFile::new(&place, "audit.log.1"));
    fs::read(&key).unwrap();
    fs::rename(&audit.path, &old.path).unwrap();
    daemon.signal(libc::SIGHUP);
    let reads = eventually("a line in the new file", || {
        fs::read(&key).unwrap();
        (!audit.lines().is_empty()).then(|| audit.lines().len() + old.lines().len())
    });
    fs::read(&key).unwrap();
    assert_eq!(audit.lines().len() + old.lines().len(), reads + 1);
    assert_eq!(daemon.stop().code(), Some(0));
    assert!(audit.lines().iter().chain(&old.lines()).all(|line| line["event"] == "decision"), "nothing was lost");
}

#[test]
fn without_a_sink_there_is_no_log_and_no_thread_for_it() {
    let place = Place::new();
    let store = store(&place);
    let daemon = place.mount(&store.scope("prod"));
    fs::read(place.mnt().join("prod/db/KEY")).unwrap();
    assert_eq!(place.status()["audit"], json!({"sinks": [], "overflow": 0}));
    let threads = fs::read_dir(format!("/proc/{}/task", daemon.child.id())).unwrap();
    let named = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    assert!(threads.flatten().all(|task| named(task).trim_end() != "audit"));
}

#[cfg(feature = "aws")]
mod with_a_cloud {
    use super::*;
    use crate::support::cloud::Cloud;
    use crate::support::daemon::xattr;
    use crate::support::fault_proxy::Fault;

    #[test]
    fn stale_values_older_versions_and_the_providers_refusals_are_told_apart() {
        let place = Place::new();
        let cloud = Cloud::start(&place);
        let audit = AuditFile::new(&place, "audit.log");
        cloud.create("db", br#"{"KEY":"first"}"#);
        cloud.create("gone", br#"{"KEY":"second"}"#);
        let scope = cloud.scope("prod", "ttl = \"1s\"\nlist_ttl = \"1s\"\nnegative_ttl = \"200ms\"");
        let _daemon = cloud.mount(&place, &(audit.section("required = true") + &scope));
        let since = Instant::now();
        let (db, key) = (place.mnt().join("prod/db"), place.mnt().join("prod/db/KEY"));
        fs::read(&key).unwrap();
        let first = xattr(&key, "user.hushfs.version").unwrap();
        cloud.wait(cloud.account.rotate("db", br#"{"KEY":"newer"}"#));
        eventually("the new value", || (fs::read(&key).unwrap() == b"newer").then_some(()));
        assert_eq!(fs::read(db.join(format!("@{first}/KEY"))).unwrap(), b"first");
        let line = audit.lines().pop().unwrap();
        assert_eq!(fields(&line, &["action", "version"]), [json!("read-previous"), json!(first)]);

        cloud.proxy.set("*", Fault::error(503, "ServiceUnavailable"));
        let line = eventually("it is stale", || {
            assert_eq!(fs::read(&key).unwrap(), b"newer");
            audit.lines().pop().filter(|line| line["cache"] == "stale")
        });
        assert!(line["age"].as_u64() >= Some(1), "older than its ttl: {line}");
        let older = eventually("it grows older", || {
            assert_eq!(fs::read(&key).unwrap(), b"newer");
            audit.lines().pop().filter(|line| line["age"].as_u64() >= Some(3))
        });
        assert!(older["cache"] == "stale" && older["age"].as_u64() <= Some(since.elapsed().as_secs()), "{older}");

        cloud.proxy.set("*", Fault::error(400, "AccessDeniedException"));
        assert_eq!(errno_of_reading(&place.mnt().join("prod/gone/KEY")), Some(libc::EACCES));
        let line = audit.lines().pop().unwrap();
        let said = fields(&line, &["action", "decision", "reason", "errno"]);
        assert_eq!(said, [json!("list"), json!("deny"), json!("provider: denied"), json!("EACCES")]);
        assert_eq!(fields(&line, &["cache", "age"]), [Value::Null, Value::Null]);
        assert!(line["path"].as_str().unwrap().starts_with("prod/gone"), "{line}");
    }

    #[test]
    fn who_finds_no_provider_is_recorded_with_what_kept_it_away() {
        let place = Place::new();
        let cloud = Cloud::start(&place);
        let audit = AuditFile::new(&place, "audit.log");
        cloud.create("db", br#"{"KEY":"first"}"#);
        let settings = "ttl = \"1s\"\nmax_stale = \"1s\"\nnegative_ttl = \"200ms\"\ntimeout = \"1s\"";
        let _daemon = cloud.mount(&place, &(audit.section("required = true") + &cloud.scope("prod", settings)));
        eventually("the value", || fs::read(place.mnt().join("prod/db/KEY")).ok());

        let expired = "provider: unreachable, for longer than max_stale";
        let unavailable = || Fault::error(503, "ServiceUnavailable");
        for (fault, secret, errno, told, reason) in [
            (Fault::Hang, "other", libc::ETIMEDOUT, "ETIMEDOUT", "provider: timed_out"),
            (unavailable(), "other", libc::EHOSTUNREACH, "EHOSTUNREACH", "provider: unreachable"),
            (unavailable(), "db", libc::EKEYEXPIRED, "EKEYEXPIRED", expired),
            (Fault::error(429, "TooManyRequestsException"), "other", libc::EBUSY, "EBUSY", "provider: throttled"),
        ] {
            cloud.proxy.set("*", fault);
            let path = place.mnt().join("prod").join(secret).join("KEY");
            // On a slow machine a reader's own time may be up first.
            let line = eventually(reason, || {
                let is_told = errno_of_reading(&path) == Some(errno);
                audit.lines().pop().filter(|line| is_told && line["reason"] == reason)
            });
            let said = fields(&line, &["decision", "errno", "version", "age"]);
            assert_eq!(said, [json!("error"), json!(told), Value::Null, Value::Null], "{line}");
            assert!(line["path"].as_str().unwrap().starts_with(&format!("prod/{secret}")), "{line}");
        }
    }
}
