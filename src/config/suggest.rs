//! "Did you mean …?"

use std::path::{Path, PathBuf};

/// Names longer than this are not misspelt, they are something else.
const LONGEST: usize = 64;

/// The candidate that `written` was probably meant to be: equal but for case and `-` or `_`, or at most a
/// third of it mistyped.
pub fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.is_empty() || written.len() > LONGEST {
        return None;
    }
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let wanted = plain(written);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(written.len()) / 3).max(1))
        .filter(|(distance, candidate)| *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A file beside `missing` with nearly its name.
pub fn nearest_file(missing: &Path) -> Option<PathBuf> {
    let wanted = missing.file_name()?.to_str()?;
    let folder = match missing.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut names: Vec<String> = folder
        .read_dir()
        .ok()?
        .take(1_000)
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    // A link to nothing is there itself.
    names.retain(|name| name != wanted);
    names.sort();
    nearest(wanted, names.iter().map(String::as_str)).map(|name| missing.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        let keys = ["ttl", "timeout", "max_stale", "list_ttl"];
        assert_eq!(nearest("tll", keys), Some("ttl"));
        assert_eq!(nearest("max-stale", keys), Some("max_stale"));
        assert_eq!(nearest("TIMEOUT", keys), Some("timeout"));
        assert_eq!(nearest("timeuot", keys), Some("timeout"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("", keys), None);
        assert_eq!(nearest(&"t".repeat(1_000_000), keys), None);
    }
}
