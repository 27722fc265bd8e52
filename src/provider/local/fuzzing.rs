//! What is in files that anybody may have written.

use std::collections::HashSet;
use std::io::BufReader;
use std::path::Path;

use ::age::{IdentityFile, NoCallbacks};

use super::names::{FileFormat, FileName, candidates, split};
use super::{decrypt, payload, sops as recognised};
use crate::fuzzing::{choice, is_told_in_one_line};
use crate::secret::Secret;

/// Made for this alone, and published here: it guards nothing.
const IDENTITY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";

const MAX: u64 = 64 << 10;

/// Every name is there once, and what is quoted for a shell reads back.
pub fn dotenv(bytes: &[u8]) {
    if let Ok(pairs) = super::dotenv::parse(bytes) {
        let names: HashSet<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.len(), pairs.len());
    }
    let pieces: Vec<&[u8]> = bytes.split(|byte| *byte == b'\'').collect();
    let quoted = [b"A='", &*pieces.join(&br"'\''"[..]), b"'\n"];
    assert_eq!(variables(&quoted.concat()), [("A".to_owned(), bytes.to_vec())]);
}

/// What a dotenv file of ours holds.
pub(crate) fn variables(text: &[u8]) -> Vec<(String, Vec<u8>)> {
    super::dotenv::parse(text).expect("what we have written we can read")
}

/// Aliases expand to no more than is allowed, and every name is there once.
pub fn yaml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let max = 4096;
    if let Ok(Some(fields)) = super::yaml::parse(text, max) {
        assert!(fields.iter().map(|(_, value)| value.len()).sum::<usize>() <= max);
        let names: HashSet<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.len(), fields.len());
    }
}

/// A file for an identity of ours, as a value of any format; and a file of identities.
pub fn age(bytes: &[u8]) {
    let (first, bytes) = choice(bytes);
    if first % 8 == 7 {
        let read = IdentityFile::<NoCallbacks>::from_buffer(BufReader::new(bytes));
        let _ = read.map(|file| file.to_recipients().map(|recipients| recipients.len()));
        return;
    }
    let identities = IdentityFile::from_buffer(IDENTITY.as_bytes()).expect("an identity");
    let file = Path::new("f.age");
    let value = is_told_in_one_line(decrypt::decrypt(bytes, identities, MAX, file, Path::new("identity")));
    if let Some(value) = &value {
        assert!(value.len() as u64 <= MAX);
    }
    let value = value.unwrap_or_else(|| Secret::copy_from(bytes).expect("memory"));
    let format = [FileFormat::Json, FileFormat::Yaml, FileFormat::Env, FileFormat::Bytes][usize::from(first % 4)];
    let _ = is_told_in_one_line(payload::payload(value, format, MAX, file));
}

/// Files of SOPS' are told from others, and the names of files are taken apart as they are put together.
pub fn sops(bytes: &[u8]) {
    for format in [FileFormat::Json, FileFormat::Yaml, FileFormat::Env, FileFormat::Bytes] {
        let _ = recognised::is_sops(bytes, format);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(name) = FileName::parse(text) {
        // A name that is read has a spelling that leads back to it.
        let spelled = candidates(name.leaf);
        assert!(spelled.iter().all(|(file, ..)| FileName::parse(file).is_some_and(|it| it.leaf == name.leaf)));
    }
    if let Some((folder, leaf)) = split(text) {
        assert_eq!(super::names::join(folder, leaf), text);
    }
}
