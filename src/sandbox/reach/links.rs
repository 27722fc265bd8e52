//! Links on the way to a file, which are led to another folder when a release is changed: `current -> releases/1`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::existing;

/// As many as the kernel follows.
const MOST: usize = 40;

/// The folders in which the targets of links on this path lie, for the next target is beside the last one. Those of links
/// right below the root directory are left out: they are the host's layout, and lead to the same place for good.
pub fn neighbours(path: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    let mut path = path.to_owned();
    for _ in 0..MOST {
        let Some((link, target)) = first_link(&path) else { break };
        let Some(folder) = link.parent() else { break };
        let target = folder.join(target);
        if folder != Path::new("/") {
            folders.extend(target.parent().and_then(existing));
        }
        path = match path.strip_prefix(&link) {
            Ok(rest) if rest.as_os_str().is_empty() => target,
            Ok(rest) => target.join(rest),
            Err(_) => break,
        };
    }
    folders
}

/// The first on the way from the root directory, and what it says.
fn first_link(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let on_the_way: Vec<&Path> = path.ancestors().collect();
    on_the_way.into_iter().rev().find_map(|path| Some((path.to_owned(), std::fs::read_link(path).ok()?)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_a_link_may_lead_to_next_is_beside_what_it_leads_to_now() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("data/releases/1/etc")).unwrap();
        std::fs::create_dir(base.join("app")).unwrap();
        symlink("../data/releases/1", base.join("app/current")).unwrap();
        symlink("current", base.join("app/stable")).unwrap();
        assert_eq!(neighbours(&base.join("app/current/etc/ca.pem")), [base.join("data/releases")].into());
        let both = [base.join("app"), base.join("data/releases")];
        assert_eq!(neighbours(&base.join("app/stable/etc/ca.pem")), both.into());
        assert!(neighbours(&base.join("data/releases/1/etc/ca.pem")).is_empty());
        assert!(neighbours(Path::new("/var/run/x")).iter().all(|path| path != Path::new("/")));
    }

    #[test]
    fn links_that_lead_in_a_circle_come_to_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        symlink("b", base.join("a")).unwrap();
        symlink("a", base.join("b")).unwrap();
        assert_eq!(neighbours(&base.join("a/file")), [base].into());
    }
}
