//! To whom the folder's files are encrypted, and how.

use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

use age::Encryptor;
use age::x25519::Recipient;

use super::folder::Folder;
use super::write_error::WriteError;
use super::{decrypt, identity};

/// The file in a folder that names its recipients, one a line, instead of the identity's own.
pub const RECIPIENTS_FILE: &str = ".age-recipients";
const LARGEST: u64 = 64 * 1024;

/// The public keys of an identity file.
pub fn recipients_of(path: &Path) -> Result<Vec<Recipient>, WriteError> {
    parse(identity::recipients(path)?.join("\n").as_bytes(), &path.display().to_string())
}

/// Who must be able to decrypt what is written into the folder.
pub fn recipients(folder: &Folder, identity: Option<&Path>) -> Result<Vec<Recipient>, WriteError> {
    if let Some((mut file, _)) = folder.file(RECIPIENTS_FILE)? {
        let shown = folder.outside(RECIPIENTS_FILE).display().to_string();
        let mut lines = Vec::new();
        return match decrypt::pump(&mut file, &mut lines, LARGEST) {
            Ok(decrypt::Pumped::All) => parse(&lines, &shown),
            Ok(decrypt::Pumped::TooMuch) => Err(WriteError::Recipients(format!("{shown} is too large"))),
            Err(error) => Err(WriteError::Recipients(format!("{shown} cannot be read: {error}"))),
        };
    }
    match identity {
        Some(path) => recipients_of(path),
        None => Err(WriteError::Recipients(format!(
            "nobody to encrypt to: give an identity, or write recipients into {}",
            folder.outside(RECIPIENTS_FILE).display()
        ))),
    }
}

fn parse(lines: &[u8], shown: &str) -> Result<Vec<Recipient>, WriteError> {
    let mut recipients = Vec::new();
    for (i, line) in lines.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).enumerate() {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let recipient = std::str::from_utf8(line).ok().and_then(|text| Recipient::from_str(text).ok());
        recipients.push(recipient.ok_or_else(|| {
            // Not the line's text: it might be a private key in the wrong file.
            WriteError::Recipients(format!("{shown} line {} is not an age recipient (`age1…`)", i + 1))
        })?);
    }
    if recipients.is_empty() {
        return Err(WriteError::Recipients(format!("{shown} names no recipient")));
    }
    Ok(recipients)
}

/// An age file, binary.
pub fn encrypt(recipients: &[Recipient], value: &[u8]) -> Result<Vec<u8>, WriteError> {
    let encrypted = || -> Result<Vec<u8>, age::EncryptError> {
        let encryptor =
            Encryptor::with_recipients(recipients.iter().map(|recipient| recipient as &dyn age::Recipient))?;
        let mut ciphertext = Vec::with_capacity(value.len() + 1024);
        let mut writer = encryptor.wrap_output(&mut ciphertext)?;
        writer.write_all(value)?;
        writer.finish()?;
        Ok(ciphertext)
    };
    encrypted().map_err(|error| WriteError::Io(format!("cannot encrypt: {error}"), io::ErrorKind::Other))
}
