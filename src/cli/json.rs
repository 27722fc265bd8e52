//! What commands print for machines, which a terminal may show all the same.

use serde::Serialize;

use super::{Failure, Status};

/// On several lines, the last one ended.
pub fn pretty(value: &impl Serialize) -> Result<String, Failure> {
    shown(serde_json::to_string_pretty(value))
}

/// On one line, which is ended.
pub fn line(value: &impl Serialize) -> Result<String, Failure> {
    shown(serde_json::to_string(value))
}

fn shown(json: serde_json::Result<String>) -> Result<String, Failure> {
    let json = json.map_err(|error| Failure::new(Status::Software, error.to_string()))?;
    let mut shown = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        match c {
            // JSON leaves these as they are, and terminals obey some. They can only be in a string.
            '\u{7f}'..='\u{9f}' => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => shown.push(c),
        }
    }
    shown.push('\n');
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys_and_it_means_the_same() {
        let evil = "a\u{1b}]0;b\u{7}\u{7f}\u{9b}2J\r\n\u{a0}é";
        for json in [pretty(&[evil]).unwrap(), line(&[evil]).unwrap()] {
            assert!(json.ends_with("]\n") && !json.contains(|c: char| c.is_control() && c != '\n'), "{json:?}");
            assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [evil]);
        }
    }
}
