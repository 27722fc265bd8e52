//! Arrays of tables, such as `[[grant]]`.

use super::as_table;
use super::section::Section;
use crate::config::diagnostic::Diagnostic;
use crate::config::written::{Item, Value};

/// The tables of an array; `title` is their header. None where there are none, or something else is there.
pub fn all<'a>(root: &Section<'a>, key: &'static str, title: &str) -> Option<&'a [Item]> {
    let item = root.get(key)?;
    let wrong_type = Diagnostic::error(format!("`{key}` has the wrong type"))
        .at(item.place.clone())
        .label(format!("expected tables {title}, found {}", item.value.type_name()));
    match &item.value {
        Value::Array(elements) if elements.iter().all(|element| as_table(element).is_some()) => return Some(elements),
        Value::Table(_) => root.add(
            wrong_type.help(format!("write {title}, with two brackets: there may be several")).at(item.key.clone()),
        ),
        _ => root.add(wrong_type),
    }
    None
}

/// The texts of a list that must be there and hold something. Clears `sound` where that is not so.
pub fn texts<'a>(
    section: &Section<'a>,
    title: &str,
    key: &'static str,
    expected: &str,
    table: &Item,
    sound: &mut bool,
) -> Vec<(&'a str, &'a Item)> {
    let Some(item) = section.get(key) else {
        section.add(
            Diagnostic::error(format!("{title} has no `{key}`"))
                .at(table.key.clone())
                .label(format!("expected the setting `{key}`: {expected}")),
        );
        *sound = false;
        return Vec::new();
    };
    let found = section.texts(key, expected);
    *sound &= found.is_some();
    if found.as_ref().is_some_and(Vec::is_empty) {
        let what = title.trim_matches(['[', ']']);
        section.add(
            Diagnostic::error(format!("{} is empty, so the {what} can never apply", section.name(key)))
                .at(item.place.clone())
                .label(format!("expected {expected}")),
        );
        *sound = false;
    }
    found.unwrap_or_default()
}
