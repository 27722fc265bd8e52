//! Keys: the files that one secret's value becomes.

use std::collections::BTreeMap;
use std::io;

use super::json;
use super::name::FileName;
use crate::config::Format;
use crate::provider::{Error, ErrorKind};
use crate::secret::Secret;

/// The file of a value that has no keys.
const WHOLE_VALUE: &str = "value";

/// One key and what its file holds.
pub struct Key {
    pub file: FileName,
    /// The provider's spelling.
    pub name: String,
    pub value: Secret,
}

/// All keys of one version of one secret.
pub struct Keys {
    /// Sorted by file name, each name once.
    shown: Vec<Key>,
    left_out: Vec<(String, String)>,
}

impl Keys {
    pub fn get(&self, file: &FileName) -> Option<&Key> {
        let at = self.shown.binary_search_by(|key| key.file.cmp(file)).ok()?;
        self.shown.get(at)
    }

    /// In the order of their file names.
    pub fn iter(&self) -> std::slice::Iter<'_, Key> {
        self.shown.iter()
    }

    pub fn len(&self) -> usize {
        self.shown.len()
    }

    pub fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// What has no file, and why: pairs of a name, as the provider spells it, and a reason.
    pub fn left_out(&self) -> &[(String, String)] {
        &self.left_out
    }

    /// Bytes of all values together.
    pub fn total_len(&self) -> usize {
        self.shown.iter().map(|key| key.value.len()).sum()
    }

    /// Bytes in memory, roughly: a value of many tiny keys costs far more than its own length.
    pub fn weight(&self) -> usize {
        let of_key = |key: &Key| size_of::<Key>() + key.file.as_str().len() + key.name.len() + key.value.len();
        let left_out = self.left_out.iter().map(|(name, why)| name.len() + why.len());
        self.shown.iter().map(of_key).sum::<usize>() + left_out.sum::<usize>()
    }

    /// Gives each name its file. `named` holds, by name, whether it was given more than once and what the
    /// last of them is.
    fn from_named<T>(
        named: BTreeMap<String, (bool, T)>,
        mut value: impl FnMut(T) -> io::Result<Secret>,
    ) -> io::Result<Self> {
        let mut keys = Self { shown: Vec::with_capacity(named.len()), left_out: Vec::new() };
        for (name, (repeated, content)) in named {
            if repeated {
                keys.left_out.push((name.clone(), "given more than once; the last one is shown".to_owned()));
            }
            match FileName::escape(&name) {
                Some(file) => keys.shown.push(Key { file, name, value: value(content)? }),
                None if name.is_empty() => keys.left_out.push((name, "an empty name cannot be a file".to_owned())),
                None => keys.left_out.push((name, "longer than 255 bytes as a file name".to_owned())),
            }
        }
        // Escaping changes the order of a few characters.
        keys.shown.sort_unstable_by(|a, b| a.file.cmp(&b.file));
        Ok(keys)
    }
}

impl<'a> IntoIterator for &'a Keys {
    type Item = &'a Key;
    type IntoIter = std::slice::Iter<'a, Key>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Splits a value into keys by the scope's format.
///
/// `native` are the keys of a provider or file format that has keys itself; they go before what `raw`
/// looks like, but not before an explicit `format = "raw"`. Fails only where `format = "json"` meets
/// something else, or where there is no memory for the values.
pub fn split(raw: &Secret, native: Option<Vec<(String, Secret)>>, format: Format) -> Result<Keys, Error> {
    match (format, native) {
        (Format::Raw, _) => whole(raw),
        (Format::Auto | Format::Json, Some(native)) => {
            let mut named = BTreeMap::new();
            for (name, value) in native {
                let repeated = named.contains_key(&name);
                named.insert(name, (repeated, value));
            }
            Ok(Keys::from_named(named, Ok)?)
        }
        (Format::Auto | Format::Json, None) => match json::object(raw.expose()) {
            Ok(object) => {
                let named = object.fields.into_iter().map(|(name, field)| (name, (field.repeated, field.text)));
                Ok(Keys::from_named(named.collect(), json::contents)?)
            }
            Err(_) if format == Format::Auto => whole(raw),
            Err(reason) => Err(Error::new(
                ErrorKind::Malformed,
                format!(
                    "the value is not a JSON object, which format = \"json\" asks for: {reason}; \
                     store a JSON object or set format = \"auto\""
                ),
            )),
        },
    }
}

/// One file with the exact bytes.
fn whole(raw: &Secret) -> Result<Keys, Error> {
    let value = Secret::copy_from(raw.expose())?;
    let named = BTreeMap::from([(WHOLE_VALUE.to_owned(), (false, value))]);
    Ok(Keys::from_named(named, Ok)?)
}

#[cfg(test)]
mod tests;
