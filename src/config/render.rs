//! A diagnostic with the line it is about.

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::conceal::must_hide;
use super::diagnostic::{Diagnostic, Location, Severity};
use super::place::Place;

/// Longer lines, in bytes, are named but not shown.
const LONGEST_LINE: usize = 400;

/// A diagnostic as text for people.
pub fn render(diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut elements = match &diagnostic.location {
        Location::Nowhere => Vec::new(),
        Location::File(path) => vec![Origin::path(path.display().to_string()).into()],
        Location::Point { path, line, column } => {
            vec![Origin::path(path.display().to_string()).line(*line).char_column(*column).into()]
        }
        Location::Place(place) => show(place, diagnostic.label.as_deref(), AnnotationKind::Primary, diagnostic.cut),
    };
    for (place, label) in &diagnostic.also {
        elements.extend(show(place, Some(label), AnnotationKind::Context, false));
    }
    elements.extend(diagnostic.notes.iter().map(|note| Level::NOTE.message(note.as_str()).into()));
    elements.extend(diagnostic.helps.iter().map(|help| Level::HELP.message(help.as_str()).into()));
    let text =
        renderer.render(&[Group::with_title(level.primary_title(diagnostic.message.as_str())).elements(elements)]);
    // The renderer makes C0 controls visible; the terminal obeys C1 controls as well.
    text.replace(|c| ('\u{80}'..='\u{9f}').contains(&c), "\u{fffd}")
}

/// The place's line with a mark under it, or just its position where the line must not be seen.
fn show<'a>(place: &'a Place, label: Option<&'a str>, kind: AnnotationKind, cut: bool) -> Vec<Element<'a>> {
    let path = place.file.path.display().to_string();
    let line = place.line();
    let span = place.span_in_line(&line);
    let hidden = must_hide(&place.file.text, line.start);
    if hidden || line.text.len() > LONGEST_LINE {
        let why = if hidden {
            "the line is not shown: it may hold a credential"
        } else {
            "the line is not shown: it is too long"
        };
        let mut elements = vec![Origin::path(path).line(line.number).char_column(line.column).into()];
        elements.extend(label.map(|label| Level::NOTE.message(label).into()));
        elements.push(Level::NOTE.message(why).into());
        return elements;
    }
    let text = match line.text.get(..span.end) {
        // Of a table, what follows its name is the end of the header.
        Some(start) if cut && line.text.get(span.end..).is_some_and(|rest| rest.contains('=')) => format!("{start} …"),
        _ => line.text.to_owned(),
    };
    vec![Snippet::source(text).line_start(line.number).path(path).annotation(kind.span(span).label(label)).into()]
}
