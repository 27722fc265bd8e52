use std::ffi::OsStr;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn secret(bytes: impl AsRef<[u8]>) -> Secret {
    Secret::copy_from(bytes.as_ref()).unwrap()
}

fn shown(keys: &Keys) -> Vec<(&str, &[u8])> {
    keys.iter().map(|key| (key.file.as_str(), key.value.expose())).collect()
}

fn auto(raw: impl AsRef<[u8]>) -> Keys {
    split(&secret(raw), None, Format::Auto).ok().unwrap()
}

fn is_whole(raw: &[u8]) -> bool {
    shown(&auto(raw)) == [("value", raw)]
}

#[test]
fn each_field_is_a_file_with_its_value_as_written() {
    let keys = auto(
        br#" { "s": "text", "e": "", "u": "caf\u00e9 \ud83d\udd11 \" \\ \n", "n1": 1.0, "n2": 1e400, "n3": -0,
        "n4": 12345678901234567890123, "t": true, "f" : false, "z": null } "#,
    );
    let expected: &[(&str, &[u8])] = &[
        ("e", b""),
        ("f", b"false"),
        ("n1", b"1.0"),
        ("n2", b"1e400"),
        ("n3", b"-0"),
        ("n4", b"12345678901234567890123"),
        ("s", b"text"),
        ("t", b"true"),
        ("u", "caf\u{e9} \u{1f511} \" \\ \n".as_bytes()),
        ("z", b""),
    ];
    assert_eq!(shown(&keys), expected);
    assert_eq!(keys.left_out(), []);
    assert_eq!(keys.total_len(), expected.iter().map(|(_, value)| value.len()).sum::<usize>());
}

