//! The top-level fields of a JSON object, in their order and exactly as they are written.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

pub struct Object<'a> {
    fields: Vec<(String, Cow<'a, str>)>,
}

impl<'a> Object<'a> {
    pub fn empty() -> Self {
        Self { fields: Vec::new() }
    }

    /// None where `text` is not one JSON object.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// Changes a field where it stands, or adds it at the end; of equal names the last. `value` is JSON.
    pub fn set(&mut self, key: &str, value: String) {
        match self.fields.iter_mut().rev().find(|(name, _)| name == key) {
            Some((_, old)) => *old = Cow::Owned(value),
            None => self.fields.push((key.to_owned(), Cow::Owned(value))),
        }
    }

    /// Was there such a field?
    pub fn remove(&mut self, key: &str) -> bool {
        let before = self.fields.len();
        self.fields.retain(|(name, _)| name != key);
        self.fields.len() < before
    }

    /// One field a line.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::from(b"{");
        for (i, (name, value)) in self.fields.iter().enumerate() {
            json.extend(if i == 0 { &b"\n  "[..] } else { b",\n  " });
            json.extend(string(name).as_bytes());
            json.extend(b": ");
            json.extend(value.as_bytes());
        }
        json.extend(b"\n}\n");
        json
    }
}

/// Text as a JSON string.
pub fn string(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    fields.push((name, Cow::Borrowed(value.get())));
                }
                Ok(Object { fields })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_fields_keep_their_place_and_their_writing() {
        let mut object = Object::parse(br#"{"z": 1.50, "a": {"x" : [1]}, "b": "\u0041"}"#).unwrap();
        object.set("a", string("q\"\n"));
        object.set("new", "true".to_owned());
        assert_eq!(
            String::from_utf8(object.to_json()).unwrap(),
            "{\n  \"z\": 1.50,\n  \"a\": \"q\\\"\\n\",\n  \"b\": \"\\u0041\",\n  \"new\": true\n}\n"
        );
        assert!(object.remove("z") && !object.remove("z"));
    }

    #[test]
    fn what_is_no_object_is_told() {
        for text in ["", "[]", "1", "{", "{} {}", "\u{feff}{}"] {
            assert!(Object::parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
