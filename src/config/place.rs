//! Where in which file something is written.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// One configuration file's path and text.
pub struct SourceFile {
    pub path: PathBuf,
    pub text: String,
    /// The file's turn in reading order; reports are sorted by it.
    pub order: usize,
}

/// Without the text: a file may hold what should not be in it.
impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SourceFile").field(&self.path).finish()
    }
}

/// A range of bytes of one file.
#[derive(Debug, Clone)]
pub struct Place {
    pub file: Arc<SourceFile>,
    pub span: Range<usize>,
}

/// The line of an offset, and the offset in it.
pub struct Line<'a> {
    /// Counted from 1.
    pub number: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The line without its end.
    pub text: &'a str,
    /// The byte offset of the line in its file.
    pub start: usize,
}

impl Place {
    pub fn line(&self) -> Line<'_> {
        line_at(&self.file.text, self.span.start)
    }

    /// The span as far as it is on its first line, in bytes of that line.
    pub fn span_in_line(&self, line: &Line<'_>) -> Range<usize> {
        let from = self.span.start.saturating_sub(line.start).min(line.text.len());
        let to = self.span.end.saturating_sub(line.start).clamp(from, line.text.len());
        from..to
    }
}

/// The line that `offset` is in. Offsets past the end, or inside of a character, are taken as the nearest
/// one before that is neither.
pub fn line_at(text: &str, offset: usize) -> Line<'_> {
    let offset = text.floor_char_boundary(offset);
    let before = text.get(..offset).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let rest = text.get(start..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default();
    Line {
        number: before.matches('\n').count() + 1,
        column: before.get(start..).unwrap_or_default().chars().count() + 1,
        text: line.strip_suffix('\r').unwrap_or(line),
        start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let line = line_at("a = 1\r\nü = 2\r\n", 10);
        assert_eq!((line.number, line.column, line.text, line.start), (2, 3, "ü = 2", 7));
    }

    #[test]
    fn an_offset_past_the_end_is_the_end() {
        let line = line_at("a = 1", 99);
        assert_eq!((line.number, line.column, line.text), (1, 6, "a = 1"));
        let line = line_at("", 1);
        assert_eq!((line.number, line.column, line.text), (1, 1, ""));
    }
}
