//! The age identity file: the daemon's own credentials for a folder.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use age::{IdentityFile, NoCallbacks};
use zeroize::Zeroizing;

use crate::provider::{Error, ErrorKind};
use crate::sandbox;

/// Identity files are a few lines; what is larger is something else.
const LARGEST: u64 = 64 * 1024;

/// Reads an identity file. Done anew for every fetch, so that a rotation or a revocation shows at once.
pub fn read(path: &Path) -> Result<IdentityFile<NoCallbacks>, Error> {
    let shown = path.display();
    let rejected = |why: &str| Error::new(ErrorKind::CredentialsRejected, format!("the identity file {shown} {why}"));

    let file = open(path).map_err(|error| unreadable(path, "opened", &error))?;
    let meta = file.metadata().map_err(|error| unreadable(path, "read", &error))?;
    if !meta.is_file() {
        return Err(rejected("is not a regular file"));
    }
    if meta.mode() & 0o027 != 0 {
        return Err(rejected(&format!(
            "is open to others (mode {:04o}), so its key counts as known; make a new one, or, if nobody can have \
             read it, `chmod 600 {shown}`",
            meta.mode() & 0o7777
        )));
    }
    let mut text = Zeroizing::new(Vec::with_capacity(4096));
    file.take(LARGEST + 1).read_to_end(&mut text).map_err(|error| unreadable(path, "read", &error))?;
    if text.len() as u64 > LARGEST {
        return Err(rejected("is too large to be an age identity file"));
    }
    if text.starts_with(b"age-encryption.org/") || text.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----") {
        return Err(rejected(
            "is protected by a passphrase, which a daemon cannot type; give it an identity of its own \
             (`hushfs store init` makes one)",
        ));
    }
    // The parser's own error names a line, never its text; ours says what to do.
    let identities = IdentityFile::from_buffer(&text[..]).map_err(|_| {
        rejected("is not an age identity file (lines `AGE-SECRET-KEY-1…`; SSH keys and plugins are not supported)")
    })?;
    match identities.to_recipients() {
        Ok(recipients) if !recipients.is_empty() => Ok(identities),
        _ => Err(rejected("holds no identity")),
    }
}

/// The public keys of an identity file, as `age` writes them.
pub fn recipients(path: &Path) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    read(path)?.write_recipients_file(&mut lines).map_err(|_| {
        Error::new(ErrorKind::CredentialsRejected, format!("the identity file {} has no recipient", path.display()))
    })?;
    Ok(String::from_utf8_lossy(&lines).lines().map(str::to_owned).collect())
}

fn unreadable(path: &Path, what: &str, error: &std::io::Error) -> Error {
    let kind = ErrorKind::of_unreadable_credentials(error);
    let withheld = sandbox::why_withheld(path, error);
    Error::new(kind, format!("the identity file {} cannot be {what}: {error}{withheld}", path.display()))
}

/// Never hangs on a FIFO.
fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}
