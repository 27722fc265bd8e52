//! One thing that is wrong: where, what was expected, and what to do.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::place::Place;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// One thing that is wrong. Its texts never hold a credential.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    pub(super) severity: Severity,
    pub(super) message: String,
    pub(super) location: Location,
    /// What was expected, shown at the place itself.
    pub(super) label: Option<String>,
    /// Show the line up to the place's end only: what follows may be anything.
    pub(super) cut: bool,
    pub(super) also: Vec<(Place, String)>,
    pub(super) notes: Vec<String>,
    pub(super) helps: Vec<String>,
    /// It is about a file that the configuration names, and not about what is written.
    pub(super) is_of_a_file: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Location {
    Nowhere,
    File(PathBuf),
    Point { path: PathBuf, line: usize, column: usize },
    Place(Place),
}

impl Diagnostic {
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message.into())
    }

    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message.into())
    }

    fn new(severity: Severity, message: String) -> Self {
        let (also, notes, helps) = (Vec::new(), Vec::new(), Vec::new());
        let location = Location::Nowhere;
        Self { severity, message, location, label: None, cut: false, also, notes, helps, is_of_a_file: false }
    }

    pub fn at(mut self, place: Place) -> Self {
        self.location = Location::Place(place);
        self
    }

    /// A place in a file whose text is not to be shown. Line and column count from 1.
    pub fn at_point(mut self, path: &Path, line: usize, column: usize) -> Self {
        self.location = Location::Point { path: path.to_owned(), line, column };
        self
    }

    pub fn in_file(mut self, path: &Path) -> Self {
        self.location = Location::File(path.to_owned());
        self
    }

    /// Says at the place what was expected there.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Shows no more of the line than up to the place's end.
    pub fn cut(mut self) -> Self {
        self.cut = true;
        self
    }

    /// Another place that has to do with it.
    pub fn also(mut self, place: Place, label: impl Into<String>) -> Self {
        self.also.push((place, label.into()));
        self
    }

    /// About a file that the configuration names, and not about what is written.
    pub fn of_a_file(mut self) -> Self {
        self.is_of_a_file = true;
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.helps.push(help.into());
        self
    }
}

/// A name from a file for use in a message: in backticks, short, and with nothing in it that a terminal obeys.
pub fn quoted(name: &str) -> String {
    const LONGEST_NAME: usize = 80;
    let shown: String = name.chars().take(LONGEST_NAME).flat_map(char::escape_debug).collect();
    let shown = shown.replace("\\\"", "\"").replace("\\'", "'");
    if name.chars().count() > LONGEST_NAME { format!("`{shown}…`") } else { format!("`{shown}`") }
}
