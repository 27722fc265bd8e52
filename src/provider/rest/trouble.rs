//! Why there is no answer.

use std::fmt;

use crate::provider::text::{chain, reasons};
use crate::provider::{Error, ErrorKind};

#[derive(Debug)]
pub enum Trouble {
    TimedOut,
    /// DNS, TCP, TLS, a proxy, or a connection that ended too soon.
    NoAnswer(reqwest::Error),
    /// No client could be made, for this reason.
    NotSetUp(String),
    /// The connection broke in the middle of the body.
    Broken,
    /// The body is longer than this many bytes.
    TooLong(u64),
}

impl Trouble {
    /// `call` is what was being done, such as ``secrets/list of `db` ``.
    pub fn of(&self, call: &str) -> Error {
        let kind = match self {
            Self::TimedOut => ErrorKind::TimedOut,
            Self::NoAnswer(error) if error.is_timeout() => ErrorKind::TimedOut,
            Self::NoAnswer(_) | Self::NotSetUp(_) | Self::Broken => ErrorKind::Unreachable,
            Self::TooLong(_) => ErrorKind::TooLarge,
        };
        Error::new(kind, format!("{call}: {self}"))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no answer within the timeout"),
            Self::NoAnswer(error) => write!(f, "no answer: {}", reasons(chain(error))),
            Self::NotSetUp(why) => write!(f, "TLS cannot be set up: {why}"),
            Self::Broken => f.write_str("the connection broke in the middle of the answer"),
            Self::TooLong(limit) => write!(f, "the answer is longer than {limit} bytes"),
        }
    }
}

impl std::error::Error for Trouble {}