#[test]
fn nested_values_lose_only_the_white_space_outside_strings() {
    let keys =
        auto(b"{\"a\": [ 1.0 ,\r\n\t\"a b\\\" c\\\\\" , { } ], \"o\": { \"k\" : \"\\u00e9 \\/\" , \"k\": 1E5 } }");
    assert_eq!(shown(&keys), [("a", &br#"[1.0,"a b\" c\\",{}]"#[..]), ("o", br#"{"k":"\u00e9 \/","k":1E5}"#),]);
}

#[test]
fn an_empty_object_has_no_files() {
    assert!(auto(b"{}").is_empty());
    assert!(auto(b" { }\n").is_empty());
}

#[test]
fn what_is_not_one_json_object_is_one_file_with_the_exact_bytes() {
    let huge = vec![b'['; 1 << 20];
    for raw in [
        &b""[..],
        b" ",
        b"text\n",
        b"null",
        b"\"{}\"",
        b"[{}]",
        b"12",
        b"{",
        b"{\"a\":1",
        b"{\"a\":1,}",
        b"{\"a\":}",
        b"{\"a\":1}x",
        b"{} {}",
        b"{\"a\":01}",
        b"{\"a\":.5}",
        b"{\"a\":NaN}",
        b"{a:1}",
        b"{'a':1}",
        b"\xef\xbb\xbf{}",
        b"{\"a\":\"\xff\"}",
        b"\0",
        b"{\"a\":\"\n\"}",
        b"{\"a\":\"\\x41\"}",
        b"-----BEGIN KEY-----\n",
        &huge,
    ] {
        assert!(is_whole(raw), "{:?}", String::from_utf8_lossy(&raw[..raw.len().min(40)]));
    }
}

#[test]
fn half_a_surrogate_pair_is_not_json_wherever_it_is() {
    for (escapes, valid) in [
        (r"\ud83d\udd11", true),
        (r"\uD83D\uDD11\uD83D\uDD11", true),
        (r"\\ud83d", true),
        (r"\ud83d", false),
        (r"\udd11", false),
        (r"\udd11\ud83d", false),
        (r"\ud83dx\udd11", false),
        (r"\ud83d\n\udd11", false),
        (r"\ud83d\ud83d\udd11", false),
        (r"\\\ud83d", false),
    ] {
        for raw in [
            format!("{{\"a\":\"{escapes}\"}}"),
            format!("{{\"a\":[\"{escapes}\"]}}"),
            format!("{{\"{escapes}\":1}}"),
            format!("{{\"a\":{{\"{escapes}\":1}}}}"),
            format!("{{\"a\":[\"{escapes}\",\"\\ud83d\\udd11\"]}}"),
        ] {
            assert_eq!(serde_json::from_str::<Value>(&raw).is_ok(), valid, "{raw}");
            assert_eq!(!is_whole(raw.as_bytes()), valid, "{raw}");
        }
    }
}

#[test]
fn the_last_of_a_repeated_field_is_shown_and_named() {
    let keys = auto(br#"{"a":1,"b":2,"\u0061":3,"a":4,"":5,"":6}"#);
    assert_eq!(shown(&keys), [("a", &b"4"[..]), ("b", b"2")]);
    let names: Vec<&str> = keys.left_out().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["", "", "a"]);
}

#[test]
fn nesting_as_deep_as_it_likes_takes_no_stack() {
    for (open, close) in [("[", "]"), ("{\"k\":", "}")] {
        let inner = if open == "[" { "" } else { "1" };
        let nested = format!("{}{inner}{}", open.repeat(100_000), close.repeat(100_000));
        let keys = auto(format!("{{\"deep\": {nested}}}"));
        assert!(shown(&keys) == [("deep", nested.as_bytes())]);
    }
}

#[test]
fn a_huge_field_is_shown_and_a_truncated_one_is_not_json() {
    let value = "x\\n".repeat(1 << 19);
    let raw = format!("{{\"a\":\"{value}\"}}");
    assert_eq!(auto(&raw).total_len(), 1 << 20);
    assert!(is_whole(&raw.as_bytes()[..raw.len() - 1]));
}

#[test]
fn names_that_cannot_be_files_do_not_break_their_neighbours() {
    let long = "k".repeat(300);
    let raw = serde_json::json!({
        "": "1", ".": "2", "..": "3", "a/b": "4", "nul\0": "5", "line\nbreak": "6", &*long: "7",
        "caf\u{e9}": "8", "cafe\u{301}": "9", "@current": "10", "%41": "11", "A": "12",
    });
    let keys = auto(raw.to_string());
    assert_eq!(
        shown(&keys),
        [
            ("%2541", &b"11"[..]),
            ("%2E", b"2"),
            ("%2E.", b"3"),
            ("%40current", b"10"),
            ("A", b"12"),
            ("a%2Fb", b"4"),
            ("cafe\u{301}", b"9"),
            ("caf\u{e9}", b"8"),
            ("line%0Abreak", b"6"),
            ("nul%00", b"5"),
        ]
    );
    let names: Vec<&str> = keys.left_out().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["", &long]);
    for key in &keys {
        assert_eq!(keys.get(&key.file).unwrap().name, key.name);
    }
    assert!(keys.get(&FileName::parse(OsStr::new("B")).unwrap()).is_none());
}

#[test]
fn a_providers_own_keys_go_before_what_the_value_looks_like() {
    for format in [Format::Auto, Format::Json] {
        let native = vec![
            ("b".to_owned(), secret("1")),
            ("a".to_owned(), secret("2")),
            ("b".to_owned(), secret([0xff])),
            (String::new(), secret("3")),
        ];
        let keys = split(&secret(r#"{"x":1}"#), Some(native), format).ok().unwrap();
        assert_eq!(shown(&keys), [("a", &b"2"[..]), ("b", &[0xff])]);
        assert_eq!(keys.left_out().len(), 2);
    }
}

#[test]
fn raw_is_always_one_file() {
    for native in [None, Some(vec![("a".to_owned(), secret("1"))])] {
        let keys = split(&secret(r#"{"x":1}"#), native, Format::Raw).ok().unwrap();
        assert_eq!(shown(&keys), [("value", &br#"{"x":1}"#[..])]);
    }
}

#[test]
fn a_value_that_should_be_a_json_object_and_is_not_is_an_error_without_the_value() {
    for raw in [
        &b"hunter2"[..],
        b"\"hunter2\"",
        b"[\"hunter2\"]",
        b"{\"a\":\"hunter2\"",
        b"{\"a\":\"hunter2\\ud800\"}",
        b"hunter2\xff",
        b"42",
        b"",
    ] {
        let error = split(&secret(raw), None, Format::Json).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.detail.starts_with("the value is not a JSON object"), "{error}");
        assert!(!error.detail.contains("hunter2") && !error.detail.contains("42"), "{error}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![any::<String>(), "[\"\\\\ \n\t{}\\[\\]:,a]{0,12}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

mod properties {
    use super::*;

    proptest! {
        #[test]
        fn a_split_object_says_what_serde_json_says(
            object in prop::collection::btree_map("[^\u{0}]{0,6}", any_json(), 0..5),
            pretty in any::<bool>(),
        ) {
            let value: Value = object.clone().into_iter().collect();
            let text = if pretty { format!("{value:#}") } else { value.to_string() };
            let keys = auto(&text);
            let mut expected: Vec<(String, Vec<u8>)> = object
                .into_iter()
                .filter(|(name, _)| !name.is_empty())
                .map(|(name, value)| (FileName::escape(&name).unwrap().to_string(), match value {
                    Value::Null => Vec::new(),
                    Value::String(text) => text.into_bytes(),
                    other => other.to_string().into_bytes(),
                }))
                .collect();
            expected.sort();
            let expected: Vec<(&str, &[u8])> = expected.iter().map(|(name, value)| (name.as_str(), &value[..])).collect();
            prop_assert_eq!(shown(&keys), expected);
        }

        #[test]
        fn what_serde_json_takes_for_an_object_is_split_and_nothing_else(raw in "[{}\\[\\]\":,a1e.\\\\ud83x\n-]{0,24}") {
            let object = matches!(serde_json::from_str::<Value>(&raw), Ok(Value::Object(_)));
            // `Value` also refuses numbers out of range, which are kept here as they are written.
            prop_assert!(object != is_whole(raw.as_bytes()) || raw.contains('e'));
        }

        #[test]
        fn any_bytes_are_split_without_a_panic(raw in prop::collection::vec(any::<u8>(), 0..200)) {
            let keys = auto(&raw);
            prop_assert!(keys.left_out().is_empty());
        }
    }
}
