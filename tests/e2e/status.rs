//! `hushfs status` as an operator looks at it, and goes on looking.

use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Command, Stdio};

use crate::support::child::Guarded;
use crate::support::daemon::{HUSHFS, Place, eventually};
use crate::support::plain::PlainStore;

fn text(place: &Place) -> String {
    let output = place.run(&["status"]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_tells_ages_hit_rates_calls_and_what_failed() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    for name in ["a", "b", "c"] {
        store.put(&format!("{name}.json"), br#"{"K": "v"}"#);
    }
    store.put("broken.json", b"not JSON");
    let _daemon = place.mount(&(store.scope("prod") + "format = \"json\"\n"));
    for name in ["a", "b", "c", "c"] {
        std::fs::read(place.mnt().join(format!("prod/{name}/K"))).unwrap();
    }
    assert!(std::fs::read(place.mnt().join("prod/broken/K")).is_err());
    let scope = &place.status()["scopes"][0];
    assert_eq!(scope["up"], true);
    assert_eq!((&scope["reads"]["hit"], &scope["reads"]["miss"]), (&1.into(), &3.into()), "{scope}");
    assert_eq!(scope["failures"]["malformed"], 1, "{scope}");
    let ages = &scope["ages"];
    assert!(ages["newest"].as_u64() <= ages["median"].as_u64() && ages["median"].as_u64() <= ages["oldest"].as_u64());
    assert_eq!(ages["oldest"], scope["oldest"]);
    assert_eq!(ages["past_ttl"], 0);
    assert!(scope["calls"]["mean_ms"].as_f64().unwrap() > 0.0);
    let text = text(&place);
    assert!(text.contains("prod (local): up, last answer "), "{text}");
    assert!(text.contains("reads: 1 from memory, 3 fetched, 0 stale; 25.0% of all fresh from memory"), "{text}");
    assert!(text.contains("failed: 1 malformed"), "{text}");
    assert!(text.contains("s old, half of them up to"), "{text}");
}

#[test]
fn a_provider_that_is_gone_is_down_in_it() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("a.json", br#"{"K": "v"}"#);
    let _daemon = place.mount(&(store.scope("prod") + "ttl = \"0\"\nlist_ttl = \"0\"\n"));
    std::fs::read(place.mnt().join("prod/a/K")).unwrap();
    std::fs::rename(&store.path, place.path().join("away")).unwrap();
    std::fs::read(place.mnt().join("prod/a/K")).unwrap();
    let text = text(&place);
    assert!(text.contains("prod (local): DOWN, ") && text.contains(" unreachable"), "{text}");
    let scope = &place.status()["scopes"][0];
    assert!(scope["reads"]["stale"].as_u64() >= Some(1), "{scope}");
    assert_eq!(scope["ages"]["past_ttl"], 1, "{scope}");
}

#[test]
fn a_provider_that_says_nothing_about_permissions_is_not_asked_and_has_not_refused() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("a.json", br#"{"K": "v"}"#);
    let _daemon = place.mount(&store.scope("prod"));
    let file = place.mnt().join("prod/a/K");
    let why = place.run(&["why", file.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&why.stdout).contains("says nothing about permissions"), "{why:?}");
    let scope = &place.status()["scopes"][0];
    assert_eq!((&scope["calls"]["iam"], &scope["failures"]), (&0.into(), &serde_json::json!({})), "{scope}");
    let text = text(&place);
    assert!(text.contains(", 1 value in memory") && !text.contains("failed: "), "{text}");
    assert!(!text.contains(" 1 ports") && !text.contains(" 1 folders"), "{text}");
}

fn watching(place: &Place, args: &[&str], output: impl Into<Stdio>) -> Guarded {
    let mut command: Command = place.hushfs(&[&["status"], args].concat());
    Guarded::spawn(command.stdout(output).stderr(Stdio::inherit())).unwrap()
}

fn interrupt(watch: &mut Guarded) {
    // SAFETY: our own child, not yet reaped.
    assert_eq!(unsafe { libc::kill(watch.0.id() as i32, libc::SIGINT) }, 0);
    assert_eq!(watch.0.wait().unwrap().code(), Some(0));
}

#[test]
fn watching_shows_how_counts_grow_and_outlives_the_daemon() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("a.json", br#"{"K": "v"}"#);
    let daemon = place.mount(&store.scope("prod"));
    let path = place.path().join("frames");
    let frames = || std::fs::read_to_string(&path).unwrap();
    let mut watch = watching(&place, &["--watch", "0.1"], File::create(&path).unwrap());
    eventually("a first look", || frames().contains("prod (local)").then_some(()));
    std::fs::read(place.mnt().join("prod/a/K")).unwrap();
    eventually("a count that grows", || frames().contains("1 fetched (+1, ").then_some(()));
    assert_eq!(daemon.stop().code(), Some(0));
    eventually("that it is gone", || frames().contains("NOT REACHABLE since ").then_some(()));
    let seen = frames().len();
    let _daemon = place.mount(&store.scope("prod"));
    eventually("that it is back", || frames()[seen..].contains("prod (local)").then_some(()));
    interrupt(&mut watch);
    let all = frames();
    assert!(!all.contains('\x1b'), "a file is no terminal: {all}");
    assert!(!all.contains("(-"), "nothing grows backwards: {all}");
}

#[test]
fn watching_for_machines_is_one_object_a_line() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    let daemon = place.mount(&store.scope("prod"));
    let path = place.path().join("frames");
    let mut watch = watching(&place, &["--json", "--watch", "0.1"], File::create(&path).unwrap());
    let lines = || {
        let text = std::fs::read_to_string(&path).unwrap();
        let whole = text.rsplit_once('\n').map(|(whole, _)| whole.to_owned()).unwrap_or_default();
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>()
    };
    // A look that takes long tells of no scopes.
    let looks = || lines().into_iter().filter(|line| line.get("scopes").is_some()).collect::<Vec<_>>();
    eventually("two looks", || (looks().len() >= 2).then_some(()));
    assert_eq!(daemon.stop().code(), Some(0));
    eventually("that it is gone", || lines().last()?.get("unreachable").map(|_| ()));
    interrupt(&mut watch);
    assert_eq!(looks()[0]["scopes"][0]["name"], "prod");
}

#[test]
fn watching_ends_when_nobody_reads_any_more() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    let _daemon = place.mount(&store.scope("prod"));
    let mut watch = watching(&place, &["--watch", "0.1"], Stdio::piped());
    let mut some = [0; 10];
    watch.0.stdout.take().unwrap().read_exact(&mut some).unwrap();
    assert_eq!(watch.0.wait().unwrap().code(), Some(0));
}

