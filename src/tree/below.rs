//! A place and everything below it: what commands that take a PATH are about.

use std::ffi::OsStr;

use super::name::FileName;
use super::namespace::special_file;
use super::node::SecretNode;
use super::path::SecretPath;
use crate::config::ScopeName;

/// By its spelling alone, whether or not anything is there, and whoever looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Below {
    /// The mountpoint.
    All,
    Scope(ScopeName),
    /// A secret, a folder of secrets or a key.
    Path {
        scope: ScopeName,
        path: SecretPath,
        /// The secret whose key it is, if it is one.
        of: Option<SecretPath>,
    },
    /// One secret, and nothing that lies below it.
    Secret {
        scope: ScopeName,
        path: SecretPath,
    },
}

impl Below {
    /// The names of a path, from the mountpoint on. Names that are not listed stand for their
    /// secret. None where no file is ever
    /// called so.
    pub fn spelled(names: &[&OsStr]) -> Option<Self> {
        let Some((scope, rest)) = names.split_first() else { return Some(Self::All) };
        let scope = ScopeName::new(scope.to_str()?)?;
        let is_hidden = |name: &&OsStr| special_file(name).is_some() || name.as_encoded_bytes().starts_with(b"@");
        let hidden = rest.iter().position(is_hidden);
        let (mut path, mut of) = (None::<SecretPath>, None);
        for name in rest.iter().take(hidden.unwrap_or(rest.len())) {
            of = path.clone();
            path = Some(SecretPath::child(path.as_ref(), &FileName::parse(name)?)?);
        }
        match (path, hidden) {
            (None, None) => Some(Self::Scope(scope)),
            // Only a secret has names that are not listed.
            (None, Some(_)) => None,
            (Some(path), None) => Some(Self::Path { scope, path, of }),
            (Some(path), Some(_)) => Some(Self::Secret { scope, path }),
        }
    }

    /// The scope that it lies in; None for all of them.
    pub fn scope(&self) -> Option<&ScopeName> {
        match self {
            Self::All => None,
            Self::Scope(scope) | Self::Path { scope, .. } | Self::Secret { scope, .. } => Some(scope),
        }
    }

    pub fn has_scope(&self, scope: &ScopeName) -> bool {
        self.scope().is_none_or(|of| of == scope)
    }

    /// Is the name this place, or below it?
    pub fn covers(&self, at: &SecretNode) -> bool {
        match self {
            Self::All => true,
            Self::Scope(scope) => at.scope == *scope,
            Self::Path { scope, path, .. } => {
                let rest = at.path.as_str().strip_prefix(path.as_str());
                at.scope == *scope && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Self::Secret { scope, path } => at.scope == *scope && at.path == *path,
        }
    }

    /// Is it below this name?
    pub fn is_below(&self, at: &SecretNode) -> bool {
        let (Self::Path { scope, path, .. } | Self::Secret { scope, path }) = self else { return false };
        let rest = path.as_str().strip_prefix(at.path.as_str());
        at.scope == *scope && rest.is_some_and(|rest| rest.starts_with('/'))
    }

    /// Would it be a key of this secret?
    pub fn is_a_key_of(&self, at: &SecretNode) -> bool {
        matches!(self, Self::Path { scope, of: Some(of), .. } if at.scope == *scope && at.path == *of)
    }

    /// The secret whose key it would be, for what turns out to be no secret and no folder.
    #[must_use]
    pub fn of_its_key(&self) -> Option<Self> {
        match self {
            Self::Path { scope, of: Some(of), .. } => Some(Self::Secret { scope: scope.clone(), path: of.clone() }),
            Self::All | Self::Scope(_) | Self::Path { of: None, .. } | Self::Secret { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Identity;

    fn below(path: &str) -> Option<Below> {
        Below::spelled(&path.split('/').filter(|name| !name.is_empty()).map(OsStr::new).collect::<Vec<_>>())
    }

    fn at(path: &str) -> SecretNode {
        let (scope, path) = path.split_once('/').unwrap();
        let scope = ScopeName::new(scope).unwrap();
        SecretNode { scope, identity: Identity::Own, path: SecretPath::parse(path).unwrap() }
    }

    #[test]
    fn a_place_covers_itself_and_what_is_below_it_and_no_neighbour() {
        let covered = |place: &str| {
            let all = ["prod/db", "prod/db/creds", "prod/db-2", "prod/team/app", "dev/db"];
            all.into_iter().filter(|path| below(place).unwrap().covers(&at(path))).collect::<Vec<_>>()
        };
        assert_eq!(covered("").len(), 5);
        assert_eq!(covered("prod").len(), 4);
        assert_eq!(covered("prod/db"), ["prod/db", "prod/db/creds"]);
        assert_eq!(covered("prod/team"), ["prod/team/app"]);
        for hidden in ["prod/db/@current", "prod/db/@v1/KEY", "prod/db/.json"] {
            assert_eq!(covered(hidden), ["prod/db"], "{hidden}");
        }
    }

    #[test]
    fn a_place_is_below_every_name_on_the_way_to_it() {
        let place = below("prod/team/app/KEY").unwrap();
        assert!(place.is_below(&at("prod/team")) && place.is_below(&at("prod/team/app")));
        assert!(!place.is_below(&at("prod/team/app/KEY")) && !place.is_below(&at("prod/te")));
        assert!(!place.is_below(&at("dev/team")) && !below("prod").unwrap().is_below(&at("prod/team")));
    }

    #[test]
    fn the_last_name_may_be_a_key_of_what_is_before_it() {
        assert!(below("prod/db/KEY").unwrap().is_a_key_of(&at("prod/db")));
        assert_eq!(below("prod/db/KEY").unwrap().of_its_key(), below("prod/db/.json"));
        for no_key in ["prod/db", "prod", "", "prod/db/.json", "prod/db/@current/KEY"] {
            assert_eq!(below(no_key).unwrap().of_its_key(), None, "{no_key}");
        }
    }

    #[test]
    fn what_no_file_is_ever_called_is_no_place() {
        for path in ["prod/.hidden", "prod/100%", ".json", "prod/@current", "prod/.env"] {
            assert_eq!(below(path), None, "{path}");
        }
    }
}
