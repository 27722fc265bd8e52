//! The answer to one question, and why.

use super::StatementId;

/// May this caller do this to this resource?
#[must_use = "a decision that is not acted on grants everything"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub verdict: Verdict,
    /// The statements that were found to bear on caller and resource, for whichever action, in order. Once
    /// the answer is certain no further ones are looked for; [`super::Policy::explain`] leaves none out.
    pub considered: Vec<StatementId>,
    /// How many patterns were looked at.
    pub examined: usize,
}

#[must_use = "a decision that is not acted on grants everything"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Allow(Allowed),
    Deny(Refused),
}

/// Why it is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// The caller is root, and `root = "allow"`.
    Root,
    /// The caller is the user who runs the daemon.
    Owner,
    /// An allow, and no deny.
    Statement(StatementId),
}

/// Why it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A deny, whatever allows there are.
    Statement(StatementId),
    /// A deny that cannot be ruled out, for what it asks about the caller cannot be known.
    Unknown(StatementId),
    /// No allow.
    NoGrant,
}

impl Decision {
    pub fn is_allowed(&self) -> bool {
        self.verdict.is_allowed()
    }

    /// The statement that decided, if one did.
    pub fn statement(&self) -> Option<StatementId> {
        match self.verdict {
            Verdict::Allow(Allowed::Statement(id)) | Verdict::Deny(Refused::Statement(id) | Refused::Unknown(id)) => {
                Some(id)
            }
            Verdict::Allow(Allowed::Root | Allowed::Owner) | Verdict::Deny(Refused::NoGrant) => None,
        }
    }
}

impl Verdict {
    pub fn is_allowed(self) -> bool {
        match self {
            Self::Allow(_) => true,
            Self::Deny(_) => false,
        }
    }
}

/// What one statement has to do with one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearing {
    /// It allows, or denies.
    Applies,
    /// It is a deny, and what it asks about the caller cannot be known.
    MayApply,
    OtherPrincipal,
    /// It is an allow, and what it asks about the caller cannot be known.
    UnknownPrincipal,
    OtherAction,
    OtherResource,
}
