//! From an age file's bytes to the value.

use std::io::{self, Read, Write};
use std::path::Path;

use age::armor::ArmoredReader;
use age::{DecryptError, Decryptor, Identity, IdentityFile, NoCallbacks};
use zeroize::Zeroizing;

use crate::provider::{Error, ErrorKind};
use crate::secret::{Secret, SecretWriter};

/// Decrypts `ciphertext`, binary or armored, straight into locked memory; stops past `max` bytes.
/// `file` and `identity_path` are for messages.
pub fn decrypt(
    ciphertext: &[u8],
    identities: IdentityFile<NoCallbacks>,
    max: u64,
    file: &Path,
    identity_path: &Path,
) -> Result<Secret, Error> {
    let failed = |error| explain(error, file, identity_path);
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(ciphertext)).map_err(failed)?;
    if decryptor.is_scrypt() {
        return Err(Error::new(
            ErrorKind::Malformed,
            format!("{} is encrypted with a passphrase; encrypt it to a recipient instead", file.display()),
        ));
    }
    let identities = identities.into_identities().map_err(failed)?;
    let mut plaintext =
        decryptor.decrypt(identities.iter().map(|identity| &**identity as &dyn Identity)).map_err(failed)?;
    // What is left after the header bounds the plaintext, so the writer never has to move it.
    let mut value = SecretWriter::with_capacity(ciphertext.len().min(usize::try_from(max).unwrap_or(usize::MAX)))?;
    match pump(&mut plaintext, &mut value, max) {
        Ok(Pumped::All) => Ok(value.finish()),
        Ok(Pumped::TooMuch) => Err(too_large(file, max)),
        Err(error) => Err(failed(DecryptError::Io(error))),
    }
}

pub fn too_large(file: &Path, max: u64) -> Error {
    Error::new(ErrorKind::TooLarge, format!("{} is larger than max_secret_bytes ({max} bytes)", file.display()))
}

#[derive(PartialEq, Eq)]
pub enum Pumped {
    All,
    /// The source has more than `max` bytes.
    TooMuch,
}

/// Copies at most `max` bytes. The buffer is wiped; `std::io::copy` would leave values on the stack.
pub fn pump(from: &mut impl Read, to: &mut impl Write, max: u64) -> io::Result<Pumped> {
    let mut buffer = Zeroizing::new(vec![0; 16 * 1024]);
    let mut left = max;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(Pumped::All),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if count as u64 > left {
            return Ok(Pumped::TooMuch);
        }
        left -= count as u64;
        to.write_all(&buffer[..count])?;
    }
}

fn explain(error: DecryptError, file: &Path, identity_path: &Path) -> Error {
    let file = file.display();
    let damaged = |why: &str| Error::new(ErrorKind::Malformed, format!("{file} {why}"));
    match error {
        DecryptError::NoMatchingKeys => Error::new(
            ErrorKind::CredentialsRejected,
            format!(
                "{file} is not encrypted to the identity in {}; encrypt it again to that identity's recipient \
                 (`age-keygen -y`), or configure the identity that it is for",
                identity_path.display()
            ),
        ),
        DecryptError::InvalidHeader => damaged("is not an age file, or its beginning is damaged"),
        DecryptError::UnknownFormat => damaged("is an age file of a version that this hushfs does not know"),
        DecryptError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            damaged("is truncated, or not an age file")
        }
        DecryptError::Io(error) if error.kind() == io::ErrorKind::OutOfMemory => error.into(),
        DecryptError::DecryptionFailed
        | DecryptError::InvalidMac
        | DecryptError::KeyDecryptionFailed
        | DecryptError::ExcessiveWork { .. }
        | DecryptError::Io(_) => damaged("is damaged: it does not decrypt"),
        // The library's enum is open; anything new is a file that we cannot read.
        _ => damaged("cannot be decrypted by this hushfs"),
    }
}
