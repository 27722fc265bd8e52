//! Between a scope's names and paths of the engine.

use crate::config::{KvVersion, VaultEngine, VaultSettings};
use crate::provider::rest::clean;
use crate::provider::{Error, ErrorKind, SecretName};

/// The longest path that is asked for, in bytes: far above what servers store, far below what a URL holds.
const LONGEST: usize = 2048;

/// Where a scope's secrets are.
pub(super) struct Place {
    /// Without slashes around it.
    pub(super) mount: String,
    /// Folders above all names; empty, or ends with `/`.
    prefix: String,
    engine: VaultEngine,
}

/// A secret's path below the mount: no part of it is empty, `.` or `..`, so it cannot leave the mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretPath(String);

impl Place {
    /// # Errors
    /// `Malformed` where no server could have such a mount or prefix.
    pub(super) fn of(settings: &VaultSettings) -> Result<Self, Error> {
        let folder = |what: &str, text: &str, may_be_empty: bool| {
            let text = text.trim_matches('/');
            if (may_be_empty && text.is_empty()) || is_possible(text) {
                return Ok(text.to_owned());
            }
            Err(Error::new(ErrorKind::Malformed, format!("{what} `{}` can be no path in Vault", clean(text))))
        };
        let mount = folder("mount", &settings.mount, false)?;
        let mut prefix = folder("prefix", &settings.prefix, true)?;
        if !prefix.is_empty() {
            prefix.push('/');
        }
        Ok(Self { mount, prefix, engine: settings.engine })
    }

    /// `NotFound` where no secret can have that name, without asking.
    pub(super) fn path(&self, name: &SecretName) -> Result<SecretPath, Error> {
        let path = format!("{}{name}", self.prefix);
        if is_possible(&path) {
            return Ok(SecretPath(path));
        }
        let text = format!(
            "no secret in Vault can be called `{}`: names have no empty part, no `.` or `..`, no control character \
             and at most {LONGEST} bytes",
            clean(&path)
        );
        Err(Error::new(ErrorKind::NotFound, text))
    }

    /// A folder of the scope as the engine is asked for it; `below` is empty or ends with `/`.
    pub(super) fn folder(&self, below: &str) -> String {
        format!("{}{below}", self.prefix)
    }

    /// What a policy has to allow for reading: the path as policies write it.
    pub(super) fn policy_path(&self, path: &SecretPath) -> String {
        let below = match self.engine {
            VaultEngine::Kv(KvVersion::One) => "",
            VaultEngine::Kv(KvVersion::Two) => "data/",
            VaultEngine::Leased(_) => "creds/",
        };
        format!("{}/{below}{}", self.mount, path.0)
    }
}

impl SecretPath {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder that it is in, empty or with `/` at its end, and its name there.
    pub(super) fn split(&self) -> (&str, &str) {
        match self.0.rfind('/') {
            Some(at) => self.0.split_at(at + 1),
            None => ("", &self.0),
        }
    }
}

/// Can a secret or a folder have this path?
pub(super) fn is_possible(path: &str) -> bool {
    path.len() <= LONGEST
        && !path.chars().any(char::is_control)
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::VaultAuth;

    fn place(mount: &str, prefix: &str) -> Result<Place, Error> {
        Place::of(&VaultSettings {
            address: "http://127.0.0.1:8200".into(),
            mount: mount.into(),
            prefix: prefix.into(),
            engine: VaultEngine::Kv(KvVersion::Two),
            namespace: None,
            ca_file: None,
            auth: VaultAuth::Token { file: None },
        })
    }

    #[test]
    fn no_name_leaves_the_mount_or_the_prefix() {
        let place = place("secret", "prod/").unwrap();
        for name in ["..", "../x", "a/../../x", "a/..", "./a", "/a", "a/", "a//b", "a\0", "a\n", &"x".repeat(2048)] {
            let error = place.path(&SecretName::new(name).unwrap()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotFound, "{name:?}");
        }
        let fine = place.path(&SecretName::new("a b/é%2e%2e?#*").unwrap()).unwrap();
        assert_eq!(fine.as_str(), "prod/a b/é%2e%2e?#*");
        assert_eq!(fine.split(), ("prod/a b/", "é%2e%2e?#*"));
        assert_eq!(place.policy_path(&fine), "secret/data/prod/a b/é%2e%2e?#*");
    }

    #[test]
    fn a_mount_or_prefix_that_can_be_no_path_is_refused() {
        for (mount, prefix) in [("", ""), ("/", ""), ("a/../b", ""), ("secret", ".."), ("secret", "a//b"), ("a\n", "")]
        {
            assert_eq!(
                place(mount, prefix).err().map(|error| error.kind),
                Some(ErrorKind::Malformed),
                "{mount:?} {prefix:?}"
            );
        }
        assert_eq!(place("/team/kv/", "/a/b").unwrap().folder("c/"), "a/b/c/");
    }
}
