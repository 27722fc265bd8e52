//! An answer that is a JSON object.

use serde::Deserialize;

/// None where it is anything else: serde would take an empty list for an object whose fields may all be left out, and
/// so for a listing of nothing.
pub fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    let is_object = body.trim_ascii_start().first() == Some(&b'{');
    // The parser's own error might quote a value.
    is_object.then(|| serde_json::from_slice(body).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Names {
        #[serde(default)]
        names: Vec<String>,
    }

    #[test]
    fn what_is_no_object_is_not_taken_for_an_empty_one() {
        assert_eq!(object::<Names>(b" {\"names\":[\"a\"]}\n").map(|it| it.names.len()), Some(1));
        assert_eq!(object::<Names>(b"{}").map(|it| it.names.len()), Some(0));
        for body in ["", "[]", "[[]]", "null", "{} {}", "{\"names\":{}}", "<html>"] {
            assert!(object::<Names>(body.as_bytes()).is_none(), "{body}");
        }
    }
}
