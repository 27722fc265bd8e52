//! Which mount a path is in, and where in it: for commands that take a path.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::mount::TYPE;
use super::mountinfo;

/// A place in a mount of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Where the whole of it is mounted.
    pub mountpoint: PathBuf,
    /// The names of the path, from the root of the file system on: of a bind mount more than below the mountpoint.
    pub names: Vec<OsString>,
}

/// Where mounts of ours are.
pub fn mounts() -> io::Result<Vec<PathBuf>> {
    mountinfo::of_kind(TYPE.as_bytes())
}

/// Looks the path up as far as it is outside of the mount, and takes the rest by its spelling: nothing is asked of
/// the daemon. None where it is in no mount of ours.
pub fn locate(path: &Path) -> io::Result<Option<Located>> {
    let mut at = PathBuf::from("/");
    let absolute = std::path::absolute(path)?;
    let mut found: Option<Located> = None;
    for component in absolute.components() {
        match component {
            Component::RootDir | Component::Prefix(_) | Component::CurDir => continue,
            Component::ParentDir => {
                at.pop();
                let popped = found.as_mut().map(|located| located.names.pop().is_some());
                if popped == Some(false) {
                    found = None;
                }
                continue;
            }
            Component::Normal(name) => {
                if let Some(located) = &mut found {
                    located.names.push(name.to_owned());
                    continue;
                }
                at.push(name);
            }
        }
        // A link may lead into a mount, or out of everything that was passed so far.
        at = match std::fs::symlink_metadata(&at) {
            Ok(metadata) if metadata.is_symlink() => match locate(&target(&at)?)? {
                Some(located) => {
                    found = Some(located);
                    continue;
                }
                None => std::fs::canonicalize(&at)?,
            },
            _ => at,
        };
        if let Some((point, mounted)) = mountinfo::holding(&at)?
            && mounted.kind == TYPE.as_bytes()
            && point == at
        {
            let root = mounted.root.components().filter_map(|component| match component {
                Component::Normal(name) => Some(name.to_owned()),
                _ => None,
            });
            // Only the file system's root says where its daemon is.
            let mountpoint = mountinfo::whole(&mounted.device)?.unwrap_or(point);
            found = Some(Located { mountpoint, names: root.collect() });
        }
    }
    Ok(found)
}

fn target(link: &Path) -> io::Result<PathBuf> {
    let target = std::fs::read_link(link)?;
    Ok(link.parent().map_or_else(|| target.clone(), |parent| parent.join(&target)))
}
