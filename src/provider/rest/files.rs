//! Files that hold credentials: read anew whenever one is needed.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
#[cfg(any(feature = "azure", feature = "databricks", feature = "kubernetes"))]
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::provider::{Error, ErrorKind, regular_file};
use crate::sandbox;
use crate::secret::Secret;

/// Tokens and keys are short; what is larger is something else.
const LARGEST: u64 = 64 * 1024;

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
        }
    }
}

/// Who may read a file of credentials besides its owner and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Openness {
    Private,
    /// A token that Kubernetes or another platform puts there, as open as it likes.
    #[cfg_attr(not(test), allow(dead_code, reason = "not every build has a provider with such tokens"))]
    Any,
}

/// The file's state now; None where it cannot be looked at.
pub async fn stamp(path: &Path) -> Option<Stamp> {
    let looked = regular_file::at(path, |path| std::fs::metadata(path)).await;
    looked?.ok().map(|metadata| Stamp::of(&metadata))
}

/// Is what came from these files still what they say? A file that has gone takes nothing away.
#[cfg(any(feature = "azure", feature = "databricks", feature = "kubernetes"))]
pub async fn are_what_they_were(files: &[(PathBuf, Stamp)]) -> bool {
    for (path, then) in files {
        if stamp(path).await.is_some_and(|now| now != *then) {
            return false;
        }
    }
    true
}

/// A token or an id: one line of visible ASCII. `what` names the file in errors, such as `token_file`.
pub async fn word(what: &'static str, path: &Path, openness: Openness) -> Result<(Secret, Stamp), Error> {
    let (bytes, stamp) = whole(what, path, openness).await?;
    let shown = path.display().to_string();
    let word = as_word(&bytes).ok_or_else(|| {
        let why = if bytes.iter().all(u8::is_ascii_whitespace) { "is empty" } else { "holds more than one word" };
        Error::new(ErrorKind::CredentialsRejected, format!("{what} {shown} {why}"))
    })?;
    Ok((Secret::copy_from(word)?, stamp))
}

/// The word in `bytes`, white space around it removed: nothing else may be in an HTTP header.
pub fn as_word(bytes: &[u8]) -> Option<&[u8]> {
    let word = bytes.trim_ascii();
    (!word.is_empty() && word.iter().all(u8::is_ascii_graphic)).then_some(word)
}

/// All of a file.
pub async fn whole(what: &'static str, path: &Path, openness: Openness) -> Result<(Zeroizing<Vec<u8>>, Stamp), Error> {
    let read = regular_file::at(path, move |path| read(what, path, openness)).await;
    read.unwrap_or_else(|| Err(Error::new(ErrorKind::Unreachable, format!("reading {what} was given up"))))
}

fn read(what: &str, path: &Path, openness: Openness) -> Result<(Zeroizing<Vec<u8>>, Stamp), Error> {
    let shown = path.display();
    let rejected = |why: String| Error::new(ErrorKind::CredentialsRejected, format!("{what} {shown} {why}"));
    let file = regular_file::open(path).map_err(|error| unreadable(what, path, &error))?;
    let metadata = file.metadata().map_err(|error| unreadable(what, path, &error))?;
    let mode = metadata.mode() & 0o7777;
    if openness == Openness::Private && mode & 0o006 != 0 {
        return Err(rejected(format!(
            "is open to every user of this host (mode {mode:04o}), so what it holds counts as known; replace it, and \
             `chmod 600 {shown}`"
        )));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| unreadable(what, path, &error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(rejected("is too large to be a credential".into()));
    }
    Ok((bytes, Stamp::of(&metadata)))
}

fn unreadable(what: &str, path: &Path, error: &std::io::Error) -> Error {
    let kind = ErrorKind::of_unreadable_credentials(error);
    let withheld = sandbox::why_withheld(path, error);
    Error::new(kind, format!("{what} {} cannot be read: {error}{withheld}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_everybody_may_read_holds_no_credential_unless_a_platform_put_it_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "CANARY\n").unwrap();
        for (mode, private) in [(0o600, true), (0o640, true), (0o644, false), (0o602, false)] {
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
            let taken = read("token_file", &file, Openness::Private);
            assert_eq!(taken.is_ok(), private, "{mode:o}");
            if let Err(error) = taken {
                assert_eq!(error.kind, ErrorKind::CredentialsRejected);
                assert!(error.detail.contains("chmod 600") && !error.detail.contains("CANARY"), "{error}");
            }
            assert!(read("token_file", &file, Openness::Any).is_ok(), "{mode:o}");
        }
    }

    #[test]
    fn what_is_no_file_of_credentials_is_refused_and_never_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |path: &Path| read("token_file", path, Openness::Any).err().map(|error| error.kind);
        assert_eq!(kind(&folder.path().join("none")), Some(ErrorKind::CredentialsRejected));
        assert_eq!(kind(folder.path()), Some(ErrorKind::CredentialsRejected));
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert_eq!(kind(&fifo), Some(ErrorKind::CredentialsRejected));
        let large = folder.path().join("large");
        std::fs::write(&large, vec![b'x'; LARGEST as usize + 1]).unwrap();
        assert_eq!(kind(&large), Some(ErrorKind::CredentialsRejected));
    }

    #[test]
    fn a_token_is_one_word_whatever_white_space_is_around_it() {
        assert_eq!(as_word(b"  s.abc\r\n"), Some(&b"s.abc"[..]));
        for odd in [&b""[..], b" \n", b"a b", b"a\nb", b"a\0", "é".as_bytes(), b"\xff"] {
            assert_eq!(as_word(odd), None, "{odd:?}");
        }
    }
}
