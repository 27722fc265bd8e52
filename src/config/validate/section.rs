//! Reading one table's settings as the types they should have.
//!
//! Every reader answers None both for a setting that is not there and for one that is wrong; what is wrong
//! has been added to the problems.

use std::path::PathBuf;
use std::time::Duration;

use super::{Problems, as_table, text, unknown};
use crate::config::diagnostic::Diagnostic;
use crate::config::duration::{self, DurationError};
use crate::config::rate::{self, Rate};
use crate::config::size;
use crate::config::suggest::nearest;
use crate::config::written::{Item, Table, Value};

/// A table, the settings it may hold, and where to complain.
pub struct Section<'a> {
    /// Such as `[cache]`; empty for the top of a file.
    title: String,
    table: &'a Table,
    known: Vec<&'static str>,
    problems: &'a Problems,
}

impl<'a> Section<'a> {
    pub fn new(title: impl Into<String>, table: &'a Table, known: &[&[&'static str]], problems: &'a Problems) -> Self {
        Self { title: title.into(), table, known: known.concat(), problems }
    }

    pub fn title(&self) -> &str {
        &self.title
    }

    pub fn add(&self, problem: Diagnostic) {
        self.problems.add(problem);
    }

    /// Complains of every setting that the section may not hold.
    pub fn reject_unknown(&self) {
        for (name, item) in self.table.iter().filter(|(name, _)| !self.known.contains(&name.as_str())) {
            self.add(unknown::key(self, name, item, &self.known));
        }
    }

    /// The setting as written. Asking for one that is not among the known ones is a mistake of ours.
    pub fn get(&self, key: &'static str) -> Option<&'a Item> {
        debug_assert!(self.known.contains(&key), "`{key}` is not in config::keys for {}", self.title);
        self.table.get(key)
    }

    /// "`ttl` in `[cache]`"
    pub fn name(&self, key: &str) -> String {
        if self.title.is_empty() { format!("`{key}`") } else { format!("`{key}` in {}", self.title) }
    }

    pub fn wrong_type(&self, key: &str, item: &Item, expected: &str) -> Diagnostic {
        Diagnostic::error(format!("{} has the wrong type", self.name(key)))
            .at(item.place.clone())
            .label(format!("expected {expected}, found {}", item.value.type_name()))
    }

    fn wrong_value(&self, key: &str, item: &Item, expected: &str) -> Diagnostic {
        Diagnostic::error(format!("{} has a value that cannot be used", self.name(key)))
            .at(item.place.clone())
            .label(format!("expected {expected}"))
    }

    /// Complains of a value that has the right type and is wrong all the same.
    pub fn refuse(&self, key: &str, item: &Item, expected: &str) {
        self.add(self.wrong_value(key, item, expected));
    }

    pub fn table(&self, key: &'static str, header: &str) -> Option<&'a Table> {
        let item = self.get(key)?;
        let table = as_table(item);
        if table.is_none() {
            self.add(self.wrong_type(key, item, &format!("a table {header}")));
        }
        table
    }

    /// A table inside this one.
    pub fn inside(&self, key: &'static str, known: &[&'static str]) -> Option<Section<'a>> {
        let title = match self.title.strip_prefix("[[") {
            Some(_) => format!("`{key}` of {}", self.title),
            None => format!("{}.{key}]", self.title.trim_end_matches(']')),
        };
        let table = self.table(key, "{ method = … }")?;
        Some(Section::new(title, table, &[known], self.problems))
    }

    pub fn boolean(&self, key: &'static str) -> Option<bool> {
        let item = self.get(key)?;
        if let Value::Boolean(yes) = item.value {
            return Some(yes);
        }
        let problem = self.wrong_type(key, item, "true or false");
        self.add(match &item.value {
            Value::String(text) if text == "true" || text == "false" => problem.help("remove the quotation marks"),
            _ => problem,
        });
        None
    }

    /// Any text that is not empty and has no control character.
    pub fn string(&self, key: &'static str, expected: &str) -> Option<(&'a str, &'a Item)> {
        let item = self.get(key)?;
        match &item.value {
            Value::String(text) if text::is_plain(text) => Some((text, item)),
            Value::String(text) if text.is_empty() => {
                self.add(self.wrong_value(key, item, expected).note("the text is empty"));
                None
            }
            Value::String(_) => {
                self.add(self.wrong_value(key, item, expected).note("the text holds a control character"));
                None
            }
            _ => {
                self.add(self.wrong_type(key, item, expected));
                None
            }
        }
    }

    /// A list of texts, each with its place. None if anything else is in it.
    pub fn texts(&self, key: &'static str, expected: &str) -> Option<Vec<(&'a str, &'a Item)>> {
        let item = self.get(key)?;
        let Value::Array(elements) = &item.value else {
            let problem = self.wrong_type(key, item, expected);
            self.add(match &item.value {
                Value::String(_) => problem.help("put it into brackets"),
                _ => problem,
            });
            return None;
        };
        let mut found = Some(Vec::with_capacity(elements.len()));
        for element in elements {
            match &element.value {
                Value::String(text) if text::is_plain(text) => {
                    if let Some(found) = &mut found {
                        found.push((text.as_str(), element));
                    }
                    continue;
                }
                Value::String(text) => {
                    let what = if text.is_empty() { "the text is empty" } else { "the text holds a control character" };
                    self.add(self.wrong_value(key, element, expected).note(what));
                }
                _ => self.add(self.wrong_type(key, element, expected)),
            }
            found = None;
        }
        found
    }

    /// An absolute path.
    pub fn path(&self, key: &'static str) -> Option<(PathBuf, &'a Item)> {
        let (text, item) = self.string(key, "an absolute path")?;
        if text.starts_with('/') {
            return Some((PathBuf::from(text), item));
        }
        let problem = self.wrong_value(key, item, "an absolute path, one that starts with `/`");
        self.add(if text.starts_with(['~', '$']) {
            problem.note("`~` and variables are not expanded")
        } else {
            problem
        });
        None
    }

    pub fn duration(&self, key: &'static str) -> Option<(Duration, &'a Item)> {
        let item = self.get(key)?;
        let problem = match &item.value {
            Value::String(text) => match duration::parse(text) {
                Ok(duration) => return Some((duration, item)),
                Err(error) => self.wrong_value(key, item, duration::EXPECTED).help(error.help()),
            },
            other => {
                let problem = self.wrong_type(key, item, duration::EXPECTED);
                match other {
                    Value::Integer(Some(number)) if *number >= 0 => problem.help(duration::add_a_unit(number)),
                    Value::Integer(Some(_)) => problem.help(DurationError::Negative.help()),
                    _ => problem,
                }
            }
        };
        self.add(problem);
        None
    }

    /// A number of bytes, at least 1.
    pub fn size(&self, key: &'static str) -> Option<(u64, &'a Item)> {
        let item = self.get(key)?;
        let parsed = match &item.value {
            Value::String(text) => size::parse(text),
            Value::Integer(number) => size::parse(&number.map_or("99999999999999999999".to_owned(), |n| n.to_string())),
            _ => {
                self.add(self.wrong_type(key, item, size::EXPECTED));
                return None;
            }
        };
        match parsed {
            Ok(0) => self.add(self.wrong_value(key, item, "at least 1 byte")),
            Ok(bytes) => return Some((bytes, item)),
            Err(error) => self.add(self.wrong_value(key, item, size::EXPECTED).help(error.help())),
        }
        None
    }

    /// A number of calls in a time; None inside: as many as are wanted.
    pub fn rate(&self, key: &'static str) -> Option<Option<Rate>> {
        let item = self.get(key)?;
        let problem = match &item.value {
            Value::String(text) => match rate::parse(text) {
                Ok(rate) => return Some(rate),
                Err(error) => self.wrong_value(key, item, rate::EXPECTED).help(error.help()),
            },
            other => {
                let problem = self.wrong_type(key, item, rate::EXPECTED);
                match other {
                    Value::Integer(Some(number)) if *number > 0 => problem.help(rate::add_a_time(number)),
                    _ => problem,
                }
            }
        };
        self.add(problem);
        None
    }

    /// A share: above 0 and at most 1.
    pub fn share(&self, key: &'static str) -> Option<f64> {
        const EXPECTED: &str = "a number above 0 and at most 1, such as 0.8";
        let item = self.get(key)?;
        let number = match item.value {
            Value::Float(number) => number,
            Value::Integer(Some(1)) => 1.0,
            Value::Integer(_) => 0.0,
            _ => {
                self.add(self.wrong_type(key, item, EXPECTED));
                return None;
            }
        };
        // NaN is in no range.
        if number > 0.0 && number <= 1.0 {
            return Some(number);
        }
        self.add(self.wrong_value(key, item, EXPECTED));
        None
    }

    /// Tells that a setting is missing which the table at `whole` must have.
    pub fn require(&self, key: &'static str, expected: &str, whole: &Item) {
        if self.get(key).is_none() {
            self.add(
                Diagnostic::error(format!("{} has no `{key}`", self.title()))
                    .at(whole.place.clone())
                    .label(format!("expected the setting `{key}`: {expected}")),
            );
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&'static str, T)]) -> Option<T> {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let expected = words.join(" or ");
        let (text, item) = self.string(key, &expected)?;
        if let Some((_, meaning)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*meaning);
        }
        let problem = self.wrong_value(key, item, &expected);
        self.add(match nearest(text, choices.iter().map(|(word, _)| *word)) {
            Some(near) => problem.help(format!("did you mean \"{near}\"?")),
            None => problem,
        });
        None
    }
}
