//! A value that is nowhere but where it was put, and what it looks like once it has been encoded.

use std::collections::HashMap;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// So many bytes in a row are a part of the value, and no coincidence.
const PART: usize = 16;

/// What to look for.
pub struct Mark {
    pub value: String,
    part: usize,
    /// Every part of every form, as a number, and the form's name.
    parts: HashMap<u128, &'static str>,
    /// What two bytes a part may begin with.
    beginnings: Vec<bool>,
}

/// One place where it is, or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    pub at: usize,
    /// In bytes.
    pub length: usize,
    pub form: &'static str,
}

impl Mark {
    /// A new one, of 97 characters: longer than what the kernel is answered without another copy. One of them is
    /// written differently in JSON.
    pub fn new() -> Self {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut bytes = [0; 96];
        let mut random = std::fs::File::open("/dev/urandom").expect("/dev/urandom");
        random.read_exact(&mut bytes).expect("random bytes");
        let mut value: String =
            bytes.iter().map(|&byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()])).collect();
        value.insert(48, '"');
        Self::of(value)
    }

    /// This text, of four characters or more.
    pub fn of(value: impl Into<String>) -> Self {
        let value = value.into();
        let part = value.len().min(PART);
        assert!(part >= 4, "too short to be told from anything");
        let (mut parts, mut beginnings) = (HashMap::new(), vec![false; 1 << 16]);
        for (form, bytes) in forms(&value) {
            for window in bytes.windows(part) {
                parts.entry(number(window)).or_insert(form);
                beginnings[beginning(window)] = true;
            }
        }
        Self { value, part, parts, beginnings }
    }

    /// Everywhere that it is in these bytes.
    pub fn sightings(&self, bytes: &[u8]) -> Vec<Sighting> {
        let mut found: Vec<Sighting> = Vec::new();
        let mut at = 0;
        while at + self.part <= bytes.len() {
            if bytes[at..].starts_with(&[0; 64]) {
                at += 64 - self.part + 1;
                continue;
            }
            let window = &bytes[at..at + self.part];
            if self.beginnings[beginning(window)]
                && let Some(form) = self.parts.get(&number(window))
            {
                match found.last_mut() {
                    Some(last) if last.at + last.length + 1 == at + self.part => last.length += 1,
                    _ => found.push(Sighting { at, length: self.part, form }),
                }
            }
            at += 1;
        }
        found
    }

    pub fn is_in(&self, bytes: &[u8]) -> bool {
        !self.sightings(bytes).is_empty()
    }
}

fn beginning(window: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([window[0], window[1]]))
}

fn number(window: &[u8]) -> u128 {
    window.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

fn forms(value: &str) -> Vec<(&'static str, Vec<u8>)> {
    let hexadecimal: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        ("plain", value.as_bytes().to_vec()),
        ("JSON", serde_json::to_string(value).expect("JSON").trim_matches('"').as_bytes().to_vec()),
        ("UTF-16", value.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("reversed", value.bytes().rev().collect()),
        ("hexadecimal", hexadecimal.to_uppercase().into_bytes()),
        ("hexadecimal", hexadecimal.into_bytes()),
    ];
    // What comes before it in what was encoded decides which bytes make up one digit.
    for before in 0..3 {
        let whole = &value.as_bytes()[before..];
        let whole = &whole[..whole.len() / 3 * 3];
        forms.push(("base64", STANDARD_NO_PAD.encode(whole).into_bytes()));
        forms.push(("base64", URL_SAFE_NO_PAD.encode(whole).into_bytes()));
    }
    forms
}
