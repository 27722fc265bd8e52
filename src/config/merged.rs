//! Several files as one.
//!
//! Files add to each other and never override: a setting that two files make, or a scope that two files
//! define, is a conflict. Otherwise a forgotten file could quietly change what another one says. Arrays of
//! tables such as `[[grant]]` have no names that could meet: all files' count, in reading order.

use std::collections::btree_map::Entry;

use super::diagnostic::{Diagnostic, quoted};
use super::written::{Item, Table, Value};

/// Adds the settings of `from` to `into`. On a conflict the one that was there stays.
pub fn merge(into: &mut Table, from: Table, problems: &mut Vec<Diagnostic>) {
    merge_below("", into, from, problems);
}

fn merge_below(parent: &str, into: &mut Table, from: Table, problems: &mut Vec<Diagnostic>) {
    for (name, item) in from {
        match into.entry(name) {
            Entry::Vacant(free) => {
                free.insert(item);
            }
            Entry::Occupied(mut taken) => {
                let name = taken.key().clone();
                let there = taken.get_mut();
                match (&mut there.value, item.value) {
                    (Value::Table(there), Value::Table(more)) if parent.is_empty() => {
                        merge_below(&name, there, more, problems);
                    }
                    (Value::Array(there), Value::Array(more))
                        if parent.is_empty() && all_tables(there) && all_tables(&more) =>
                    {
                        there.extend(more);
                    }
                    (_, value) => problems.push(conflict(parent, &name, there, &Item { value, ..item })),
                }
            }
        }
    }
}

fn all_tables(elements: &[Item]) -> bool {
    !elements.is_empty() && elements.iter().all(|element| matches!(element.value, Value::Table(_)))
}

fn conflict(parent: &str, name: &str, first: &Item, second: &Item) -> Diagnostic {
    let is_scope = parent == "scopes";
    let diagnostic = if is_scope {
        Diagnostic::error(format!("the scope {} is defined in two files", quoted(name)))
            .help("give one of them another name, or put all its settings into one file")
    } else {
        let within = if parent.is_empty() { String::new() } else { format!(" in [{parent}]") };
        Diagnostic::error(format!("{}{within} is set in two files", quoted(name)))
            .help("remove one of them: files add to each other and none overrides another")
    };
    let word = if is_scope { "defined" } else { "set" };
    diagnostic
        .at(second.key.clone())
        .label(format!("{word} again here"))
        .also(first.key.clone(), format!("first {word} here"))
}
