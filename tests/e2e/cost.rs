//! What looking and reading cost in calls to the provider.

use std::path::Path;
use std::process::Command;
use std::sync::Barrier;

use crate::support::daemon::Place;
use crate::support::plain::PlainStore;

fn run(program: &str, arguments: &[&str], path: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(path).output().expect("it runs");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn looking_above_the_keys_fetches_nothing() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    for name in ["a", "team/b", "team/app/c", "team"] {
        store.put(&format!("{name}.json"), br#"{"k":"v"}"#);
    }
    let _daemon = place.mount(&(store.scope("prod") + "list_ttl = \"1h\"\n"));
    let prod = place.mnt().join("prod");
    run("stat", &[], &prod.join("team/app/c"));
    run("ls", &["-la"], &place.mnt());
    run("ls", &["-la"], &prod);
    run("ls", &["-ld"], &prod.join("team"));
    run("ls", &["-la"], &prod.join("team/app"));
    run("stat", &[], &prod.join("a"));
    run("test", &["-d"], &prod.join("team/b"));
    let found = Command::new("find").arg(&prod).args(["-maxdepth", "1", "-newermt", "2001-01-01"]).output().unwrap();
    assert_eq!(String::from_utf8(found.stdout).unwrap().lines().count(), 3);
    run("getfattr", &["-d"], &prod.join("a"));
    run("bash", &["-c", "cd \"$0\"; echo *; cd team/app; compgen -f >&2"], &prod);
    assert!(std::fs::metadata(prod.join("nosuch")).is_err());
    assert!(std::fs::metadata(prod.join("team/app/nosuch/deeper")).is_err());
    assert_eq!(place.calls("prod", "fetch"), 0);
    assert_eq!(place.calls("prod", "list"), 1);
}

#[test]
fn listing_the_root_and_looking_at_it_calls_nobody() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("a", b"x");
    let _daemon = place.mount(&(store.scope("prod") + &store.scope("dev")));
    for _ in 0..3 {
        assert_eq!(run("ls", &["-la"], &place.mnt()).lines().count(), 5);
        run("stat", &[], &place.mnt().join("dev"));
    }
    for scope in ["prod", "dev"] {
        let calls = ["list", "look", "fetch"].map(|kind| place.calls(scope, kind));
        assert_eq!(calls, [0, 0, 0], "{scope}");
    }
}

#[test]
fn a_long_listing_of_ten_thousand_secrets_fetches_nothing_and_lists_once() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    for number in 0..10_000 {
        std::fs::write(store.path.join(format!("secret-{number}")), "x").unwrap();
    }
    let configuration = format!("[cache]\nlist_ttl = \"1h\"\n{}", store.scope("prod"));
    let _daemon = place.mount(&configuration);
    let prod = place.mnt().join("prod");
    for _ in 0..2 {
        assert_eq!(run("ls", &["-l"], &prod).lines().count(), 10_001);
    }
    assert_eq!((place.calls("prod", "fetch"), place.calls("prod", "list")), (0, 1));
    assert_eq!(place.calls("prod", "look"), 0);
    // The one that is read is fetched, and no other.
    assert_eq!(std::fs::read(prod.join("secret-1234/value")).unwrap(), b"x");
    assert_eq!((place.calls("prod", "fetch"), place.calls("prod", "list")), (1, 1));
}

#[test]
fn a_hundred_readers_who_come_at_once_cost_one_fetch() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    let value = vec![7_u8; 500_000];
    for round in 0..5 {
        store.put(&format!("big-{round}"), &value);
    }
    let _daemon = place.mount(&store.scope("prod"));
    for round in 0..5 {
        let path = place.mnt().join(format!("prod/big-{round}/value"));
        let together = Barrier::new(100);
        std::thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    together.wait();
                    assert_eq!(std::fs::read(&path).unwrap(), value);
                });
            }
        });
        assert_eq!(place.calls("prod", "fetch"), round + 1);
    }
}

