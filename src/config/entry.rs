//! A diagnostic for machines.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::diagnostic::{Diagnostic, Location, Severity};
use super::place::Place;

/// A diagnostic in `hushfs check --json` and `hushfs reload --json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entry {
    pub severity: Severity,
    pub message: String,
    #[serde(flatten)]
    pub position: Position,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Position>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub help: Vec<String>,
}

/// Line and column count from 1, the column in characters.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Position {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
}

/// One line, for a log.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { file, line, column } = &self.position;
        if let Some(file) = file {
            f.write_str(file)?;
            for number in [line, column].into_iter().flatten() {
                write!(f, ":{number}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)?;
        if let Some(expected) = &self.expected {
            write!(f, ": {expected}")?;
        }
        self.help.iter().try_for_each(|help| write!(f, "; {help}"))
    }
}

impl Entry {
    pub fn new(diagnostic: &Diagnostic) -> Self {
        Self {
            severity: diagnostic.severity,
            message: diagnostic.message.clone(),
            position: Position::of(&diagnostic.location),
            expected: diagnostic.label.clone(),
            related: diagnostic.also.iter().map(|(place, _)| Position::at(place)).collect(),
            notes: diagnostic.notes.clone(),
            help: diagnostic.helps.clone(),
        }
    }
}

impl Position {
    fn of(location: &Location) -> Self {
        match location {
            Location::Nowhere => Self::default(),
            Location::File(path) => Self { file: Some(path.display().to_string()), ..Self::default() },
            Location::Point { path, line, column } => {
                Self { file: Some(path.display().to_string()), line: Some(*line), column: Some(*column) }
            }
            Location::Place(place) => Self::at(place),
        }
    }

    fn at(place: &Place) -> Self {
        let line = place.line();
        Self { file: Some(place.file.path.display().to_string()), line: Some(line.number), column: Some(line.column) }
    }
}
