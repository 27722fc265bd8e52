//! `prefix`: where the names of a scope's secrets start.

use super::section::Section;
use crate::config::written::Value;

/// The start of names, a text that is as `is_right` wants it; `otherwise` says what it has to be. Empty is what leaving it
/// out is.
pub fn read(section: &Section<'_>, expected: &str, is_right: fn(&str) -> bool, otherwise: &str) -> String {
    if let Some(Value::String(text)) = section.get("prefix").map(|item| &item.value)
        && text.is_empty()
    {
        return String::new();
    }
    let Some((text, item)) = section.string("prefix", expected) else { return String::new() };
    if !is_right(text) {
        section.refuse("prefix", item, otherwise);
    }
    text.to_owned()
}
