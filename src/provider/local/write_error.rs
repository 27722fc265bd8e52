//! What can go wrong when a folder is written to.

use std::fmt;
use std::io;

use crate::provider::Error;

/// The text never holds a value.
#[derive(Debug)]
pub enum WriteError {
    /// The name cannot be a file of the folder.
    Name(String),
    /// Something is there that would be overwritten or hidden.
    Exists(String),
    /// Nobody to encrypt to, or not understood who.
    Recipients(String),
    /// The value is no JSON, YAML or dotenv although its name says so, or too large.
    Value(String),
    /// The operating system refused.
    Io(String, io::ErrorKind),
    /// Reading what is there failed.
    Read(Error),
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        Self::Read(error)
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(text) | Self::Exists(text) | Self::Recipients(text) | Self::Value(text) | Self::Io(text, _) => {
                f.write_str(text)
            }
            Self::Read(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WriteError {}
