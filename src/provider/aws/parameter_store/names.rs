//! Between a scope's names and Parameter Store's.
//!
//! Invariant: what is sent as a name or a path starts with the scope's path and goes on in characters that names
//! have. So no ARN (which could name another account's parameter) and no `:` (which picks a version) comes from
//! a file's name, and nothing outside of the path is reached.

use std::fmt;

use crate::provider::text::clean;
use crate::provider::{Error, ErrorKind, SecretName};

/// The longest name that Parameter Store takes, in characters.
const LONGEST: usize = 1011;

/// The most parts of a name.
const DEEPEST: usize = 15;

/// What Parameter Store keeps to itself, and does not list.
const RESERVED: &str = "/aws/";
/// Where Secrets Manager's secrets are.
const REFERENCES: &str = "/aws/reference/secretsmanager/";

/// The scope's path: `/`, or `/app/prod/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScopePath(String);

impl ScopePath {
    pub(super) fn new(text: &str) -> Option<Self> {
        let inside = text.strip_prefix('/')?;
        let possible = inside.is_empty() || inside.strip_suffix('/').is_some_and(are_components);
        (possible && text.len() < LONGEST).then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_root(&self) -> bool {
        self.0 == "/"
    }

    /// As filters take it: without the `/` at its end.
    pub(super) fn bare(&self) -> &str {
        if self.is_root() { &self.0 } else { self.0.trim_end_matches('/') }
    }

    /// Is it below what DescribeParameters leaves out?
    pub(super) fn is_reserved(&self) -> bool {
        self.0.starts_with(RESERVED)
    }

    pub(super) fn is_reference(&self) -> bool {
        self.0.starts_with(REFERENCES)
    }

    /// What comes behind the path in a parameter's name. At the root it may be written without its `/`.
    pub(super) fn relative<'a>(&self, name: &'a str) -> Option<&'a str> {
        match name.strip_prefix(&*self.0) {
            Some(rest) => Some(rest).filter(|rest| !rest.is_empty()),
            None => (self.is_root() && !name.is_empty()).then_some(name),
        }
    }
}

/// A secret's place: the path whose parameters are its keys, which may be a parameter's name too.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FullName {
    full: String,
    /// It stands directly in the scope's path.
    pub(super) is_top: bool,
    /// At the root, a parameter may have been named without the `/`.
    is_at_root: bool,
}

/// A parameter's name as it is spelled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Spelled(pub(super) String);

impl fmt::Display for Spelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FullName {
    /// `NotFound` where nothing can have that name, without asking.
    pub(super) fn new(path: &ScopePath, name: &SecretName) -> Result<Self, Error> {
        let full = format!("{}{name}", path.as_str());
        let depth = full.split('/').skip(1).count();
        if full.len() <= LONGEST && depth <= DEEPEST && are_components(name.as_str()) {
            let is_top = !name.as_str().contains('/');
            return Ok(Self { full, is_top, is_at_root: is_top && path.is_root() });
        }
        Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "nothing in Parameter Store can be called `{}`: names have up to {LONGEST} of A-Z a-z 0-9 _ . - in up to {DEEPEST} parts between /",
                clean(&full)
            ),
        ))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.full
    }

    /// How the parameter of this name itself may be spelled; the usual way first.
    pub(super) fn spellings(&self) -> Vec<Spelled> {
        let mut spellings = vec![Spelled(self.full.clone())];
        if self.is_at_root {
            spellings.push(Spelled(self.full.trim_start_matches('/').to_owned()));
        }
        spellings
    }

    /// The key of a parameter that stands directly in this directory; None for every other.
    pub(super) fn key_of<'a>(&self, parameter: &'a str) -> Option<&'a str> {
        self.below(parameter).filter(|key| !key.contains('/'))
    }

    /// What comes behind this directory in the name of a parameter below it.
    pub(super) fn below<'a>(&self, parameter: &'a str) -> Option<&'a str> {
        parameter.strip_prefix(&*self.full)?.strip_prefix('/').filter(|rest| !rest.is_empty())
    }
}

/// One or more parts between slashes, of characters that names have.
pub(super) fn are_components(text: &str) -> bool {
    let is_possible = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
    };
    text.split('/').all(is_possible)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(path: &str, name: &str) -> Result<FullName, Error> {
        FullName::new(&ScopePath::new(path).unwrap(), &SecretName::new(name).unwrap())
    }

    #[test]
    fn a_path_starts_and_ends_with_a_slash_and_has_no_empty_part() {
        for good in ["/", "/app/", "/app/prod/", "/aws/reference/secretsmanager/", "/a_b.c-D/"] {
            assert_eq!(ScopePath::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "app/", "/app", "//", "/a//b/", "/a b/", "/é/", "arn:aws:ssm:us-east-1:1:parameter/a/", "/a:1/"]
        {
            assert!(ScopePath::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_is_sent_stays_below_the_path() {
        for name in
            ["/here", "here/", "//", "a//b", "a:1", "a b", "é", "a\0", "*", "a@b", "arn:aws:ssm:r:1:parameter/x"]
        {
            assert_eq!(full("/app/", name).unwrap_err().kind, ErrorKind::NotFound, "{name:?}");
        }
        assert_eq!(full("/app/", &"x".repeat(1011)).unwrap_err().kind, ErrorKind::NotFound);
        assert!(full("/app/", &["x"; 14].join("/")).is_ok());
        assert_eq!(full("/app/", &["x"; 15].join("/")).unwrap_err().kind, ErrorKind::NotFound);
        assert_eq!(full("/app/", "db/creds").unwrap().as_str(), "/app/db/creds");
    }

    #[test]
    fn only_what_stands_directly_in_a_directory_is_a_key_of_it() {
        let db = full("/app/", "db").unwrap();
        assert_eq!(db.key_of("/app/db/PASSWORD"), Some("PASSWORD"));
        for other in ["/app/db", "/app/db/", "/app/db/a/b", "/app/db-2/x", "/app/x", "db/x"] {
            assert_eq!(db.key_of(other), None, "{other}");
        }
    }

    #[test]
    fn at_the_root_a_name_has_its_slash_or_not() {
        let spelled = |name: FullName| name.spellings().into_iter().map(|it| it.0).collect::<Vec<_>>();
        assert_eq!(spelled(full("/", "db").unwrap()), ["/db", "db"]);
        assert_eq!(spelled(full("/", "db/x").unwrap()), ["/db/x"]);
        assert_eq!(spelled(full("/app/", "db").unwrap()), ["/app/db"]);
        let root = ScopePath::new("/").unwrap();
        assert_eq!((root.relative("/a/b"), root.relative("a"), root.relative("/")), (Some("a/b"), Some("a"), None));
        let app = ScopePath::new("/app/").unwrap();
        assert_eq!((app.relative("/app/a"), app.relative("/apple"), app.relative("/app/")), (Some("a"), None, None));
    }
}
