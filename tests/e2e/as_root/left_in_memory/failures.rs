//! Values that were on their way to a reader, or came, and were not given.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::{LONG, PATIENCE, flush};
use crate::support::backend::KEEPS_WORN;
use crate::support::child::Guarded;
use crate::support::daemon::{Place, eventually};
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::marked::Mark;
use crate::support::memory::{Kind, scan, scan_until};
use crate::support::servers;
use crate::support::tls::Terminator;

/// What a secret's value is asked with.
fn call(name: &str) -> String {
    format!("GET /v1/secret/data/{name}")
}

#[test]
fn nothing_is_left_of_a_value_in_an_answer_that_failed_or_that_nobody_waited_for() {
    let (place, mark) = (Place::new(), Mark::new());
    let long = |bytes: usize| mark.value.repeat(bytes / mark.value.len());
    let (larger_than_may_be, larger_than_is_read) = (long(100 << 10), long(9 << 20));
    let value = mark.value.as_str();
    let secrets = [
        ("sound", value),
        ("broken", value),
        ("odd", value),
        ("refused", value),
        ("cut", value),
        ("cut-long", larger_than_may_be.as_str()),
        ("large", larger_than_may_be.as_str()),
        ("larger", value),
        ("unread", value),
    ];
    let server = servers::with("vault", &secrets);
    let proxy = FaultProxy::start(server.address());
    proxy.keep_connections();
    let tls = Terminator::start(proxy.address());
    let lines = server.lines(&tls.url(), Some(&tls.ca_file()));
    place.configure(&format!("[scopes.app]\n{lines}{LONG}max_secret_bytes = \"64KiB\"\n"));
    let mut command = place.hushfs(&["mount"]);
    command.env(KEEPS_WORN, "1");
    server.environment(&mut command, Some(&tls.ca_file()));
    let daemon = place.start(command);
    let file = |name: &str| place.mnt().join("app").join(name).join("PASSWORD");

    // An answer that ends in the middle of its JSON, one whose version is none, one of a server that fails.
    let version =
        json!({"version": 1, "created_time": "2026-01-01T00:00:00Z", "deletion_time": "", "destroyed": false});
    let whole = json!({"data": {"data": {"PASSWORD": value}, "metadata": version}}).to_string();
    proxy.set(&call("broken"), Fault::body(whole.trim_end_matches('}')));
    proxy.set(&call("odd"), Fault::body(&whole.replace("\"version\":1", "\"version\":\"one\"")));
    proxy.set(&call("refused"), Fault::Answer { status: 502, headers: Vec::new(), body: whole.clone() });
    for name in ["cut", "cut-long"] {
        proxy.set(&call(name), Fault::CutBody);
    }
    proxy.set(&call("larger"), Fault::body(&whole.replace(&escaped(value), &escaped(&larger_than_is_read))));
    for (name, _) in &secrets[1..8] {
        let read = fs::read(file(name));
        assert!(read.is_err(), "{name}: it has {} bytes", read.map_or(0, |bytes| bytes.len()));
        assert!(proxy.calls(&call(name)) > 0, "{name}: its value was on its way");
    }

    // A reader who is killed while the value is on its way.
    proxy.set(&call("unread"), Fault::Delay(Duration::from_secs(1)));
    let mut command = Command::new("cat");
    command.arg(file("unread")).stdout(Stdio::null()).stderr(Stdio::null());
    let reader = Guarded::spawn(&mut command).expect("cat runs");
    eventually("the provider is asked", || (proxy.calls(&call("unread")) > 0).then_some(()));
    drop(reader);
    let came = scan_until(&daemon, &mark, PATIENCE, |copies| copies.of(Kind::Locked) > 0);
    assert!(came.of(Kind::Locked) > 0, "it comes although nobody waits for it");

    assert!(fs::read(file("sound")).unwrap() == value.as_bytes());
    assert!(scan(&daemon, &mark).of(Kind::Locked) > 0, "the scan finds what is there");
    flush(&place);
    let left = scan_until(&daemon, &mark, PATIENCE, |copies| copies.0.is_empty());
    assert!(left.0.is_empty(), "{left}: {:#?}", left.0.first());
    assert!(!mark.is_in(place.log().as_bytes()), "and the log has no part of it");
    assert_eq!(daemon.stop().code(), Some(0));
}

/// As JSON has it.
fn escaped(text: &str) -> String {
    json!(text).to_string()
}
