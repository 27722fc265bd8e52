//! One entry of the ledger, a line of JSON.

use serde::{Deserialize, Serialize};

use crate::config::ScopeName;
use crate::fs::handles::Era;
use crate::fs::opener::{Opener, Who};
use crate::provider::Identity;
use crate::tree::{DocumentFile, FileName, Node, SecretNode, SecretPath, Which};

#[derive(Debug, Serialize, Deserialize)]
pub enum Line {
    /// The kernel has this number for this place.
    #[serde(rename = "given")]
    Given(u64, Place),
    #[serde(rename = "forgotten")]
    Forgotten(u64),
    /// Somebody has a file open.
    #[serde(rename = "opened")]
    Opened(u64, OpenFile),
    #[serde(rename = "closed")]
    Closed(u64),
    /// So many lines follow that say all over again; what stands before them counts no more.
    #[serde(rename = "anew")]
    Anew(usize),
}

/// What is open behind a handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenFile {
    /// Its inode.
    pub ino: u64,
    /// The thread that opened it.
    pub opener: u32,
    /// Of its secret.
    pub version: String,
    /// Where its scope had its values from ([`Scope::fingerprint`](crate::config::Scope::fingerprint)): a version of
    /// another place may have the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<u64>,
    /// Since when it is open; None from a hushfs that did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub era: Option<Era>,
    /// None from a hushfs that did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Who>,
}

impl OpenFile {
    pub fn opener(&self) -> Opener {
        Opener { thread: self.opener, who: self.who }
    }
}

/// A [`Node`], its names as the file system spells them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    scope: String,
    /// An `[[identity]]` by number, and the user where it has one for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<(usize, Option<u32>)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

impl Place {
    /// None for the root, which needs no entry.
    pub fn of(node: &Node) -> Option<Self> {
        let identity = match node.identity() {
            Identity::Own => None,
            Identity::Other { number, user } => Some((number, user)),
        };
        let scope = node.scope()?.to_string();
        let path = node.secret().map(|at| at.path.as_str().to_owned());
        let place = Self { scope, identity, path, version: None, file: None, link: None };
        Some(match node {
            Node::Root => return None,
            Node::Scope(..) | Node::Directory(_) => place,
            Node::Version(_, id) => Self { version: Some(id.clone()), ..place },
            Node::File(_, id, file) => Self { version: id.clone(), file: Some(file.name().to_owned()), ..place },
            Node::Link(_, which) => Self { link: Some(name_of(*which).to_owned()), ..place },
        })
    }

    /// None where this version of hushfs has no such place.
    pub fn to_node(&self) -> Option<Node> {
        let identity = match self.identity {
            None => Identity::Own,
            Some((number, user)) => Identity::Other { number, user },
        };
        let scope = ScopeName::new(&self.scope)?;
        let Some(path) = &self.path else { return Some(Node::Scope(scope, identity)) };
        let at = SecretNode { scope, identity, path: SecretPath::parse(path)? };
        Some(match (&self.file, &self.link, &self.version) {
            (Some(file), None, version) => Node::File(at, version.clone(), file_of(file)?),
            (None, Some(link), None) => Node::Link(at, which_of(link)?),
            (None, None, Some(version)) => Node::Version(at, version.clone()),
            (None, None, None) => Node::Directory(at),
            (_, Some(_), _) => return None,
        })
    }
}

fn name_of(which: Which) -> &'static str {
    match which {
        Which::Current => "current",
        Which::Previous => "previous",
    }
}

fn which_of(name: &str) -> Option<Which> {
    [Which::Current, Which::Previous].into_iter().find(|which| name_of(*which) == name)
}

fn file_of(name: &str) -> Option<DocumentFile> {
    let special = [DocumentFile::Raw, DocumentFile::Json, DocumentFile::Env];
    let special = special.into_iter().find(|file| file.name() == name);
    special.or_else(|| FileName::parse(name.as_ref()).map(DocumentFile::Key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_comes_back() {
        let scope = ScopeName::new("prod").unwrap();
        let other = Identity::Other { number: 2, user: Some(1000) };
        let at =
            |identity| SecretNode { scope: scope.clone(), identity, path: SecretPath::parse("team/d%25b").unwrap() };
        let key = |name: &str| DocumentFile::Key(FileName::escape(name).unwrap());
        let nodes = [
            Node::Scope(scope.clone(), Identity::Own),
            Node::Scope(scope.clone(), other),
            Node::Directory(at(Identity::Own)),
            Node::Version(at(other), "v/1".into()),
            Node::File(at(Identity::Own), None, key(".json")),
            Node::File(at(Identity::Own), None, DocumentFile::Json),
            Node::File(at(other), Some("v1".into()), key("K\u{e9}Y\n")),
            Node::Link(at(Identity::Own), Which::Current),
            Node::Link(at(Identity::Own), Which::Previous),
        ];
        for node in nodes {
            let text = serde_json::to_string(&Line::Given(7, Place::of(&node).unwrap())).unwrap();
            assert!(!text.contains('\n'), "{text}");
            let Line::Given(7, place) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
            assert_eq!(place.to_node(), Some(node), "{text}");
        }
        assert_eq!(Place::of(&Node::Root), None);
    }
}
