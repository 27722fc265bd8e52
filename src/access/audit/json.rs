//! One line of JSON, safe to look at.
//!
//! Besides what JSON asks for, every character is escaped that a terminal obeys or that hides or reorders
//! the text around it: names are chosen by whoever may write to the provider, or merely asks for them.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use super::record::{Event, Lost, Record, VERSION};

#[derive(Serialize)]
struct Line<T> {
    v: u32,
    event: &'static str,
    #[serde(flatten)]
    body: T,
}

/// The event as one line, without its end.
pub fn of(event: &Event) -> Vec<u8> {
    match event {
        Event::Decision(record) => decision(record),
        Event::Lost(lost) => self::lost(lost),
    }
}

fn decision(record: &Record) -> Vec<u8> {
    line(&Line { v: VERSION, event: "decision", body: record })
}

fn lost(lost: &Lost) -> Vec<u8> {
    line(&Line { v: VERSION, event: "lost", body: lost })
}

fn line(line: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::with_capacity(512);
    let written = line.serialize(&mut Serializer::with_formatter(&mut text, Inert));
    debug_assert!(written.is_ok(), "strings and numbers always become JSON in memory");
    text
}

struct Inert;

impl Formatter for Inert {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, character)) = rest.char_indices().find(|(_, character)| is_active(*character)) {
            let (before, from) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = from.get(character.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Control characters, line and paragraph separators, and what changes the direction of a text or has no width.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::access::audit::test_sinks::record;

    fn with_path(path: &str) -> String {
        let record = Record { path: path.to_owned(), ..record("") };
        String::from_utf8(of(&Event::Decision(Box::new(record)))).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_a_path_holds_it_is_one_line_and_reads_back(path in any::<String>()) {
            let line = with_path(&path);
            prop_assert!(!line.contains(is_active), "{:?}", line);
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(value["path"].as_str(), Some(path.as_str()));
        }
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_written() {
        let line = with_path("a\u{9b}31m\u{1b}[2J\u{202e}\n\u{7f}\u{e0041}b");
        assert!(line.contains(r#""a\u009b31m\u001b[2J\u202e\n\u007f\udb40\udc41b""#), "{line}");
    }
}
