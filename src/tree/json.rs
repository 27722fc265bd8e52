//! JSON objects as the provider spelled them: fields are borrowed from the text, not rebuilt from a
//! parsed tree, so a number keeps its digits and a nested value its order.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::secret::{Secret, SecretWriter};

/// The top-level fields of a JSON object, the last of each name.
pub(super) struct Object<'a> {
    pub fields: BTreeMap<String, Field<'a>>,
}

/// One field's value as it is written.
pub(super) struct Field<'a> {
    pub text: &'a RawValue,
    /// Did an earlier field have the same name?
    pub repeated: bool,
}

/// Why a text is not one JSON object. Never holds any of the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotAnObject {
    NotUtf8,
    NotJson { line: usize, column: usize },
    OtherType,
    LoneSurrogate,
}

impl fmt::Display for NotAnObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("it is not UTF-8"),
            Self::NotJson { line, column } => write!(f, "it stops being JSON at line {line}, column {column}"),
            Self::OtherType => f.write_str("it is JSON of another type"),
            Self::LoneSurrogate => f.write_str("a string in it has half of a surrogate pair"),
        }
    }
}

/// Reads `bytes` as one JSON object. Takes stack that does not depend on how deep it nests.
pub(super) fn object(bytes: &[u8]) -> Result<Object<'_>, NotAnObject> {
    let text = std::str::from_utf8(bytes).map_err(|_| NotAnObject::NotUtf8)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // serde_json's own message quotes the value where the type is wrong; only the place is taken from it.
    let object = Object::deserialize(&mut deserializer).and_then(|object| deserializer.end().map(|()| object));
    let object = object.map_err(|error| match error.classify() {
        serde_json::error::Category::Data => NotAnObject::OtherType,
        _ => NotAnObject::NotJson { line: error.line(), column: error.column() },
    })?;
    if has_lone_surrogate(text) {
        return Err(NotAnObject::LoneSurrogate);
    }
    Ok(object)
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, text)) = map.next_entry::<String, &'de RawValue>()? {
                    let field = fields.entry(name);
                    let repeated = matches!(field, std::collections::btree_map::Entry::Occupied(_));
                    field.insert_entry(Field { text, repeated });
                }
                Ok(Object { fields })
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// What the file of a field holds: a string's bytes, nothing for null, numbers and booleans as written,
/// arrays and objects as compact text.
pub(super) fn contents(field: &RawValue) -> io::Result<Secret> {
    let text = field.get();
    match text.as_bytes().first() {
        Some(b'"') => match text.get(1..text.len().saturating_sub(1)) {
            Some(inner) if !inner.contains('\\') => Secret::copy_from(inner.as_bytes()),
            _ => Secret::from_string(serde_json::from_str::<String>(text)?),
        },
        Some(b'n') => Secret::copy_from(b""),
        Some(b'[' | b'{') => compact(text),
        _ => Secret::copy_from(text.as_bytes()),
    }
}

/// `text`, which is valid JSON, without the white space outside its strings.
fn compact(text: &str) -> io::Result<Secret> {
    let mut writer = SecretWriter::with_capacity(pieces(text).map(str::len).sum())?;
    pieces(text).try_for_each(|piece| writer.push(piece.as_bytes()))?;
    Ok(writer.finish())
}

/// The stretches of `text` between white space outside strings.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut string = StringTracker::default();
    text.split(move |c: char| !string.step(c) && matches!(c, ' ' | '\t' | '\n' | '\r'))
}

/// Follows valid JSON text character by character.
#[derive(Default)]
struct StringTracker {
    inside: bool,
    after_backslash: bool,
}

impl StringTracker {
    /// Takes the next character; was the place before it inside a string?
    fn step(&mut self, c: char) -> bool {
        let was_inside = self.inside;
        if self.after_backslash {
            self.after_backslash = false;
        } else if c == '"' {
            self.inside = !self.inside;
        } else {
            self.after_backslash = self.inside && c == '\\';
        }
        was_inside
    }
}

/// Does a `\u` escape in `text`, which is valid JSON, stand for half of a UTF-16 pair? serde_json checks
/// that only in strings that it decodes, not in those that a `RawValue` skips.
fn has_lone_surrogate(text: &str) -> bool {
    let mut rest = text;
    let mut high = false;
    // A backslash is only ever in a string, and always starts an escape.
    while let Some(at) = rest.find('\\') {
        let unit = utf16_escape(&rest[at..]);
        let low = matches!(unit, Some(0xDC00..=0xDFFF));
        // A low half is right only straight after a high one, and nothing else is right there.
        if low != (high && at == 0) || (high && !low) {
            return true;
        }
        high = matches!(unit, Some(0xD800..=0xDBFF));
        rest = rest.get(at + if unit.is_some() { 6 } else { 2 }..).unwrap_or_default();
    }
    high
}

/// The code unit of an escape such as `\u00e9` at the start of `text`.
fn utf16_escape(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}
