//! One version of one secret, split into keys.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::keys::{self, Keys};
use super::name::FileName;
use super::render;
use crate::cache::Remembered;
use crate::config::Format;
use crate::provider::{Error, Fetched, Lease};
use crate::secret::{Secret, wipe_stack};

/// What the cache keeps of a secret's version.
pub struct Document {
    pub keys: Keys,
    pub raw: Secret,
    /// The provider's id of this version.
    pub version: String,
    pub created: Option<SystemTime>,
    /// Where an operator finds it: ARN, path or URL.
    pub source: String,
    pub tags: Vec<(String, String)>,
    lease: Option<Lease>,
    was_read: AtomicBool,
}

/// The files that a version has besides its keys, never listed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DocumentFile {
    Key(FileName),
    /// `.raw`: the exact bytes as the provider holds them.
    Raw,
    /// `.json`: all keys as one JSON object.
    Json,
    /// `.env`: all keys as shell assignments.
    Env,
}

impl DocumentFile {
    pub fn name(&self) -> &str {
        match self {
            Self::Key(name) => name.as_str(),
            Self::Raw => ".raw",
            Self::Json => ".json",
            Self::Env => ".env",
        }
    }
}

impl Document {
    pub fn split(fetched: Fetched, format: Format) -> Result<Self, Error> {
        let Fetched { payload, version, created, source, tags, lease } = fetched;
        let keys = keys::split(&payload.raw, payload.keys, format)?;
        Ok(Self { keys, raw: payload.raw, version, created, source, tags, lease, was_read: AtomicBool::new(false) })
    }

    /// Is this the first read of what this fetch has brought? So each fetch that was of use is told once.
    pub fn is_first_read(&self) -> bool {
        !self.was_read.swap(true, Ordering::Relaxed)
    }

    /// The length in bytes of a file, or None where there is no such key.
    pub fn size(&self, file: &DocumentFile) -> io::Result<Option<usize>> {
        Ok(match file {
            DocumentFile::Key(name) => self.keys.get(name).map(|key| key.value.len()),
            DocumentFile::Raw => Some(self.raw.len()),
            DocumentFile::Json | DocumentFile::Env => self.render(file)?.map(|text| text.len()),
        })
    }

    /// A file that is made from the keys; None for those that stand as they are.
    pub fn render(&self, file: &DocumentFile) -> io::Result<Option<Secret>> {
        let rendered = match file {
            DocumentFile::Json => render::json(&self.keys),
            DocumentFile::Env => render::env(&self.keys),
            DocumentFile::Key(_) | DocumentFile::Raw => return Ok(None),
        };
        wipe_stack();
        rendered.map(Some)
    }

    /// The bytes of a file that stands as it is.
    pub fn stored(&self, file: &DocumentFile) -> Option<&Secret> {
        match file {
            DocumentFile::Key(name) => self.keys.get(name).map(|key| &key.value),
            DocumentFile::Raw => Some(&self.raw),
            DocumentFile::Json | DocumentFile::Env => None,
        }
    }
}

impl Remembered for Document {
    fn weight(&self) -> usize {
        let tags: usize = self.tags.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.raw.len() + self.keys.weight() + tags
    }

    fn valid_for(&self) -> Option<Duration> {
        self.lease.as_ref().map(|lease| lease.valid_for)
    }
}
