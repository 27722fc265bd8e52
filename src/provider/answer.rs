//! What a provider answers.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::secret::Secret;

/// A secret's name in its scope, as the provider spells it: not empty, the scope's prefix removed.
/// May hold any character that the provider allows, `/` included.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName(String);

impl SecretName {
    pub fn new(name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        (!name.is_empty()).then_some(Self(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Which version of a secret is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum VersionSelector {
    Current,
    /// The one before the current, where the provider keeps it.
    Previous,
    /// A version id, number, stage or alias, as the provider spells it.
    Named(String),
}

/// A listing of a whole scope.
#[derive(Debug, Default)]
pub struct Listing {
    pub secrets: Vec<Listed>,
    /// Found but not servable, such as a second file of the same name: what, and why. For `hushfs status`.
    pub left_out: Vec<(String, String)>,
}

/// One secret as a listing shows it.
#[derive(Debug)]
pub struct Listed {
    pub name: SecretName,
    /// When the value last changed.
    pub changed: Option<SystemTime>,
}

/// What a provider has learnt without being asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A secret is new, has another value, or has gone.
    Secret(SecretName),
    /// Any of them may have changed.
    All,
}

/// Yes, no, or the provider will not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    Yes,
    No,
    Unknown,
}

/// What is at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// A secret of exactly this name.
    pub secret: Known,
    /// Secrets below `name/`.
    pub children: Known,
    /// When the secret's value last changed.
    pub changed: Option<SystemTime>,
}

impl Presence {
    /// Neither a secret nor a folder of secrets.
    pub const NOTHING: Self = Self { secret: Known::No, children: Known::No, changed: None };

    /// There may be anything of this name: nobody says.
    pub const UNKNOWN: Self = Self { secret: Known::Unknown, children: Known::Unknown, changed: None };

    /// A secret that has a value, and nobody says what is below it.
    pub fn of_value(changed: Option<SystemTime>) -> Self {
        Self { secret: Known::Yes, changed, ..Self::UNKNOWN }
    }

    /// A folder that is no secret itself.
    pub fn is_mere_folder(&self) -> bool {
        self.secret == Known::No && self.children == Known::Yes
    }

    /// Is it certain that there is something of this name?
    pub fn is_something(&self) -> bool {
        self.secret == Known::Yes || self.children == Known::Yes
    }

    /// Is it certain that there is nothing of this name?
    pub fn is_nothing(&self) -> bool {
        self.secret == Known::No && self.children == Known::No
    }
}

/// One version of one secret.
pub struct Fetched {
    pub payload: Payload,
    /// The provider's id of this version.
    pub version: String,
    /// When this version was created.
    pub created: Option<SystemTime>,
    /// ARN, path or URL: where an operator finds it.
    pub source: String,
    pub tags: Vec<(String, String)>,
    /// Where the value ends by itself.
    pub lease: Option<Lease>,
}

/// A value that is only lent, such as credentials that a service makes for us.
pub struct Lease {
    /// How long the value is good for, counted from the answer. Asking again before that may make it longer.
    pub valid_for: Duration,
    /// Dropped when the cache and the last open file have let go of the value. Until then the provider may give
    /// the same value again.
    pub hold: Option<Arc<dyn Any + Send + Sync>>,
}

/// The value.
pub struct Payload {
    /// The exact bytes as the provider holds them.
    pub raw: Secret,
    /// The keys, where the provider or the file format has keys itself; otherwise the scope's `format`
    /// decides how `raw` becomes keys.
    pub keys: Option<Vec<(String, Secret)>>,
}
