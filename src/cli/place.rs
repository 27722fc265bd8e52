//! The place in a mount that a command is about.

use std::path::{Path, PathBuf};

use super::{Failure, Status, configuration};
use crate::config::Source;
use crate::fs::located::locate;

/// A mount, and the names in it.
pub struct Place {
    pub mountpoint: PathBuf,
    /// From the mountpoint on.
    pub names: Vec<String>,
}

impl Place {
    /// The mount that the path is in, whether or not the path is there.
    pub fn of(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let located = locate(path)
            .map_err(|error| Failure::new(Status::NoInput, format!("{shown} cannot be looked up: {error}")))?;
        let Some(located) = located else {
            let why = format!("{shown} is in no hushfs mount; name a path below one, or start it with: hushfs mount");
            return Err(Failure::new(Status::NoInput, why));
        };
        let names: Result<Vec<String>, _> = located.names.into_iter().map(|name| name.into_string()).collect();
        let names = names.map_err(|_| {
            let why = format!("{shown} holds bytes that are not UTF-8: no file here is ever called so");
            Failure::new(Status::NoInput, why)
        })?;
        Ok(Self { mountpoint: located.mountpoint, names })
    }

    /// As [`Place::of`]; without a path the whole of a mount, which is that at the configured mountpoint unless one
    /// is named.
    pub fn of_all(path: Option<&Path>, mountpoint: Option<PathBuf>, source: &Source) -> Result<Self, Failure> {
        match (path, mountpoint) {
            (Some(path), _) => Self::of(path),
            (None, Some(mountpoint)) => Ok(Self { mountpoint, names: Vec::new() }),
            (None, None) => Ok(Self { mountpoint: configuration(source)?.mountpoint, names: Vec::new() }),
        }
    }
}
