//! Scopes, secrets, keys, and how their names are spelled.

use super::{errno, listed};
use crate::support::daemon::Place;
use crate::support::plain::PlainStore;
use crate::support::store::Store;

#[test]
fn the_root_has_the_scopes_and_each_scope_its_secrets() {
    let place = Place::new();
    let (one, two) = (PlainStore::new(place.path(), "one"), PlainStore::new(place.path(), "two"));
    one.put("a", b"1");
    two.put("b", b"2");
    let _daemon = place.mount(&(one.scope("first") + &two.scope("second.scope-2")));
    assert_eq!(listed(&place.mnt()), ["first", "second.scope-2"]);
    assert_eq!(listed(&place.mnt().join("first")), ["a"]);
    assert_eq!(listed(&place.mnt().join("second.scope-2")), ["b"]);
    for missing in ["third", "first/b", "first/a/nosuch", "first/a/value/x", "@current", ".raw", "first/@current"] {
        let expected = if missing.ends_with("value/x") { libc::ENOTDIR } else { libc::ENOENT };
        assert_eq!(errno(std::fs::read(place.mnt().join(missing))), expected, "{missing}");
    }
}

#[test]
fn a_slash_in_a_name_makes_directories() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("team/app/db.json", br#"{"user":"u"}"#);
    store.put("team/app/api", b"key");
    store.put("team/other", b"x");
    let _daemon = place.mount(&store.scope("prod"));
    let prod = place.mnt().join("prod");
    assert_eq!(listed(&prod), ["team"]);
    assert_eq!(listed(&prod.join("team")), ["app", "other"]);
    assert_eq!(listed(&prod.join("team/app")), ["api", "db"]);
    assert_eq!(listed(&prod.join("team/app/db")), ["user"]);
    assert_eq!(std::fs::read(prod.join("team/app/db/user")).unwrap(), b"u");
    // A directory that is no secret has no value.
    for hidden in [".raw", ".json", ".env", "@current", "value"] {
        assert_eq!(errno(std::fs::symlink_metadata(prod.join("team").join(hidden))), libc::ENOENT, "{hidden}");
    }
}

