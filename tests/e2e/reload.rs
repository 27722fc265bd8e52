//! `hushfs reload` and SIGHUP: another configuration, whole or not at all, for a mount that lives.

use std::fs::{self, File};
use std::io::Read;
use std::process::Output;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::support::daemon::{Place, errno_of_reading, eventually, xattr};
use crate::support::over::IsOver;
use crate::support::plain::PlainStore;

/// Nothing is asked for again by itself while a test runs.
const LONG: &str = "[cache]\nttl = \"1h\"\nlist_ttl = \"1h\"\nnegative_ttl = \"1h\"\n";

/// A place, and stores `one`, `two` and `three` with a secret `db` each, whose key `KEY` says where it is from.
fn place() -> (Place, [PlainStore; 3]) {
    let place = Place::new();
    let stores = ["one", "two", "three"].map(|name| {
        let store = PlainStore::new(place.path(), name);
        store.put("db.json", format!(r#"{{"KEY":"of {name}"}}"#).as_bytes());
        store
    });
    (place, stores)
}

fn reload(place: &Place) -> (Option<i32>, Value) {
    let output = place.run(&["reload", "--json", "--mountpoint", place.mnt().to_str().unwrap()]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let json = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    (output.status.code(), json)
}

/// Of a configuration that is right.
fn reloaded(place: &Place, configuration: &str) -> Value {
    place.configure(configuration);
    let (status, answer) = reload(place);
    assert_eq!((status, answer["outcome"].as_str()), (Some(0), Some("applied")), "{answer}");
    answer["changes"].clone()
}

fn read(place: &Place, path: &str) -> String {
    let path = place.mnt().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn scopes(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.mnt()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_scope_that_is_what_it_was_keeps_its_values_and_the_others_are_what_they_are_now() {
    let (place, [one, two, three]) = place();
    let _daemon = place.mount(&[LONG, &one.scope("same"), &two.scope("other"), &three.scope("gone")].concat());
    for scope in ["same", "other", "gone"] {
        read(&place, &format!("{scope}/db/KEY"));
    }
    let ino = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(place.mnt().join("other/db/KEY")).unwrap());
    let before = ino();
    let open = ["same", "other", "gone"].map(|scope| File::open(place.mnt().join(scope).join("db/KEY")).unwrap());
    one.put("db.json", br#"{"KEY":"not looked at"}"#);

    // The kernel remembers it for a second, if nobody tells it otherwise.
    assert!(fs::metadata(place.mnt().join("gone")).is_ok());
    let changes = reloaded(&place, &[LONG, &one.scope("same"), &three.scope("other"), &two.scope("new")].concat());
    let expected = serde_json::json!(
        {"added": ["new"], "changed": ["other"], "adjusted": [], "removed": ["gone"], "unchanged": 1}
    );
    assert_eq!(changes["scopes"], expected);
    assert!(fs::metadata(place.mnt().join("gone")).is_err());
    assert_eq!(scopes(&place), ["new", "other", "same"]);
    assert_eq!(errno_of_reading(&place.mnt().join("gone/db/KEY")), Some(libc::ENOENT));
    assert_eq!(place.calls("same", "fetch"), 1);
    assert_eq!(read(&place, "same/db/KEY"), "of one");
    assert_eq!(place.calls("same", "fetch"), 1, "its value is still in memory");
    assert_eq!(read(&place, "other/db/KEY"), "of three");
    assert_eq!(read(&place, "new/db/KEY"), "of two");
    assert_ne!(ino(), before, "what was open, and may be mapped, is not what is there now");

    for (mut file, value) in open.into_iter().zip(["of one", "of two", "of three"]) {
        let mut kept = String::new();
        file.read_to_string(&mut kept).unwrap();
        assert_eq!(kept, value, "what is open stays what it was");
    }
}

#[test]
fn the_inodes_are_those_from_before_but_for_files_that_are_open_since_then() {
    let (place, [one, two, three]) = place();
    let _daemon = place.mount(&[LONG, &one.scope("same"), &two.scope("other")].concat());
    let paths = ["same/db/KEY", "other/db/KEY"].map(|path| place.mnt().join(path));
    let ino = |path: &std::path::PathBuf| {
        fs::read(path).unwrap();
        std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap())
    };
    let before = paths.each_ref().map(ino);
    let open = File::open(&paths[0]).unwrap();
    reloaded(&place, &[LONG, &one.scope("same"), &three.scope("other")].concat());
    assert_eq!(paths.each_ref().map(ino), before, "the open one is of a scope that is what it was");

    let open = [open, File::open(&paths[1]).unwrap()];
    reloaded(&place, &[LONG, &one.scope("same"), &two.scope("other")].concat());
    let now = paths.each_ref().map(ino);
    assert_eq!((now[0] == before[0], now[1] == before[1]), (true, false));
    drop(open);
    assert_eq!(paths.each_ref().map(ino), now, "and stay what they are");
}

#[test]
fn what_was_in_memory_of_a_scope_that_is_another_or_gone_is_wiped() {
    let (place, [one, two, _]) = place();
    let _daemon = place.mount(&[LONG, &one.scope("a"), &two.scope("b")].concat());
    read(&place, "a/db/KEY");
    read(&place, "b/db/KEY");
    assert_eq!(place.status()["cache"]["values"], 2);
    reloaded(&place, &[LONG, &two.scope("a")].concat());
    assert_eq!(place.status()["cache"]["values"], 0);
}

#[test]
fn where_anything_is_wrong_everything_stays_as_it_was_and_the_answer_says_what_and_where() {
    let (place, [one, two, _]) = place();
    let before = [LONG, &one.scope("a")].concat();
    let _daemon = place.mount(&before);
    read(&place, "a/db/KEY");
    let wrong = [LONG, &two.scope("a"), "tll = \"5m\"\n", &two.scope("b")].concat();
    let file = place.configure(&wrong);
    let line = fs::read_to_string(&file).unwrap().lines().position(|line| line.starts_with("tll")).unwrap() + 1;

    let (status, answer) = reload(&place);
    assert_eq!((status, &answer["outcome"]), (Some(78), &Value::from("wrong")), "{answer}");
    let problem = answer["diagnostics"].as_array().unwrap().iter().find(|it| it["severity"] == "error").unwrap();
    assert_eq!((problem["line"].as_u64(), problem["column"].as_u64()), (Some(line as u64), Some(1)));
    let output = place.run(&["reload", "--mountpoint", place.mnt().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
    assert!(said(&output).contains("everything stays as it was") && said(&output).contains("`ttl`"), "{output:?}");
    assert!(place.log().contains(&format!("hushfs.toml:{line}:1")), "{}", place.log());

    assert_eq!(scopes(&place), ["a"]);
    assert_eq!((read(&place, "a/db/KEY"), place.calls("a", "fetch")), ("of one".to_owned(), 1));
    reloaded(&place, &before);
}

#[test]
fn what_a_mount_that_lives_cannot_change_is_refused_whole_and_named() {
    let (place, [one, two, _]) = place();
    let before = one.scope("a");
    let _daemon = place.mount(&before);
    let grant = "[[grant]]\nprincipals = [\"uid:1\"]\nactions = [\"read\"]\nresources = [\"a/**\"]\n";
    for (settings, name) in [
        ("allow_other = true\n", "allow_other"),
        ("[control]\nsocket = \"/run/hushfs/another\"\n", "socket"),
        (grant, "[[grant]]"),
    ] {
        place.configure(&[settings, &two.scope("a")].concat());
        let (status, answer) = reload(&place);
        assert_eq!((status, &answer["outcome"]), (Some(78), &Value::from("needs-restart")), "{answer}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(name) && message.contains("systemctl restart hushfs"), "{message}");
        assert_eq!(read(&place, "a/db/KEY"), "of one");
    }
    let text = fs::read_to_string(place.configure(&two.scope("a"))).unwrap();
    fs::write(place.path().join("hushfs.toml"), text.replace("/mnt\"", "/elsewhere\"")).unwrap();
    assert_eq!(reload(&place).1["outcome"], "needs-restart");
    assert_eq!(read(&place, "a/db/KEY"), "of one");
}

#[test]
fn another_freshness_judges_the_values_that_are_there() {
    let (place, [one, ..]) = place();
    let _daemon = place.mount(&[LONG, &one.scope("a")].concat());
    read(&place, "a/db/KEY");
    one.put("db.json", br#"{"KEY":"newer"}"#);
    let changes = reloaded(&place, &[LONG, &one.scope("a"), "ttl = \"2h\"\n"].concat());
    assert_eq!(changes["scopes"]["adjusted"], serde_json::json!(["a"]));
    assert_eq!(read(&place, "a/db/KEY"), "of one", "still within its time");
    reloaded(&place, &[LONG, &one.scope("a"), "ttl = \"0\"\n"].concat());
    assert_eq!(read(&place, "a/db/KEY"), "newer");
    assert!(place.calls("a", "fetch") > 1, "counted on");
}

#[test]
fn another_limit_to_memory_holds_at_once() {
    let (place, [one, ..]) = place();
    for name in ["a", "b", "c", "d"] {
        one.put(name, &[b'x'; 100_000]);
    }
    let settings =
        |most: &str| format!("[cache]\nmax_bytes = \"{most}\"\nmax_secret_bytes = \"110KiB\"\n{}", one.scope("s"));
    let _daemon = place.mount(&settings("1MiB"));
    for name in ["a", "b", "c", "d"] {
        read(&place, &format!("s/{name}/value"));
    }
    assert_eq!(place.status()["cache"]["values"], 4);
    assert_eq!(reloaded(&place, &settings("250KiB"))["max_bytes"], true);
    let cache = &place.status()["cache"];
    let number = |name: &str| cache[name].as_u64().unwrap();
    assert_eq!(number("max_bytes"), 250 * 1024);
    assert!(number("values") > 0 && number("bytes") <= number("max_bytes"), "{cache}");
}

#[test]
fn sighup_does_what_the_command_does() {
    let (place, [one, two, _]) = place();
    let daemon = place.mount(&one.scope("a"));
    place.configure(&[one.scope("a"), two.scope("b")].concat());
    daemon.signal(libc::SIGHUP);
    eventually("there is the new scope", || (scopes(&place) == ["a", "b"]).then_some(()));
    place.configure("unknown = 1\n");
    daemon.signal(libc::SIGHUP);
    eventually("it says what is wrong", || place.log().contains("everything stays as it was").then_some(()));
    assert_eq!(scopes(&place), ["a", "b"]);
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn systemd_is_told_when_a_reload_begins_and_when_it_is_over() {
    let (place, [one, ..]) = place();
    let socket = place.path().join("notify");
    let _daemon = place.mount(&one.scope("a"));
    fs::remove_file(&socket).unwrap();
    let notify = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let mut message = [0; 512];
    let mut next = || {
        let length = notify.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    for (configuration, status) in [(one.scope("a"), ""), ("unknown = 1".to_owned(), "not reloaded: ")] {
        place.configure(&configuration);
        reload(&place);
        let begins = next();
        let mut lines = begins.lines();
        assert_eq!(lines.next(), Some("RELOADING=1"));
        let since = lines.next().and_then(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
        assert!(since.parse::<u64>().unwrap() > 0);
        let ends = next();
        assert!(ends.starts_with(&format!("READY=1\nSTATUS={status}")), "{ends}");
    }
}

#[test]
fn the_audit_log_is_where_the_configuration_says_from_the_first_decision_on() {
    let (place, [one, ..]) = place();
    let log = |name: &str| fs::read_to_string(place.path().join(name)).unwrap_or_default();
    let audit = |name: &str, more: &str| {
        format!("[audit]\nfile = {:?}\nrequired = true\n{more}\n{}", place.path().join(name), one.scope("a"))
    };
    let rotate = |to: &str| fs::rename(place.path().join("first"), place.path().join(to)).unwrap();
    let _daemon = place.mount(&audit("first", ""));
    read(&place, "a/db/KEY");
    let records = log("first").lines().count();
    assert!(records > 0);
    rotate("first.1");
    assert_eq!(reloaded(&place, &audit("first", "stderr = true"))["audit"], true);
    read(&place, "a/db/KEY");
    assert_eq!(log("first.1").lines().count(), records);
    assert!(log("first").contains("a/db/KEY") && place.log().contains(r#""path":"a/db/KEY""#), "{}", place.log());
    // As after logrotate has moved it, also where the configuration is wrong.
    rotate("first.2");
    place.configure("unknown = 1\n");
    reload(&place);
    read(&place, "a/db/KEY");
    eventually("it is written anew", || log("first").contains("a/db/KEY").then_some(()));
    // Another file is another daemon's: this one can open no other.
    place.configure(&audit("second", ""));
    let (status, answer) = reload(&place);
    assert_eq!((status, &answer["outcome"]), (Some(78), &Value::from("needs-restart")), "{answer}");
    read(&place, "a/db/KEY");
    assert!(!place.path().join("second").exists());
}

#[test]
fn readers_that_go_on_all_the_time_notice_nothing_of_a_hundred_reloads() {
    let (place, [one, two, three]) = place();
    let configurations = [
        [one.scope("same"), two.scope("moves")].concat(),
        [one.scope("same"), three.scope("moves"), two.scope("comes")].concat(),
    ];
    let _daemon = place.mount(&configurations[0]);
    let (is_over, reads) = (IsOver::default(), AtomicU64::new(0));
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                while !is_over.now() {
                    assert_eq!(read(&place, "same/db/KEY"), "of one");
                    let moving = read(&place, "moves/db/KEY");
                    assert!(moving == "of two" || moving == "of three", "{moving}");
                    // Whole, and of one secret: the value and what is told of it.
                    let file = File::open(place.mnt().join("moves/db/.json")).unwrap();
                    let json = std::io::read_to_string(file).unwrap();
                    assert!(json == r#"{"KEY":"of two"}"# || json == r#"{"KEY":"of three"}"#, "{json}");
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _over = is_over.at_the_end();
        for turn in 1..=100 {
            let before = reads.load(Ordering::Relaxed);
            reloaded(&place, &configurations[turn % 2]);
            // What is told after the reload is what holds.
            let expected = if turn % 2 == 0 { "of two" } else { "of three" };
            assert_eq!(read(&place, "moves/db/KEY"), expected);
            assert_eq!(scopes(&place).len(), 2 + turn % 2);
            eventually("somebody reads", || (reads.load(Ordering::Relaxed) > before).then_some(()));
        }
    });
    let source = xattr(&place.mnt().join("same/db/KEY"), "user.hushfs.source");
    assert!(source.is_some_and(|source| source.contains("one")));
}

#[test]
fn a_configuration_whose_provider_cannot_be_made_changes_nothing() {
    let (place, [one, ..]) = place();
    let _daemon = place.mount(&one.scope("a"));
    // Other programs' files are not the daemon's to judge before they are asked for; a folder that is none is.
    place.configure(&[one.scope("b"), "[scopes.c]\nprovider = \"no-such-provider\"\n".to_owned()].concat());
    assert_eq!(reload(&place).0, Some(78));
    assert_eq!(scopes(&place), ["a"]);
}

#[test]
fn an_audit_log_that_cannot_be_opened_is_not_taken_in_the_place_of_one_that_can() {
    let (place, [one, two, _]) = place();
    let (folder, away) = (place.path().join("audit"), place.path().join("away"));
    fs::create_dir(&folder).unwrap();
    let audit = |more: &str, scope: String| format!("[audit]\nfile = {:?}\n{more}\n{scope}", folder.join("reads"));
    let _daemon = place.mount(&audit("", one.scope("a")));
    fs::rename(&folder, &away).unwrap();
    place.configure(&audit("required = true", two.scope("b")));
    let (status, answer) = reload(&place);
    assert_eq!((status, &answer["outcome"]), (Some(71), &Value::from("failed")), "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("audit/reads"), "{answer}");
    assert_eq!(scopes(&place), ["a"]);
    fs::rename(&away, &folder).unwrap();
    read(&place, "a/db/KEY");
    let is_recorded = || fs::read_to_string(folder.join("reads")).is_ok_and(|log| log.contains("a/db/KEY"));
    eventually("it is recorded where it was", || is_recorded().then_some(()));
    assert_eq!(reload(&place).0, Some(0));
    assert_eq!(scopes(&place), ["b"]);
}

#[test]
fn where_the_configuration_has_another_mountpoint_a_reload_says_where_the_daemon_is_and_what_to_do() {
    let (place, [one, ..]) = place();
    let _daemon = place.mount(&one.scope("a"));
    let text = fs::read_to_string(place.configure(&one.scope("a"))).unwrap();
    let elsewhere = place.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(place.path().join("hushfs.toml"), text.replace("/mnt\"", "/elsewhere\"")).unwrap();
    let output = place.run(&["reload"]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    for told in [elsewhere.to_str().unwrap(), place.mnt().to_str().unwrap(), "systemctl restart hushfs"] {
        assert!(said(&output).contains(told), "{told}: {output:?}");
    }
    let output = place.run(&["status"]);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let told = said(&output);
    assert!(told.contains("but one is at ") && told.contains(place.mnt().to_str().unwrap()), "{told}");
}

#[test]
fn a_directory_that_is_open_from_before_tells_the_kernel_nothing_that_is_not_so_any_more() {
    let (place, [one, two, three]) = place();
    let _daemon = place.mount(&[LONG, &one.scope("moves"), &two.scope("gone")].concat());
    assert_eq!(read(&place, "moves/db/KEY"), "of one");
    let open = ["", "moves/db"].map(|path| File::open(place.mnt().join(path)).unwrap());
    reloaded(&place, &[LONG, &three.scope("moves")].concat());
    let names = open.map(|directory| {
        let entries = rustix::fs::Dir::new(directory).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned()).collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names
    });
    assert_eq!(names, [vec!["gone", "moves"], vec!["KEY"]], "names are those of when it was opened");
    assert!(fs::metadata(place.mnt().join("gone")).is_err());
    assert_eq!(fs::metadata(place.mnt().join("moves/db/KEY")).unwrap().len(), "of three".len() as u64);
}

#[cfg(feature = "vault")]
#[test]
fn a_reload_while_a_provider_hangs_holds_at_once_and_is_over_when_who_waits_has_an_answer() {
    use crate::support::daemon::waits_for_fuse;

    let (place, [one, two, _]) = place();
    // Takes calls and says nothing.
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let token = place.private("token", "any");
    let slow = |prefix: &str| {
        format!(
            "[scopes.slow]\nprovider = \"vault\"\naddress = \"http://{}\"\nprefix = \"{prefix}/\"\ntimeout = \"20s\"\n\
             auth = {{ method = \"token\", token_file = {token:?} }}\n",
            server.local_addr().unwrap()
        )
    };
    let patient = "timeout = \"60s\"\n";
    let _daemon = place.mount(&(slow("before") + &one.scope("same") + patient));
    read(&place, "same/db/KEY");
    std::thread::scope(|threads| {
        let (tell, told) = std::sync::mpsc::channel();
        let path = place.mnt().join("slow/db/KEY");
        let reader = threads.spawn(move || {
            tell.send(rustix::thread::gettid().as_raw_nonzero()).unwrap();
            errno_of_reading(&path)
        });
        let reads = std::path::PathBuf::from(format!("/proc/self/task/{}", told.recv().unwrap()));
        server.accept().unwrap();
        place.configure(&(slow("after") + &one.scope("same") + patient + &two.scope("new") + patient));
        let reloading = threads.spawn(|| reload(&place));
        eventually("there is the new scope", || (scopes(&place) == ["new", "same", "slow"]).then_some(()));
        assert_eq!(read(&place, "new/db/KEY"), "of two");
        assert!(waits_for_fuse(&reads) && !reloading.is_finished(), "all that was while somebody waits");
        let (status, answer) = reloading.join().unwrap();
        assert_eq!((status, answer["outcome"].as_str()), (Some(0), Some("applied")), "{answer}");
        assert!(!waits_for_fuse(&reads), "every request from before is answered");
        assert_eq!(reader.join().unwrap(), Some(libc::ETIMEDOUT));
    });
    assert_eq!(place.calls("same", "fetch"), 1);
    // Nothing of what hung is left in the way.
    reloaded(&place, &one.scope("same"));
}
