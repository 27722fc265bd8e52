//! What is behind a mount may be no daemon of ours: commands that ask it show nothing that a terminal obeys, and read no
//! answer without an end.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Output};
use std::thread;

use serde_json::{Value, json};

use crate::support::daemon::{Daemon, Place, eventually, limit};
use crate::support::plain::PlainStore;

/// A title for the window, the screen cleared in two ways, a line over this one, and one that is not ours.
const EVIL: &str = "<\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}2J\rforged\nforged>";

/// A mount whose daemon says where to ask, and somebody else who listens there.
fn mounted(place: &Place) -> (Daemon<'_>, UnixListener, Value) {
    let store = PlainStore::new(place.path(), "store");
    store.put("db.json", br#"{"KEY":"value"}"#);
    let socket = place.path().join("socket");
    let daemon = place.mount(&(store.scope("prod") + &format!("[control]\nsocket = {socket:?}\n")));
    let status = place.status();
    fs::remove_file(&socket).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    (daemon, listener, status)
}

/// Runs a command, and has the one that it asks answer so.
fn answered(listener: &UnixListener, mut command: Command, answer: impl FnOnce(UnixStream)) -> Output {
    thread::scope(|scope| {
        let output = scope.spawn(move || command.output().unwrap());
        let (client, _) = eventually("it asks", || listener.accept().ok());
        client.set_nonblocking(false).unwrap();
        let mut request = String::new();
        BufReader::new(&client).read_line(&mut request).unwrap();
        assert!(request.starts_with("{\"command\":"), "{request}");
        answer(client);
        output.join().unwrap()
    })
}

/// Puts it behind each text, but where only certain words are understood, and where lines are meant.
fn poisoned(value: Value, evil: &str) -> Value {
    const WORDS: [&str; 7] = ["answer", "state", "decision", "stage", "says", "outcome", "report"];
    match value {
        Value::String(text) => Value::String(text + evil),
        Value::Array(all) => all.into_iter().map(|it| poisoned(it, evil)).collect(),
        Value::Object(all) => {
            let each = all.into_iter().map(|(name, it)| {
                let it = if WORDS.contains(&&*name) { it } else { poisoned(it, evil) };
                (name, it)
            });
            Value::Object(each.collect())
        }
        other => other,
    }
}

fn reloaded(outcome: &str, report: &str) -> Value {
    let tables = json!({ "added": ["x:1"], "removed": ["x:2"], "reordered": true });
    json!({
        "answer": "reloaded", "outcome": outcome, "message": "x", "diagnostics": [], "report": report,
        "changes": {
            "scopes": { "added": ["x"], "changed": ["x"], "adjusted": ["x"], "removed": ["x"], "unchanged": 1 },
            "grants": tables, "identities": tables, "root": true, "max_bytes": true, "audit": true,
        },
    })
}

/// Every answer that there is, with all that may be in it.
fn answers(mut status: Value) -> Vec<(&'static str, Value)> {
    status["answer"] = json!("status");
    status["audit"]["sinks"] = json!([{ "sink": "x", "written": 1, "lost": 1, "failing": "x" }]);
    status["sandbox"][0]["detail"] = json!("x");
    let scope = &mut status["scopes"][0];
    scope["identity"] = json!("x");
    scope["last_answer"] = json!("x");
    scope["last_error"] = json!({ "kind": "x", "detail": "x", "at": "x" });
    scope["budget"] = json!({ "limit": "x", "left": 1, "refused": 1, "throttled_until": "x", "recovering": false });
    scope["left_out"] = json!([{ "name": "x", "why": "x" }]);

    let caller = json!({ "uid": 1, "user": "x", "gid": 1, "groups": [1], "pid": 1, "exe": "x", "unit": "x",
        "cgroup": "x", "container": "x" });
    let step = json!({ "stage": "grant", "says": "no", "text": "x", "at": "x", "age": 1 });
    let why = json!({ "answer": "why", "path": "x", "action": "x", "decision": "deny", "caller": caller,
        "steps": [step], "change": ["x"] });

    let reader = json!({ "at": "x", "uid": 1, "gid": 1, "pid": 1, "exe": "x", "unit": "x", "container": "x" });
    let version = |is_current: bool| {
        json!({ "version": "x", "is_current": is_current, "may_be_revoked": false, "why": "x", "reads": 2,
            "last": reader, "open": [reader] })
    };
    let readers = |secrets: Value| {
        json!({ "answer": "readers", "since": "x", "had_predecessor": true, "opening": 1, "unknown": 1, "dropped": 1,
            "secrets": secrets })
    };
    let secret = json!({ "path": "x", "current": "x", "fetched": "x", "versions": [version(true), version(false)] });

    let error = json!({ "kind": "x", "detail": "x" });
    let value = |outcome: &str| {
        json!({ "path": "x", "identity": "x", "user": 1, "outcome": outcome, "before": "x", "after": "x",
            "error": error })
    };
    let outcomes = ["changed", "unchanged", "gone", "refused", "failed"].map(value);
    vec![
        ("status", status),
        ("why", why),
        ("readers", readers(json!([secret]))),
        ("readers", readers(json!([]))),
        ("refresh", json!({ "answer": "refreshed", "values": outcomes, "unknown": null })),
        ("refresh", json!({ "answer": "refreshed", "values": [], "unknown": error })),
        ("reload", reloaded("applied", "")),
        ("reload", reloaded("wrong", "")),
        ("flush", json!({ "answer": "refused", "why": "x" })),
        ("flush", json!({ "answer": "no-such", "why": "x" })),
    ]
}

/// A command, as it is typed at this place.
fn command(place: &Place, name: &str) -> Command {
    let (mnt, secret) = (place.mnt(), place.mnt().join("prod/db"));
    match name {
        "status" | "reload" => place.hushfs(&[name, "--mountpoint", mnt.to_str().unwrap()]),
        _ => place.hushfs(&[name, secret.to_str().unwrap()]),
    }
}

fn said(output: &Output) -> String {
    String::from_utf8([output.stdout.clone(), output.stderr.clone()].concat()).unwrap()
}

#[track_caller]
fn is_harmless(said: &str) {
    let obeyed: Vec<char> = said.chars().filter(|c| c.is_control() && *c != '\n').collect();
    assert!(obeyed.is_empty(), "{obeyed:?} in {said:?}");
}

#[test]
fn nothing_that_an_answer_holds_is_obeyed_by_a_terminal() {
    let place = Place::new();
    let (_daemon, listener, status) = mounted(&place);
    let say = |text: String| move |mut client: UnixStream| client.write_all(text.as_bytes()).unwrap();
    for (name, answer) in answers(status) {
        let answer = poisoned(answer, EVIL).to_string() + "\n";
        let said = said(&answered(&listener, command(&place, name), say(answer.clone())));
        assert!(said.contains("forged>"), "{name} does not show what it was told: {said}\n{answer}");
        is_harmless(&said);
        assert!(!said.lines().any(|line| line.starts_with("forged")), "{name}: {said}");
        let mut for_machines = command(&place, name);
        for_machines.arg("--json");
        let output = answered(&listener, for_machines, say(answer.clone()));
        is_harmless(&self::said(&output));
        if let Ok(told) = serde_json::from_slice::<Value>(&output.stdout) {
            assert!(told.to_string().contains("\u{9b}2J"), "{name} --json does not tell what it was told: {told}");
        }
    }
    // It has lines of its own.
    for outcome in ["applied", "wrong"] {
        let answer = reloaded(outcome, &format!("warning: x{EVIL}")).to_string();
        let said = said(&answered(&listener, command(&place, "reload"), say(answer)));
        assert!(said.contains("warning: x<"), "{said}");
        is_harmless(&said);
    }
    // What is no answer is told of.
    let output = answered(&listener, command(&place, "status"), say(json!({ "answer": EVIL }).to_string()));
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    is_harmless(&said(&output));
}

#[test]
fn an_answer_without_an_end_is_left_at_its_bound() {
    const MEMORY: u64 = 1 << 30;
    let place = Place::new();
    let (_daemon, listener, _) = mounted(&place);
    let mut status = command(&place, "status");
    limit(&mut status, libc::RLIMIT_AS, MEMORY);
    let output = answered(&listener, status, |mut client| {
        let junk = vec![b' '; 1 << 20];
        while client.write_all(&junk).is_ok() {}
    });
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert!(said(&output).contains("its answer is longer than"), "{output:?}");
}

#[test]
fn an_answer_about_all_that_is_remembered_is_taken() {
    let place = Place::new();
    let (_daemon, listener, _) = mounted(&place);
    let answer = answers(json!({ "audit": {}, "sandbox": [{}], "scopes": [{}] }));
    let (_, mut answer) = answer.into_iter().find(|(name, _)| *name == "readers").unwrap();
    let mut secret = answer["secrets"][0].take();
    let version = poisoned(secret["versions"][0].take(), "-as-long-as-they-often-are-here");
    // As many as a daemon keeps in mind of each, and of so many.
    secret["versions"] = vec![version; 8].into();
    answer["secrets"] = vec![secret; 10_000].into();
    let answer = answer.to_string();
    assert!(answer.len() > 32 << 20, "{}", answer.len());
    let say = |mut client: UnixStream| client.write_all(answer.as_bytes()).unwrap();
    let mut readers = command(&place, "readers");
    readers.arg("--json");
    let output = answered(&listener, readers, say);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said(&output).matches("\"may_be_revoked\"").count(), 80_000);
}
