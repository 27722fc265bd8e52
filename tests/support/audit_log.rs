//! The audit log's file, line by line.

use std::path::PathBuf;

use serde_json::Value;

use super::daemon::Place;

pub struct AuditFile {
    pub path: PathBuf,
}

impl AuditFile {
    /// `name` is below the place's folder.
    pub fn new(place: &Place, name: &str) -> Self {
        Self { path: place.path().join(name) }
    }

    /// `[audit]`, with `more` lines in it.
    pub fn section(&self, more: &str) -> String {
        format!("[audit]\nfile = {:?}\n{more}\n", self.path)
    }

    pub fn text(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap_or_default()
    }

    /// Every line so far.
    pub fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }

    /// The lines about a path.
    pub fn about(&self, path: &str) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["path"] == path).collect()
    }
}
