//! The names of a secret's keys, without its value.

use super::name::FileName;
use crate::cache::Remembered;

/// The files that a secret's keys are, as far as they can be files.
#[derive(Debug)]
pub struct KeyNames {
    /// Sorted, each once.
    files: Vec<FileName>,
}

impl KeyNames {
    /// Of the provider's spellings. What has no file is told of when the value comes.
    pub fn of(names: &[String]) -> Self {
        let mut files: Vec<_> = names.iter().filter_map(|name| FileName::escape(name)).collect();
        files.sort_unstable();
        files.dedup();
        Self { files }
    }

    /// In the order of their file names.
    pub fn iter(&self) -> std::slice::Iter<'_, FileName> {
        self.files.iter()
    }
}

impl Remembered for KeyNames {
    fn weight(&self) -> usize {
        self.files.iter().map(|file| size_of::<FileName>() + file.as_str().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::KeyNames;

    #[test]
    fn keys_are_named_as_their_files_and_what_cannot_be_a_file_is_left_out() {
        let names = ["b", "a/b", ".c", "", "b", "@d"].map(str::to_owned);
        let names = KeyNames::of(&[names.as_slice(), &["x".repeat(256)]].concat());
        let files: Vec<_> = names.iter().map(super::FileName::as_str).collect();
        assert_eq!(files, ["%2Ec", "%40d", "a%2Fb", "b"]);
    }
}
