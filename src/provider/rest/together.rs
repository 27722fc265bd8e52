//! The value of a secret whose provider has keys itself.

use std::io::{self, Write};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use crate::secret::{Secret, SecretWriter};

/// All keys as one JSON object, as the tree's `.json` has them: a value that is not UTF-8 is `{"base64":"…"}`.
pub fn together(values: &[(String, Secret)]) -> io::Result<Secret> {
    let mut out = SecretWriter::with_capacity(values.iter().map(|(key, value)| key.len() + value.len() + 6).sum())?;
    out.push(b"{")?;
    for (at, (key, value)) in values.iter().enumerate() {
        if at > 0 {
            out.push(b",")?;
        }
        serde_json::to_writer(&mut out, key)?;
        out.push(b":")?;
        match std::str::from_utf8(value.expose()) {
            Ok(text) => serde_json::to_writer(&mut out, text)?,
            Err(_) => write!(out, "{{\"base64\":\"{}\"}}", Base64Display::new(value.expose(), &STANDARD))?,
        }
    }
    out.push(b"}")?;
    Ok(out.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &[u8])]) -> Vec<(String, Secret)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), Secret::copy_from(value).unwrap())).collect()
    }

    #[test]
    fn the_object_is_what_the_tree_makes_of_the_same_keys() {
        let pairs: &[(&str, &[u8])] = &[("a\"", b"x\ny\0"), ("b", b""), ("c", b"\xff\xfe")];
        let ours = together(&values(pairs)).unwrap();
        let empty = Secret::copy_from(b"").unwrap();
        let keys = crate::tree::keys::split(&empty, Some(values(pairs)), crate::config::Format::Auto).unwrap();
        assert_eq!(ours.expose(), crate::tree::render::json(&keys).unwrap().expose());
        assert_eq!(together(&[]).unwrap().expose(), b"{}");
    }
}
