//! What globs match, held against their definition.

use proptest::prelude::*;

use super::glob::{Glob, GlobError};
use super::path_glob::PathGlob;

fn path(glob: &str, path: &str) -> bool {
    PathGlob::parse(glob).unwrap().matches(path.split('/').filter(|part| !part.is_empty()))
}

/// The meaning of `*` and `?`, by the book.
fn by_definition(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => (0..=text.len()).any(|used| by_definition(rest, &text[used..])),
        (Some((p, pattern)), Some((c, text))) => (*p == '?' || p == c) && by_definition(pattern, text),
        _ => false,
    }
}

fn path_by_definition(pattern: &[&str], text: &[&str]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => (0..=text.len()).any(|used| path_by_definition(rest, &text[used..])),
        (Some((p, pattern)), Some((c, text))) => {
            by_definition(&p.chars().collect::<Vec<_>>(), &c.chars().collect::<Vec<_>>())
                && path_by_definition(pattern, text)
        }
        _ => false,
    }
}

#[test]
fn a_star_stays_in_its_component_and_two_do_not() {
    assert!(path("prod/db-*", "prod/db-1"));
    assert!(path("prod/db-*", "prod/db-"));
    assert!(!path("prod/db-*", "prod/db-1/x"));
    assert!(path("prod/airflow/**", "prod/airflow"));
    assert!(path("prod/airflow/**", "prod/airflow/a/b/c"));
    assert!(!path("prod/airflow/**", "prod/airflow2"));
    assert!(path("**/creds", "creds") && path("**/creds", "a/b/creds"));
    assert!(path("?/b", "é/b"));
}

#[test]
fn what_other_globs_mean_is_refused_and_not_taken_literally() {
    for (text, error) in [
        ("", GlobError::Empty),
        ("/a", GlobError::EmptyComponent),
        ("a//b", GlobError::EmptyComponent),
        ("a/", GlobError::EmptyComponent),
        ("a**", GlobError::DeepInComponent),
        ("a/***", GlobError::DeepInComponent),
        ("db[12]", GlobError::Unsupported('[')),
        ("{a,b}", GlobError::Unsupported('{')),
        ("a\\*", GlobError::Unsupported('\\')),
        ("a\nb", GlobError::Control),
    ] {
        assert_eq!(PathGlob::parse(text), Err(error), "{text:?}");
    }
    assert_eq!(PathGlob::parse(&"a/".repeat(64)[..127]), Err(GlobError::TooManyComponents));
}

#[test]
fn a_glob_made_to_be_slow_is_not() {
    let glob = Glob::parse(&format!("{}b", "a*".repeat(100))).unwrap();
    assert!(!glob.matches(&"a".repeat(10_000)));
    assert!(!path(&["**/a"; 31].join("/"), &"a/".repeat(30)));
    assert!(path(&["**/a"; 31].join("/"), &"a/".repeat(31)));
}

mod properties {
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_glob_matches_what_it_is_defined_to(
            pattern in "([*]?[ab?]){0,4}[*]?".prop_filter("a glob is not empty", |it| !it.is_empty()),
            text in "[ab]{0,6}",
        ) {
            let expected = by_definition(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
            prop_assert_eq!(Glob::parse(&pattern).unwrap().matches(&text), expected);
        }

        #[test]
        fn a_path_glob_matches_what_it_is_defined_to(
            pattern in prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "**", "a*", "?"]), 1..6),
            text in prop::collection::vec(prop::sample::select(vec!["a", "b", "ab"]), 0..6),
        ) {
            let glob = PathGlob::parse(&pattern.join("/")).unwrap();
            prop_assert_eq!(glob.matches(text.iter().copied()), path_by_definition(&pattern, &text));
            let above = (0..=text.len()).any(|end| path_by_definition(&pattern, &text[..end]));
            prop_assert_eq!(glob.matches_or_above(text.iter().copied()), above);
            let spelled: String = text.iter().flat_map(|component| ["/", component]).collect();
            prop_assert!(!above || spelled.starts_with(&glob.prefix()), "{} and {}", glob.prefix(), spelled);
        }
    }
}
