//! All keys of a secret as one text.

mod dotenv;

use std::io::{self, Write};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use super::keys::Keys;
use crate::secret::{Secret, SecretWriter};

pub use dotenv::env;

/// One JSON object, fields in the order of the keys' files. Every value is a string; one that is not
/// UTF-8 is `{"base64":"…"}` instead, which no other value can look like.
pub fn json(keys: &Keys) -> io::Result<Secret> {
    let mut out = SecretWriter::with_capacity(keys.total_len())?;
    for (at, key) in keys.iter().enumerate() {
        out.push(if at == 0 { b"{" } else { b"," })?;
        serde_json::to_writer(&mut out, &key.name)?;
        out.push(b":")?;
        match std::str::from_utf8(key.value.expose()) {
            Ok(text) => serde_json::to_writer(&mut out, text)?,
            Err(_) => write!(out, "{{\"base64\":\"{}\"}}", Base64Display::new(key.value.expose(), &STANDARD))?,
        }
    }
    out.push(if keys.is_empty() { b"{}" } else { b"}" })?;
    Ok(out.finish())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base64::Engine as _;
    use proptest::prelude::*;

    use super::*;
    use crate::config::Format;
    use crate::tree::keys::split;

    fn rendered(pairs: &BTreeMap<String, Vec<u8>>) -> String {
        let native = pairs.iter().map(|(name, value)| (name.clone(), Secret::copy_from(value).unwrap())).collect();
        let keys = split(&Secret::copy_from(b"").unwrap(), Some(native), Format::Auto).unwrap();
        String::from_utf8(json(&keys).unwrap().expose().to_vec()).unwrap()
    }

    fn pairs(pairs: &[(&str, &[u8])]) -> BTreeMap<String, Vec<u8>> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_vec())).collect()
    }

    #[test]
    fn every_value_is_a_string_but_bytes_that_are_not_text() {
        assert_eq!(rendered(&pairs(&[])), "{}");
        assert_eq!(
            rendered(&pairs(&[("b", b"1"), ("a\"", b"x\ny\0"), ("c", b"\xff\xfe"), ("d", br#"{"base64":"AA=="}"#)])),
            r#"{"a\"":"x\ny\u0000","b":"1","c":{"base64":"//4="},"d":"{\"base64\":\"AA==\"}"}"#
        );
    }

    mod properties {
        use super::*;

        proptest! {
            #[test]
            fn the_values_come_back_from_the_json(
                pairs in prop::collection::btree_map("[^\u{0}]{1,8}", prop::collection::vec(any::<u8>(), 0..64), 0..6)
            ) {
                let read: BTreeMap<String, serde_json::Value> = serde_json::from_str(&rendered(&pairs)).unwrap();
                let read: BTreeMap<String, Vec<u8>> = read
                    .into_iter()
                    .map(|(name, value)| match value {
                        serde_json::Value::String(text) => (name, text.into_bytes()),
                        other => (name, STANDARD.decode(other["base64"].as_str().unwrap()).unwrap()),
                    })
                    .collect();
                prop_assert_eq!(read, pairs);
            }
        }
    }
}
