//! What a caller asks for.

use std::fmt;

/// A place in the tree, in the spelling of its file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource<'a> {
    scope: &'a str,
    /// Components joined by `/`; empty in the scope itself.
    path: &'a str,
    pub part: Part<'a>,
}

/// What of a place is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// A directory because something is below it: the root, a scope, a folder of secrets.
    Folder,
    /// A secret: its directory, and the metadata of it all. Having a right here is having it for one key at
    /// least.
    Secret,
    /// A directory of which it is not known, or does not matter, whether it is a secret, a folder or both.
    Directory,
    /// One key.
    Key(&'a str),
    /// All keys of a secret in one file, such as `.json`. Whoever lacks one of them has none.
    Document,
}

impl<'a> Resource<'a> {
    /// The directory of all scopes.
    pub fn root() -> Self {
        Self { scope: "", path: "", part: Part::Folder }
    }

    /// The directory of a scope.
    pub fn scope(scope: &'a str) -> Self {
        Self { scope, path: "", part: Part::Folder }
    }

    /// A directory below a scope that is a folder of secrets and no secret itself.
    pub fn folder(scope: &'a str, path: &'a str) -> Self {
        Self { scope, path, part: Part::Folder }
    }

    /// A secret that no other secret is below.
    pub fn secret(scope: &'a str, path: &'a str) -> Self {
        Self { scope, path, part: Part::Secret }
    }

    /// A directory below a scope that may be a secret, a folder of secrets, or both.
    pub fn directory(scope: &'a str, path: &'a str) -> Self {
        Self { scope, path, part: Part::Directory }
    }

    pub fn key(scope: &'a str, path: &'a str, key: &'a str) -> Self {
        Self { scope, path, part: Part::Key(key) }
    }

    pub fn document(scope: &'a str, path: &'a str) -> Self {
        Self { scope, path, part: Part::Document }
    }

    pub(in crate::access) fn with(self, part: Part<'a>) -> Self {
        Self { part, ..self }
    }

    /// The scope and the names below it, without the key.
    pub(super) fn components(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        std::iter::once(self.scope).chain(self.path.split('/')).filter(|component| !component.is_empty())
    }

    /// Is it shown as a directory?
    pub fn is_directory(&self) -> bool {
        match self.part {
            Part::Folder | Part::Secret | Part::Directory => true,
            Part::Key(_) | Part::Document => false,
        }
    }
}

/// `/scope/name/key`, as below the mountpoint.
impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scope.is_empty() {
            return f.write_str("/");
        }
        for component in self.components() {
            write!(f, "/{component}")?;
        }
        match self.part {
            Part::Key(key) => write!(f, "/{key}"),
            Part::Folder | Part::Secret | Part::Directory | Part::Document => Ok(()),
        }
    }
}