#[test]
fn a_value_becomes_keys_by_the_first_rule_that_fits() {
    let place = Place::new();
    let store = Store::new(place.path());
    store.put("dotenv.env.age", b"A=1\nB='two words'\n");
    store.put(
        "object.json.age",
        br#"{"s":"text\n","n":1.50,"big":12345678901234567890123,"t":true,"z":null,"a":[1, {"x": "y z"}],"o":{ }}"#,
    );
    store.put("array.json.age", b"[1, 2]");
    store.put("text.age", b"no keys\n");
    store.put("binary.age", b"\xff\0\xfe");
    store.put("empty.age", b"");
    let _daemon = place.mount(&(store.scope("prod") + &store.scope("whole") + "format = \"raw\"\n"));
    let read = |path: &str| std::fs::read(place.mnt().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(listed(&place.mnt().join("prod/dotenv")), ["A", "B"]);
    assert_eq!(read("prod/dotenv/B"), b"two words");
    assert_eq!(listed(&place.mnt().join("prod/object")), ["a", "big", "n", "o", "s", "t", "z"]);
    for (key, value) in [
        ("s", "text\n"),
        ("n", "1.50"),
        ("big", "12345678901234567890123"),
        ("t", "true"),
        ("z", ""),
        ("a", r#"[1,{"x":"y z"}]"#),
        ("o", "{}"),
    ] {
        assert_eq!(read(&format!("prod/object/{key}")), value.as_bytes(), "{key}");
    }
    for (secret, value) in
        [("array", &b"[1, 2]"[..]), ("text", b"no keys\n"), ("binary", b"\xff\0\xfe"), ("empty", b"")]
    {
        assert_eq!(listed(&place.mnt().join("prod").join(secret)), ["value"]);
        assert_eq!(read(&format!("prod/{secret}/value")), value, "{secret}");
    }
    assert_eq!(listed(&place.mnt().join("whole/object")), ["value"]);
    assert!(read("whole/object/value").starts_with(br#"{"s":"text\n","n":1.50"#));
}

#[test]
fn keys_that_are_no_file_names_are_escaped_and_the_impossible_are_left_out_and_named() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    let (longest, too_long) = ("k".repeat(255), "k".repeat(256));
    let long_once_escaped = "/".repeat(86);
    let keys = [
        ("a/b", "a%2Fb"),
        (".x", "%2Ex"),
        ("..", "%2E."),
        (".", "%2E"),
        ("@x", "%40x"),
        ("@current", "%40current"),
        (".raw", "%2Eraw"),
        ("%", "%25"),
        ("%2F", "%252F"),
        ("new\nline", "new%0Aline"),
        ("nul\0", "nul%00"),
        ("caf\u{e9}", "caf\u{e9}"),
        ("cafe\u{301}", "cafe\u{301}"),
        ("with space", "with space"),
        ("-rf", "-rf"),
        ("*", "*"),
        ("\u{1f511}", "\u{1f511}"),
        (&longest, &longest),
    ];
    let mut object = serde_json::Map::new();
    for (key, _) in keys {
        object.insert(key.to_owned(), format!("value of {key:?}").into());
    }
    for impossible in ["", &too_long, &long_once_escaped] {
        object.insert(impossible.to_owned(), "not shown".into());
    }
    store.put("odd.json", &serde_json::to_vec(&object).unwrap());
    let _daemon = place.mount(&store.scope("prod"));
    let odd = place.mnt().join("prod/odd");
    let mut expected: Vec<&str> = keys.iter().map(|(_, file)| *file).collect();
    expected.sort_unstable();
    assert_eq!(listed(&odd), expected);
    for (key, file) in keys {
        assert_eq!(std::fs::read_to_string(odd.join(file)).unwrap(), format!("value of {key:?}"), "{file}");
    }
    // Another spelling of the same name is no second file.
    for other in ["%2fb", "a%2fb", "%2E.%2E", "%63af\u{e9}", "%40X", "%", "nosuch%"] {
        assert_eq!(errno(std::fs::metadata(odd.join(other))), libc::ENOENT, "{other}");
    }
    assert_eq!(errno(std::fs::metadata(odd.join(&too_long))), libc::ENAMETOOLONG);
    let whole: serde_json::Value = serde_json::from_slice(&std::fs::read(odd.join(".raw")).unwrap()).unwrap();
    assert_eq!(whole[&too_long], "not shown");
    let status = place.status();
    let left_out = status["scopes"][0]["left_out"].as_array().unwrap();
    let named: Vec<&str> = left_out.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    for impossible in ["", &too_long, &long_once_escaped] {
        assert!(named.contains(&format!("odd: {impossible}").as_str()), "{named:?}");
    }
    assert_eq!(named.len(), 3);
    assert!(!status.to_string().contains("not shown"), "no value in the status");
}

#[test]
fn names_of_secrets_are_escaped_too() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("@home", b"1");
    store.put("100%", b"2");
    store.put("new\nline", b"3");
    store.put("-n", b"4");
    store.put("caf\u{e9}/@in", b"5");
    let _daemon = place.mount(&store.scope("prod"));
    let prod = place.mnt().join("prod");
    assert_eq!(listed(&prod), ["%40home", "-n", "100%25", "caf\u{e9}", "new%0Aline"]);
    for (path, value) in [("%40home", "1"), ("100%25", "2"), ("new%0Aline", "3"), ("-n", "4"), ("caf\u{e9}/%40in", "5")]
    {
        assert_eq!(std::fs::read_to_string(prod.join(path).join("value")).unwrap(), value, "{path}");
    }
}

#[test]
fn a_file_whose_name_is_not_utf8_is_left_out_and_harms_no_neighbour() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("good", b"1");
    std::fs::write(store.path.join(std::ffi::OsStr::from_bytes(b"b\xffd")), "2").unwrap();
    let _daemon = place.mount(&store.scope("prod"));
    assert_eq!(listed(&place.mnt().join("prod")), ["good"]);
    assert_eq!(place.status()["scopes"][0]["left_out"].as_array().unwrap().len(), 1);
    let looked = std::fs::metadata(place.mnt().join("prod").join(std::ffi::OsStr::from_bytes(b"b\xffd")));
    assert_eq!(errno(looked), libc::ENOENT);
}

#[test]
fn a_secret_and_a_folder_of_one_name_share_a_directory_and_a_hidden_key_is_below_current() {
    for listed_first in [true, false] {
        let place = Place::new();
        let store = PlainStore::new(place.path(), "store");
        store.put("db.json", br#"{"creds":"the key","user":"u"}"#);
        store.put("db/creds.json", br#"{"x":"y"}"#);
        let _daemon = place.mount(&store.scope("prod"));
        let db = place.mnt().join("prod/db");
        if listed_first {
            assert_eq!(listed(&place.mnt().join("prod")), ["db"]);
            assert_eq!(listed(&db), ["creds", "user"]);
        }
        assert!(std::fs::metadata(db.join("creds")).unwrap().is_dir());
        assert_eq!(std::fs::read(db.join("creds/x")).unwrap(), b"y");
        assert_eq!(std::fs::read(db.join("user")).unwrap(), b"u");
        assert_eq!(std::fs::read(db.join("@current/creds")).unwrap(), b"the key");
        assert_eq!(listed(&db.join("@current/")), ["creds", "user"]);
        assert_eq!(listed(&db.join("creds")), ["x"]);
    }
}
