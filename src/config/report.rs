//! Everything that is wrong with a configuration.

use std::fmt;

use annotate_snippets::Renderer;

use super::diagnostic::{Diagnostic, Location, Severity};
use super::entry::Entry;
use super::render::render;

/// A report shows this many diagnostics and counts the rest.
const MOST: usize = 20;

/// Everything that is wrong, in the order of files and lines.
#[derive(Debug, Clone, Default)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    pub fn new(mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by_key(|diagnostic| match &diagnostic.location {
            Location::Place(place) => (place.file.order, place.span.start),
            _ => (0, 0),
        });
        Self { diagnostics }
    }

    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    /// For people; with `color` for a terminal.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let shown = self.diagnostics.iter().take(MOST).map(|diagnostic| render(diagnostic, &renderer));
        let mut text = shown.collect::<Vec<_>>().join("\n\n");
        if self.diagnostics.len() > MOST {
            text.push_str(&format!("\n\nand {} more", self.diagnostics.len() - MOST));
        }
        text
    }

    /// For machines: one entry per diagnostic.
    pub fn entries(&self) -> Vec<Entry> {
        self.diagnostics.iter().take(MOST).map(Entry::new).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}
