//! What is put into the same words in several places.

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
    let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
    format!("one is at {}", places.join(" and "))
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
}
