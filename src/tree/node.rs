//! Every place in the tree.

use std::borrow::Cow;

use super::document::DocumentFile;
use super::name::FileName;
use super::path::SecretPath;
use crate::config::ScopeName;
use crate::provider::{Identity, VersionSelector};

/// A place in the tree, known by its path alone: whether something is there is the providers' to say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Node {
    Root,
    Scope(ScopeName, Identity),
    /// A directory below a scope: a secret, a folder of secrets, or both.
    Directory(SecretNode),
    /// `@<version>`.
    Version(SecretNode, String),
    /// A file of the current version (None), or of the version of the directory it is in.
    File(SecretNode, Option<String>, DocumentFile),
    /// `@current` or `@previous`.
    Link(SecretNode, Which),
}

/// A scope and a path in it, as an identity sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretNode {
    pub scope: ScopeName,
    /// As whom the provider is asked: another one may be given something else, or nothing.
    pub identity: Identity,
    pub path: SecretPath,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Which {
    Current,
    Previous,
}

impl Which {
    pub fn selector(self) -> VersionSelector {
        match self {
            Self::Current => VersionSelector::Current,
            Self::Previous => VersionSelector::Previous,
        }
    }
}

/// What sort of file a node is, as `stat` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Directory,
    File,
    Link,
}

impl Node {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Root | Self::Scope(..) | Self::Directory(_) | Self::Version(..) => Kind::Directory,
            Self::File(..) => Kind::File,
            Self::Link(..) => Kind::Link,
        }
    }

    /// Below the mountpoint, as the file system spells it; `.` for the mountpoint itself.
    pub fn path(&self) -> String {
        let of = |at: &SecretNode| format!("{}/{}", at.scope, at.path.as_str());
        match self {
            Self::Root => ".".to_owned(),
            Self::Scope(scope, _) => scope.to_string(),
            Self::Directory(at) => of(at),
            Self::Version(at, id) => format!("{}/@{}", of(at), file_name(id)),
            Self::File(at, None, file) => format!("{}/{}", of(at), file.name()),
            Self::File(at, Some(id), file) => format!("{}/@{}/{}", of(at), file_name(id), file.name()),
            Self::Link(at, Which::Current) => format!("{}/@current", of(at)),
            Self::Link(at, Which::Previous) => format!("{}/@previous", of(at)),
        }
    }

    pub fn scope(&self) -> Option<&ScopeName> {
        match self {
            Self::Root => None,
            Self::Scope(scope, _) => Some(scope),
            Self::Directory(at) | Self::Version(at, _) | Self::File(at, ..) | Self::Link(at, _) => Some(&at.scope),
        }
    }

    /// As whom its provider is asked.
    pub fn identity(&self) -> Identity {
        match self {
            Self::Root => Identity::Own,
            Self::Scope(_, identity) => *identity,
            Self::Directory(at) | Self::Version(at, _) | Self::File(at, ..) | Self::Link(at, _) => at.identity,
        }
    }

    /// The same place as another identity sees it.
    #[must_use]
    pub fn under(&self, identity: Identity) -> Self {
        let mut node = self.clone();
        match &mut node {
            Self::Root => {}
            Self::Scope(_, of) => *of = identity,
            Self::Directory(at) | Self::Version(at, _) | Self::File(at, ..) | Self::Link(at, _) => {
                at.identity = identity;
            }
        }
        node
    }

    /// What the kernel has one inode for: of a file, with whose bytes it may be mapped into memory, one for each
    /// identity; of everything else one for all.
    #[must_use]
    pub fn inode(&self) -> Cow<'_, Self> {
        match self {
            Self::File(..) => Cow::Borrowed(self),
            _ if self.identity() == Identity::Own => Cow::Borrowed(self),
            _ => Cow::Owned(self.under(Identity::Own)),
        }
    }

    /// The secret that a node belongs to.
    pub fn secret(&self) -> Option<&SecretNode> {
        match self {
            Self::Root | Self::Scope(..) => None,
            Self::Directory(at) | Self::Version(at, _) | Self::File(at, ..) | Self::Link(at, _) => Some(at),
        }
    }
}

/// A version's id as the name of its directory, which it was taken from.
fn file_name(id: &str) -> String {
    FileName::escape(id).map_or_else(|| id.to_owned(), |name| name.as_str().to_owned())
}
