//! What is said of a configuration, for who has its texts and no files.

use std::sync::Arc;

use super::place::SourceFile;
use super::report::Report;
use super::{merged, validate, written};

/// Of files with these texts, in this order.
pub fn judged(texts: &[String]) -> Report {
    let mut problems = Vec::new();
    let mut whole = written::Table::new();
    for (order, text) in texts.iter().enumerate() {
        let file = Arc::new(SourceFile { path: "f.toml".into(), text: text.clone(), order });
        match written::parse(&file) {
            Ok(table) => merged::merge(&mut whole, table, &mut problems),
            Err(problem) => problems.push(*problem),
        }
    }
    problems.extend(validate::validate(&whole).1);
    Report::new(problems)
}
