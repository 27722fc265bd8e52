//! Why a request gets no answer.

use crate::cache::Failure;
use crate::provider::ErrorKind;

/// Everything that a request can come to instead of an answer; `fs::errno` has the number of each.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// No such file: the tree has no such name, or the provider no such secret, key or version.
    NoSuchEntry,
    /// A name longer than any file here can have.
    NameTooLong,
    /// A name below something that is not a directory.
    NotADirectory,
    /// Reading a link that is none.
    NotALink,
    /// The access policy says no, and why, in words for the audit log.
    NotPermitted { why: String },
    /// The audit record is required and could not be written.
    NotRecorded,
    /// The provider's answer, or its silence.
    Failed(Failure),
    /// Nobody writes here.
    ReadOnly,
    /// No such extended attribute.
    NoAttribute,
    /// The buffer is too small for the extended attribute.
    BufferTooSmall,
    /// The kernel speaks of a file or handle that we do not know.
    Unknown,
    /// No memory, or no locked memory, for the answer.
    NoMemory,
    /// Whoever asked is to end, or has been told to.
    Interrupted,
    /// A defect in hushfs.
    Defect,
}

impl Refusal {
    /// Have there been too many calls for this one?
    pub fn is_throttled(&self) -> bool {
        matches!(self, Self::Failed(Failure::Provider(error) | Failure::Expired(error)) if error.kind == ErrorKind::Throttled)
    }

    /// Does the provider's IAM say no?
    pub fn is_denied_by_provider(&self) -> bool {
        matches!(self, Self::Failed(Failure::Provider(error)) if error.kind == ErrorKind::Denied)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        if failure.is_not_found() { Self::NoSuchEntry } else { Self::Failed(failure) }
    }
}

impl From<std::io::Error> for Refusal {
    /// The only input and output under the tree is asking for memory.
    fn from(_: std::io::Error) -> Self {
        Self::NoMemory
    }
}
