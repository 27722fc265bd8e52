//! A secret's place in the tree.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::name::{self, FileName};
use crate::provider::SecretName;

/// A directory below a scope: one or more file names. May be a secret, a folder of secrets, or both.
///
/// Invariant: `escaped` is the components joined by `/`, and `name` is what they stand for.
#[derive(Clone)]
pub struct SecretPath {
    escaped: Arc<str>,
    name: SecretName,
}

impl SecretPath {
    /// The path of the secret called `name`. None where it cannot be file names.
    pub fn of(name: &SecretName) -> Option<Self> {
        let components = name::components(name)?;
        Some(Self { escaped: join(&components).into(), name: name.clone() })
    }

    /// The directory `child` in `parent` (None: in the scope itself). None where no secret can be called so.
    pub fn child(parent: Option<&Self>, child: &FileName) -> Option<Self> {
        let mut components = parent.map_or_else(Vec::new, Self::components);
        components.push(child.clone());
        let name = name::secret_name(&components)?;
        Some(Self { escaped: join(&components).into(), name })
    }

    /// The path that the file system spells so; None unless it does.
    pub fn parse(spelled: &str) -> Option<Self> {
        let components: Vec<FileName> =
            spelled.split('/').map(|name| FileName::parse(name.as_ref())).collect::<Option<_>>()?;
        let name = name::secret_name(&components)?;
        Some(Self { escaped: join(&components).into(), name })
    }

    /// As the provider spells it.
    pub fn name(&self) -> &SecretName {
        &self.name
    }

    /// As the file system spells it: escaped components joined by `/`.
    pub fn as_str(&self) -> &str {
        &self.escaped
    }

    fn components(&self) -> Vec<FileName> {
        name::components(&self.name).unwrap_or_default()
    }
}

fn join(components: &[FileName]) -> String {
    components.iter().map(FileName::as_str).collect::<Vec<_>>().join("/")
}

impl PartialEq for SecretPath {
    fn eq(&self, other: &Self) -> bool {
        self.escaped == other.escaped
    }
}

impl Eq for SecretPath {}

impl Hash for SecretPath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.escaped.hash(state);
    }
}

impl fmt::Debug for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.escaped)
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    /// As the file system gets there, directory by directory.
    fn walked(spelled: &str) -> Option<SecretPath> {
        spelled.split('/').try_fold(None, |parent: Option<SecretPath>, name| {
            Some(Some(SecretPath::child(parent.as_ref(), &FileName::parse(name.as_ref())?)?))
        })?
    }

    proptest! {
        #[test]
        fn a_path_that_is_parsed_is_the_one_that_is_walked(spelled in "([ab./]|%2F|%2E|%25|%){0,9}") {
            let (parsed, walked) = (SecretPath::parse(&spelled), walked(&spelled));
            prop_assert_eq!(&parsed, &walked);
            if let (Some(parsed), Some(walked)) = (parsed, walked) {
                prop_assert_eq!(parsed.as_str(), spelled);
                prop_assert_eq!(parsed.name(), walked.name());
            }
        }
    }
}