#[test]
fn all_keys_of_a_secret_cost_one_fetch_listed_first_or_not() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    let keys: serde_json::Map<_, _> =
        (0..50).map(|key| (format!("key-{key}"), format!("value {key}").into())).collect();
    let object = serde_json::to_vec(&keys).unwrap();
    store.put("listed.json", &object);
    store.put("unlisted.json", &object);
    store.put("one.json", &object);
    let _daemon = place.mount(&store.scope("prod"));
    let prod = place.mnt().join("prod");
    let read = |secret: &str| {
        for key in 0..50 {
            let value = std::fs::read_to_string(prod.join(secret).join(format!("key-{key}"))).unwrap();
            assert_eq!(value, format!("value {key}"));
        }
        for hidden in [".raw", ".json", ".env", "@current/key-1"] {
            std::fs::read(prod.join(secret).join(hidden)).unwrap();
        }
        run("getfattr", &["-d"], &prod.join(secret).join("key-1"));
    };
    read("unlisted");
    assert_eq!(place.calls("prod", "fetch"), 1);
    assert_eq!(run("ls", &["-l"], &prod.join("listed")).lines().count(), 51);
    assert_eq!(place.calls("prod", "fetch"), 2);
    read("listed");
    assert_eq!(place.calls("prod", "fetch"), 2);
    assert_eq!(run("ls", &["-l"], &prod).lines().count(), 4);
    assert_eq!(std::fs::read(prod.join("one/key-7")).unwrap(), b"value 7");
    assert_eq!(place.calls("prod", "fetch"), 3);
}

#[test]
fn a_value_in_use_costs_no_questions_about_names_and_what_is_new_beside_it_is_found() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    for name in ["db", "team/app/c"] {
        store.put(&format!("{name}.json"), br#"{"KEY":"v"}"#);
    }
    // What is known of names is never fresh, and the kernel remembers nothing of it.
    let configuration =
        format!("[cache]\nttl = \"1h\"\nlist_ttl = \"0\"\nnegative_ttl = \"0\"\n{}", store.scope("prod"));
    let _daemon = place.mount(&configuration);
    let prod = place.mnt().join("prod");
    let read = |path: &str| std::fs::read_to_string(prod.join(path));
    let calls = || ["list", "look", "fetch"].map(|kind| place.calls("prod", kind));
    let read_both = || {
        for path in ["db/KEY", "team/app/c/KEY"] {
            assert_eq!(read(path).unwrap(), "v");
        }
    };
    read_both();
    let first = calls();
    assert_eq!(first[2], 2);
    for _ in 0..5 {
        read_both();
        for directory in ["db", "team", "team/app", "team/app/c"] {
            std::fs::metadata(prod.join(directory)).unwrap();
        }
    }
    assert_eq!(calls(), first);
    for new in ["team/new", "team/app/new", "db/new"] {
        store.put(&format!("{new}.json"), br#"{"KEY":"new"}"#);
        assert_eq!(read(&format!("{new}/KEY")).unwrap(), "new", "{new}");
    }
    assert_eq!(read("db/nosuch").unwrap_err().raw_os_error(), Some(libc::ENOENT));
}

#[test]
fn a_new_secret_is_read_before_the_next_listing() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("old", b"x");
    let configuration = format!("[cache]\nnegative_ttl = \"0\"\nlist_ttl = \"1h\"\n{}", store.scope("prod"));
    let _daemon = place.mount(&configuration);
    let prod = place.mnt().join("prod");
    assert_eq!(run("ls", &[], &prod), "old\n");
    store.put("new", b"y");
    assert_eq!(std::fs::read(prod.join("new/value")).unwrap(), b"y");
    assert_eq!(place.calls("prod", "list"), 1);
}

#[test]
fn what_is_not_there_is_remembered_too() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("a.json", br#"{"k":"v"}"#);
    let _daemon = place.mount(&format!("[cache]\nnegative_ttl = \"1h\"\nlist_ttl = \"1h\"\n{}", store.scope("prod")));
    let prod = place.mnt().join("prod");
    for _ in 0..20 {
        assert!(std::fs::read(prod.join("nosuch/key")).is_err());
        assert!(std::fs::read(prod.join("a/nosuch")).is_err());
        assert!(std::fs::read(prod.join("a/@previous/k")).is_err());
        assert!(std::fs::read(prod.join("a/@nosuch/k")).is_err());
    }
    // The secret itself, its previous version, and the version that nobody has.
    assert_eq!(place.calls("prod", "fetch"), 3);
    assert!(place.calls("prod", "look") <= 3, "{}", place.calls("prod", "look"));
}
