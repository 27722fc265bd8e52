//! File names: the reversible escaping between what providers call things and path components.

use std::ffi::OsStr;
use std::fmt;

use crate::provider::SecretName;

/// The longest component that Linux file systems and their users accept (`NAME_MAX`), in bytes.
pub(super) const MAX_LEN: usize = 255;

/// One path component: UTF-8, 1 to 255 bytes, and the only spelling of its raw name.
///
/// `/`, `%`, NUL, control characters and a leading `.` or `@` are `%XX`, two upper-case hex digits for
/// each UTF-8 byte. Everything else is kept byte for byte, so two Unicode normal forms are two files.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Box<str>);

impl FileName {
    /// The file name of `raw`; None where there is none, because `raw` is empty or over 255 bytes once
    /// escaped.
    pub fn escape(raw: &str) -> Option<Self> {
        // Escaping only makes a name longer: a huge one is refused before it is copied.
        if raw.is_empty() || raw.len() > MAX_LEN {
            return None;
        }
        let mut escaped = String::with_capacity(raw.len());
        for (at, c) in raw.char_indices() {
            let reserved = at == 0 && matches!(c, '.' | '@');
            if reserved || matches!(c, '/' | '%') || c.is_control() {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    escaped.push('%');
                    escaped.push(hex_digit(byte >> 4));
                    escaped.push(hex_digit(byte & 0xF));
                }
            } else {
                escaped.push(c);
            }
        }
        (escaped.len() <= MAX_LEN).then(|| Self(escaped.into()))
    }

    /// The file name spelled `name`; None unless [`FileName::escape`] spells one so.
    pub fn parse(name: &OsStr) -> Option<Self> {
        let name = name.to_str()?;
        Self::escape(&unescape(name)?).filter(|canonical| canonical.as_str() == name)
    }

    /// As it is in the file system, escapes included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The raw name.
    pub fn unescape(&self) -> String {
        // Every `FileName` was made by `escape`, so there is always a raw name to give back.
        unescape(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The path of a secret below its scope; None where a component cannot be a file name.
///
/// A `/` separates only where both sides of it are not empty, from left to right; any other is part of
/// its component. The unescaped components joined with `/` are therefore always the name again.
pub fn components(name: &SecretName) -> Option<Vec<FileName>> {
    let name = name.as_str();
    let mut found = Vec::new();
    let mut start = 0;
    for (at, _) in name.match_indices('/') {
        if at > start && at + 1 < name.len() {
            found.push(FileName::escape(&name[start..at])?);
            start = at + 1;
        }
    }
    found.push(FileName::escape(&name[start..])?);
    Some(found)
}

/// The secret whose path is `components`; None where no secret has that path.
pub fn secret_name(components: &[FileName]) -> Option<SecretName> {
    let raw: Vec<String> = components.iter().map(FileName::unescape).collect();
    let name = SecretName::new(raw.join("/"))?;
    (self::components(&name)? == components).then_some(name)
}

fn hex_digit(nibble: u8) -> char {
    char::from(match nibble {
        0..=9 => b'0' + nibble,
        _ => b'A' + nibble - 10,
    })
}

/// Decodes every `%XX`; None where a `%` starts no escape or the bytes are not UTF-8.
fn unescape(name: &str) -> Option<String> {
    let mut raw = Vec::with_capacity(name.len());
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        raw.push(if byte == b'%' { hex_value(bytes.next()?)? << 4 | hex_value(bytes.next()?)? } else { byte });
    }
    String::from_utf8(raw).ok()
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use proptest::prelude::*;

    use super::*;

    fn path(name: &str) -> Option<Vec<String>> {
        let name = SecretName::new(name)?;
        Some(components(&name)?.iter().map(FileName::to_string).collect())
    }

    #[test]
    fn special_characters_are_escaped_and_come_back() {
        for (raw, escaped) in [
            (".", "%2E"),
            ("..", "%2E."),
            (".json", "%2Ejson"),
            ("@current", "%40current"),
            ("a.b@c", "a.b@c"),
            ("a/b", "a%2Fb"),
            ("100%", "100%25"),
            ("%2E", "%252E"),
            ("nul\0", "nul%00"),
            ("line\nbreak", "line%0Abreak"),
            ("\u{7f}", "%7F"),
            ("\u{85}", "%C2%85"),
            ("caf\u{e9}", "caf\u{e9}"),
            ("cafe\u{301}", "cafe\u{301}"),
            (" ", " "),
            ("\u{1f511}", "\u{1f511}"),
        ] {
            let name = FileName::escape(raw).unwrap();
            assert_eq!(name.as_str(), escaped);
            assert_eq!(name.unescape(), raw);
            assert_eq!(FileName::parse(OsStr::new(escaped)), Some(name));
        }
    }

    #[test]
    fn a_name_is_at_most_255_bytes_once_escaped() {
        assert!(FileName::escape("").is_none());
        assert!(FileName::escape(&"k".repeat(255)).is_some());
        assert!(FileName::escape(&"k".repeat(256)).is_none());
        assert!(FileName::escape(&"/".repeat(85)).is_some());
        assert!(FileName::escape(&"/".repeat(86)).is_none());
        assert!(FileName::escape(&"k".repeat(1 << 20)).is_none());
    }

    #[test]
    fn only_the_canonical_spelling_is_a_file_name() {
        let long = "k".repeat(256);
        for spelled in [
            "", ".", "..", ".json", "@current", "%2e", "%41", "%", "a%", "a%2", "a%2g", "%+1", "a/b", "a\nb", "a\0b",
            "\u{85}", "%C3%A9", "%FF", "%C2", "a%2E", "a%40", &long,
        ] {
            assert_eq!(FileName::parse(OsStr::new(spelled)), None, "{spelled:?}");
        }
        assert_eq!(FileName::parse(OsStr::from_bytes(b"\xff")), None);
    }

    #[test]
    fn a_slash_separates_only_where_both_sides_are_not_empty() {
        for (name, expected) in [
            ("db", &["db"][..]),
            ("prod/db", &["prod", "db"]),
            ("/prod/db", &["%2Fprod", "db"]),
            ("a//b", &["a", "%2Fb"]),
            ("a///b", &["a", "%2F", "b"]),
            ("a/", &["a%2F"]),
            ("a//", &["a", "%2F"]),
            ("/", &["%2F"]),
            ("//", &["%2F%2F"]),
            ("./..", &["%2E", "%2E."]),
        ] {
            assert_eq!(path(name).unwrap(), expected, "{name:?}");
        }
        assert_eq!(path(&format!("a/{}/b", "k".repeat(256))), None);
    }

    #[test]
    fn a_path_that_no_secret_has_gives_no_name() {
        let file = |raw: &str| FileName::escape(raw).unwrap();
        assert!(secret_name(&[]).is_none());
        // These join to `a/b` and `a//b`, whose paths are spelled differently.
        assert!(secret_name(&[file("a/b")]).is_none());
        assert!(secret_name(&[file("a/"), file("b")]).is_none());
        assert_eq!(secret_name(&[file("a"), file("/b")]).unwrap().as_str(), "a//b");
    }

    /// Names made of what the escaping is about, besides arbitrary ones.
    fn raw_name() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), "[a./@%2EF\n\u{85}\u{e9}]{0,12}"]
    }

    mod properties {
        use super::*;

        proptest! {
            #[test]
            fn every_raw_name_comes_back_from_its_file_name(raw in raw_name()) {
                if let Some(name) = FileName::escape(&raw) {
                    prop_assert_eq!(name.unescape(), &*raw);
                    prop_assert!(!name.as_str().starts_with(['.', '@']));
                    prop_assert!(!name.as_str().contains(|c: char| c == '/' || c.is_control()));
                    prop_assert_eq!(FileName::parse(OsStr::new(name.as_str())), Some(name));
                } else {
                    prop_assert!(raw.is_empty() || raw.len() * 3 > 255);
                }
            }

            #[test]
            fn two_raw_names_are_never_one_file(a in raw_name(), b in raw_name()) {
                if let (Some(file_a), Some(file_b)) = (FileName::escape(&a), FileName::escape(&b)) {
                    prop_assert_eq!(a == b, file_a == file_b);
                }
            }

            #[test]
            fn what_parses_is_spelled_as_it_would_be_escaped(spelled in raw_name()) {
                if let Some(name) = FileName::parse(OsStr::new(&spelled)) {
                    prop_assert_eq!(name.as_str(), &*spelled);
                    prop_assert_eq!(FileName::escape(&name.unescape()), Some(name));
                }
            }

            #[test]
            fn every_secret_name_comes_back_from_its_path(raw in prop_oneof![raw_name(), "[a/]{1,10}"]) {
                if let Some((name, path)) = SecretName::new(raw).and_then(|name| Some((name.clone(), components(&name)?))) {
                    prop_assert_eq!(secret_name(&path), Some(name));
                }
            }

            #[test]
            fn a_path_has_at_most_one_secret(raw in prop::collection::vec("[a/.]{1,4}", 0..4)) {
                let path: Vec<FileName> = raw.iter().map(|raw| FileName::escape(raw).unwrap()).collect();
                if let Some(name) = secret_name(&path) {
                    prop_assert_eq!(components(&name), Some(path));
                }
            }
        }
    }
}