/// The two ends of a terminal of 10 lines.
fn terminal() -> (File, OwnedFd) {
    let (mut ours, mut theirs) = (-1, -1);
    let size = libc::winsize { ws_row: 10, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: pointers to what lives on the stack, or null where that is allowed.
    let made = unsafe { libc::openpty(&mut ours, &mut theirs, std::ptr::null_mut(), std::ptr::null(), &size) };
    assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: openpty has just made both, and nobody else has them.
    unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) }
}

#[test]
fn on_a_terminal_it_takes_the_other_screen_and_gives_it_back() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    let configuration: String = (0..9).map(|number| store.scope(&format!("scope{number}"))).collect();
    let _daemon = place.mount(&configuration);
    let (mut screen, theirs) = terminal();
    let mut watch = watching(&place, &["--watch", "0.1"], theirs);
    let mut seen = Vec::new();
    let mut more = || {
        let mut bytes = [0; 4096];
        let length = screen.read(&mut bytes).unwrap_or(0);
        seen.extend_from_slice(&bytes[..length]);
        String::from_utf8_lossy(&seen).into_owned()
    };
    // Whole ones of a daemon that answers in time.
    let frames = |seen: &str| {
        let mut frames: Vec<_> = seen.split("\x1b[H").skip(1).map(str::to_owned).collect();
        frames.pop();
        frames.retain(|frame| !frame.contains("NOT REACHABLE"));
        frames
    };
    while frames(&more()).len() < 2 {}
    interrupt(&mut watch);
    while !more().ends_with("\x1b[?1049l") {}
    let all = more();
    assert!(all.starts_with("\x1b[?1049h"), "{all:?}");
    for frame in frames(&all) {
        assert_eq!(frame.matches('\n').count(), 9, "as many lines as it has: {frame:?}");
    }
}

#[test]
fn an_interval_that_is_none_is_refused() {
    for bad in ["0", "-1", "nan", "1e9", "soon"] {
        let output = Command::new(HUSHFS).args(["status", &format!("--watch={bad}")]).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{bad}: {output:?}");
    }
}
