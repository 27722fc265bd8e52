//! One file's text as values that know where they are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::place::{Place, SourceFile};

/// A table's settings by name.
pub type Table = BTreeMap<String, Item>;

/// One setting as written.
#[derive(Debug)]
pub struct Item {
    /// Where its name is; of an array's element, where the element is.
    pub key: Place,
    /// Where its value is; of a table, its header.
    pub place: Place,
    pub value: Value,
}

#[derive(Debug)]
pub enum Value {
    String(String),
    /// None if it is too large for any setting.
    Integer(Option<i128>),
    Float(f64),
    Boolean(bool),
    Datetime,
    Array(Vec<Item>),
    Table(Table),
}

impl Value {
    /// With its article, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a floating-point number",
            Self::Boolean(_) => "a boolean",
            Self::Datetime => "a date or time",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

/// Parses one file. The first mistake ends it: what follows a syntax error can only be guessed at.
pub fn parse(file: &Arc<SourceFile>) -> Result<Table, Box<Diagnostic>> {
    match DeTable::parse(&file.text) {
        Ok(document) => Ok(table(file, document.into_inner())),
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            let (what, expected) = error.message().split_once(", expected ").unwrap_or((error.message(), ""));
            let label = match what {
                "duplicate key" => Some("already set above".to_owned()),
                "string values must be quoted" => Some("expected a value in quotation marks".to_owned()),
                _ => (!expected.is_empty()).then(|| format!("expected {expected}")),
            };
            let problem = Diagnostic::error(format!("this is not TOML: {what}")).at(Place { file: file.clone(), span });
            Err(match label {
                Some(label) => problem.label(label).into(),
                None => problem.into(),
            })
        }
    }
}

fn table(file: &Arc<SourceFile>, written: DeTable<'_>) -> Table {
    written
        .into_iter()
        .map(|(key, value)| {
            let place = |span| Place { file: file.clone(), span };
            let (key_place, value_place) = (place(key.span()), place(value.span()));
            let item = Item { key: key_place, place: value_place, value: self::value(file, value) };
            (key.into_inner().into_owned(), item)
        })
        .collect()
}

fn value(file: &Arc<SourceFile>, written: Spanned<DeValue<'_>>) -> Value {
    match written.into_inner() {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(number) => Value::Integer(i128::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(yes) => Value::Boolean(yes),
        DeValue::Datetime(_) => Value::Datetime,
        DeValue::Array(elements) => Value::Array(elements.into_iter().map(|written| element(file, written)).collect()),
        DeValue::Table(inner) => Value::Table(table(file, inner)),
    }
}

fn element(file: &Arc<SourceFile>, written: Spanned<DeValue<'_>>) -> Item {
    let place = Place { file: file.clone(), span: written.span() };
    Item { key: place.clone(), place, value: value(file, written) }
}
