//! A scope's listing, arranged as directories.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use super::name;
use super::path::SecretPath;
use crate::cache::Remembered;
use crate::provider::{Known, Listing, Presence};

/// What a directory holds by one name.
#[derive(Debug, Clone, Default)]
pub struct Child {
    /// There is a secret of this name.
    pub is_secret: bool,
    /// There are secrets below it.
    pub has_children: bool,
    /// When the secret's value last changed.
    pub changed: Option<SystemTime>,
}

/// Directories by their escaped path (the scope itself is ""), and in each its children by escaped name.
#[derive(Debug, Default)]
pub struct Index {
    directories: HashMap<String, BTreeMap<String, Child>>,
    /// Secrets in the listing.
    pub secrets: usize,
    /// What could not be shown, and why.
    pub left_out: Vec<(String, String)>,
}

impl Index {
    pub fn of(listing: Listing) -> Self {
        let mut index = Self { left_out: listing.left_out, ..Self::default() };
        for listed in listing.secrets {
            let Some(components) = name::components(&listed.name) else {
                let why = "cannot be file names: a part is over 255 bytes once escaped";
                index.left_out.push((listed.name.to_string(), why.to_owned()));
                continue;
            };
            index.secrets += 1;
            let mut directory = String::new();
            let last = components.len() - 1;
            for (depth, component) in components.iter().enumerate() {
                let children = index.directories.entry(directory.clone()).or_default();
                let child = children.entry(component.as_str().to_owned()).or_default();
                if depth == last {
                    child.is_secret = true;
                    child.changed = listed.changed;
                } else {
                    child.has_children = true;
                }
                if !directory.is_empty() {
                    directory.push('/');
                }
                directory.push_str(component.as_str());
            }
        }
        index
    }

    /// The children of a directory (None: of the scope itself), in order of their names.
    pub fn children(&self, directory: Option<&SecretPath>) -> impl Iterator<Item = (&str, &Child)> {
        let children = self.directories.get(directory.map_or("", SecretPath::as_str));
        children.into_iter().flatten().map(|(name, child)| (name.as_str(), child))
    }

    pub fn find(&self, path: &SecretPath) -> Option<&Child> {
        let (directory, name) = path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()));
        self.directories.get(directory)?.get(name)
    }

    /// Every secret, in the order of their paths.
    pub fn secret_paths(&self) -> Vec<SecretPath> {
        let mut paths = Vec::with_capacity(self.secrets);
        for (directory, children) in &self.directories {
            for name in children.iter().filter(|(_, child)| child.is_secret).map(|(name, _)| name) {
                let spelled = if directory.is_empty() { name.clone() } else { format!("{directory}/{name}") };
                paths.extend(SecretPath::parse(&spelled));
            }
        }
        paths.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        paths
    }

    /// What the listing says of one name.
    pub fn presence(&self, path: &SecretPath) -> Presence {
        let known = |yes| if yes { Known::Yes } else { Known::No };
        let child = self.find(path).cloned().unwrap_or_default();
        Presence { secret: known(child.is_secret), children: known(child.has_children), changed: child.changed }
    }
}

impl Remembered for Index {
    fn weight(&self) -> usize {
        self.secrets * 128
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Listed, SecretName};

    fn index(names: &[&str]) -> Index {
        let listed = |name: &&str| Listed { name: SecretName::new(*name).unwrap(), changed: None };
        Index::of(Listing { secrets: names.iter().map(listed).collect(), left_out: Vec::new() })
    }

    fn path(name: &str) -> SecretPath {
        SecretPath::of(&SecretName::new(name).unwrap()).unwrap()
    }

    #[test]
    fn a_name_can_be_a_secret_and_a_directory_of_secrets() {
        let index = index(&["db", "db/creds", "team/a/b"]);
        let names: Vec<_> = index.children(None).map(|(name, _)| name).collect();
        assert_eq!(names, ["db", "team"]);
        let db = index.find(&path("db")).unwrap();
        assert!(db.is_secret && db.has_children);
        let team = index.find(&path("team")).unwrap();
        assert!(!team.is_secret && team.has_children);
        let names: Vec<_> = index.children(Some(&path("team/a"))).map(|(name, _)| name).collect();
        assert_eq!(names, ["b"]);
        assert!(index.find(&path("nosuch")).is_none());
    }

    #[test]
    fn a_name_that_cannot_be_shown_does_not_break_its_neighbours() {
        let long = "x".repeat(300);
        let index = index(&["a", &long, "z"]);
        assert_eq!(index.secrets, 2);
        assert_eq!(index.left_out.len(), 1);
        assert_eq!(index.left_out[0].0, long);
    }
}
