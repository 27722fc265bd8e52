//! What can go wrong between us and a provider.

use std::fmt;
use std::time::Duration;

/// The kinds of failure that callers are told apart; each has one errno.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The provider says that there is no such secret or version.
    NotFound,
    /// The provider's IAM refuses our identity this secret.
    Denied,
    /// The provider refuses our credentials, or there are none.
    CredentialsRejected,
    /// Too many calls, says the provider.
    Throttled,
    /// No answer: connection, DNS, TLS, or a 5xx.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// Larger than `max_secret_bytes`.
    TooLarge,
    /// An answer, or a stored file, that cannot be understood.
    Malformed,
    /// This host has no memory to take the value in.
    NoMemory,
}

impl ErrorKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::NotFound,
        Self::Denied,
        Self::CredentialsRejected,
        Self::Throttled,
        Self::Unreachable,
        Self::TimedOut,
        Self::TooLarge,
        Self::Malformed,
        Self::NoMemory,
    ];

    /// The snake-case name used in status and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Denied => "denied",
            Self::CredentialsRejected => "credentials_rejected",
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::NoMemory => "no_memory",
        }
    }

    /// What a status of HTTP says where the service says no more. Not 404: anybody's page would make every secret vanish.
    #[cfg(any(feature = "aws", feature = "databricks", feature = "gcp", feature = "kubernetes"))]
    pub(super) fn of_http_status(status: u16) -> Option<Self> {
        match status {
            401 => Some(Self::CredentialsRejected),
            403 => Some(Self::Denied),
            408 => Some(Self::TimedOut),
            429 => Some(Self::Throttled),
            300..=399 | 500..=599 => Some(Self::Unreachable),
            _ => None,
        }
    }

    /// Are there no credentials for us in a file, or could nobody have looked just now (no descriptors, a disk that
    /// fails)? Only the first is a refusal; the second passes, and the last good value may be served until then.
    #[cfg(any(feature = "local", feature = "rest", feature = "gcp"))]
    pub(super) fn of_unreadable_credentials(error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied};
        match error.kind() {
            NotFound | PermissionDenied | NotADirectory | IsADirectory | InvalidInput => Self::CredentialsRejected,
            _ if error.raw_os_error() == Some(libc::ELOOP) => Self::CredentialsRejected,
            _ => Self::Unreachable,
        }
    }

    /// May the last good value be served instead, within `max_stale`? Never after a refusal: revoked
    /// means revoked, deleted means deleted, and an answer we cannot read is not silence. That this host
    /// is short of memory says nothing about the value.
    pub fn is_outage(self) -> bool {
        match self {
            Self::Throttled | Self::Unreachable | Self::TimedOut | Self::NoMemory => true,
            Self::NotFound | Self::Denied | Self::CredentialsRejected | Self::TooLarge | Self::Malformed => false,
        }
    }
}

/// A failure with the reason in an operator's words. The text never holds a value.
#[derive(Debug, Clone)]
pub struct Error {
    pub kind: ErrorKind,
    /// What happened, to what, why; shown in logs and status.
    pub detail: String,
    /// How long the provider asked us to wait.
    pub retry_after: Option<Duration>,
}

impl Error {
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Error {}

/// Locked memory could not be had: the value cannot be kept safely, so it is not kept.
impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::new(ErrorKind::NoMemory, format!("no memory to hold the value: {error}"))
    }
}
