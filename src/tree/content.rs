//! The bytes of one open file.

use std::sync::Arc;
use std::time::SystemTime;

use super::document::{Document, DocumentFile};
use super::refusal::Refusal;
use crate::secret::Secret;

/// A snapshot: what a file held when it was opened. Never changes under its reader.
pub struct Content {
    document: Arc<Document>,
    modified: SystemTime,
    file: DocumentFile,
    /// For files that are made from the keys; wiped with the handle.
    rendered: Option<Secret>,
}

impl Content {
    /// `modified` is what `stat` tells of this version.
    pub fn of(document: Arc<Document>, modified: SystemTime, file: &DocumentFile) -> Result<Self, Refusal> {
        let rendered = document.render(file)?;
        if rendered.is_none() && document.stored(file).is_none() {
            return Err(Refusal::NoSuchEntry);
        }
        Ok(Self { document, modified, file: file.clone(), rendered })
    }

    pub fn bytes(&self) -> &[u8] {
        let secret = self.rendered.as_ref().or_else(|| self.document.stored(&self.file));
        secret.map_or(&[], Secret::expose)
    }

    /// The provider's id of the version.
    pub fn version(&self) -> &str {
        &self.document.version
    }

    /// When the version was created.
    pub fn modified(&self) -> SystemTime {
        self.modified
    }
}
