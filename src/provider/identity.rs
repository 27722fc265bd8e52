//! As whom a provider is asked.

use super::{Error, ErrorKind};
use crate::config::ActsAs;

/// Who a provider takes us for. What one has been given is never another's: every memory of an answer is kept
/// under the identity that it was given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Identity {
    /// The scope's own.
    #[default]
    Own,
    /// An `[[identity]]`.
    Other {
        /// Which ([`ActsAs::number`]).
        number: usize,
        /// The caller's user, where the service is told who that is.
        user: Option<u32>,
    },
}

impl Identity {
    /// The same, whichever user the service is told of.
    #[must_use]
    pub fn of_all_users(self) -> Self {
        match self {
            Self::Own => Self::Own,
            Self::Other { number, .. } => Self::Other { number, user: None },
        }
    }
}

/// An identity as the one who must take it on needs it.
#[derive(Debug, Clone, Copy)]
pub struct Acting<'a> {
    pub acts_as: &'a ActsAs,
    /// The caller's user, where [`ActsAs::names_the_user`].
    pub user: Option<u32>,
}

impl Acting<'_> {
    /// Why a provider of another service cannot be asked as this one.
    pub fn is_nobody_at(self, service: &str) -> Error {
        Error::new(ErrorKind::Malformed, nobody(self.acts_as, service))
    }
}

/// Nothing can be said of what another service's identity may do here.
pub fn says_nothing_of(acts_as: &ActsAs, service: &str) -> Error {
    Error::new(ErrorKind::Denied, nobody(acts_as, service))
}

fn nobody(acts_as: &ActsAs, service: &str) -> String {
    format!("{} is {}, which is no identity at {service}", acts_as.label(), acts_as.kind())
}
