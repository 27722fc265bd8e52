//! Variables of the environment.

use std::path::{Path, PathBuf};

/// One that is set and not empty.
pub fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// One that holds a path: absolute, from the folder where the daemon was started, or from home, as AWS takes `~/`.
pub fn path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from)?;
    match path.strip_prefix("~") {
        Ok(below) => at_home(below),
        Err(_) => std::path::absolute(path).ok(),
    }
}

/// A path below the user's home.
pub fn at_home(below: impl AsRef<Path>) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute())?;
    Some(home.join(below))
}

/// A file in a folder of the user's home, if that folder is there: the nearest one above would be all of the home.
pub fn in_folder_at_home(below: &str) -> Option<PathBuf> {
    at_home(below).filter(|file| file.parent().is_some_and(Path::is_dir))
}

/// The values of those whose names begin so.
pub fn beginning(prefix: &str) -> Vec<String> {
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    variables.filter(|(name, _)| name.starts_with(prefix)).filter_map(|(_, value)| value.into_string().ok()).collect()
}
