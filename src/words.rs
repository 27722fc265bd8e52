//! What is put into the same words in several places, and what others' words are made before a terminal sees them.

use std::fmt::Display;
use std::path::PathBuf;

/// So many of something: `1 secret`, `2 secrets`, `2 misses`.
pub fn counted<T: Display + PartialEq + From<u8>>(count: T, noun: &str) -> String {
    let plural = match noun.ends_with('s') {
        _ if count == T::from(1) => "",
        true => "es",
        false => "s",
    };
    format!("{count} {noun}{plural}")
}

/// Where there is a mount of hushfs, if not where it was looked for.
pub fn one_is_at(places: &[PathBuf]) -> String {
    // Whoever may mount gives the place its name.
    let places: Vec<_> = places.iter().map(|place| escaped(&place.display().to_string())).collect();
    format!("one is at {}", places.join(" and "))
}

/// One line of text that is not ours: names come from providers, answers from whatever is behind a mount, and both may
/// hold what a terminal would obey.
pub fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// The same of a text that has lines.
pub fn escaped_lines(text: &str) -> String {
    text.split('\n').map(escaped).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_something_is_no_more_than_that() {
        let all = [(0_u64, "miss"), (1, "miss"), (2, "miss"), (1, "hit"), (2, "hit")];
        let said = all.map(|(count, noun)| counted(count, noun));
        assert_eq!(said, ["0 misses", "1 miss", "2 misses", "1 hit", "2 hits"]);
    }

    #[test]
    fn every_place_is_named() {
        assert_eq!(one_is_at(&["/a".into()]), "one is at /a");
        assert_eq!(one_is_at(&["/a".into(), "/b".into()]), "one is at /a and /b");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_left_and_lines_only_where_there_may_be_some() {
        let evil = "a\u{1b}[2J\r\u{9b}b\nc";
        assert_eq!(escaped(evil), "a\\u{1b}[2J\\r\\u{9b}b\\nc");
        assert_eq!(escaped_lines(evil), "a\\u{1b}[2J\\r\\u{9b}b\nc");
        assert_eq!(one_is_at(&["/a\u{7}".into()]), "one is at /a\\u{7}");
    }
}
