//! The folder's secrets: what is there, and the value of one. Blocking.

use std::fs::File;
use std::path::Path;

use rustix::fs::{Stat, fstat};
use sha2::{Digest, Sha256};

use super::folder::{Folder, Found, modified, same};
use super::names::{self, FileFormat};
use super::{decrypt, identity, listing, payload, sops};
use crate::config::LocalSettings;
use crate::provider::{Error, ErrorKind, Fetched, Known, Listing, Payload, Presence, VersionSelector};
use crate::secret::{Secret, SecretWriter};

/// How often a file that changes while it is read is read again.
const ATTEMPTS: usize = 3;

/// A folder of secrets.
#[derive(Debug, Clone)]
pub struct Store {
    pub settings: LocalSettings,
    /// The largest value, in bytes.
    pub max: u64,
}

/// The file that holds a secret.
#[derive(Debug)]
pub struct SecretFile {
    /// Its path inside the folder.
    pub inside: String,
    pub format: FileFormat,
    pub plaintext: bool,
    pub(super) stat: Stat,
}

/// A value and what is known of the file it came from.
struct Read {
    payload: Payload,
    version: String,
    stat: Stat,
}

impl Store {
    pub fn list(&self) -> Result<Listing, Error> {
        listing::list(self, &Folder::open(&self.settings.path)?)
    }

    pub fn look(&self, name: &str) -> Result<Presence, Error> {
        let folder = Folder::open(&self.settings.path)?;
        if names::split(name).is_none() {
            return Ok(Presence { secret: Known::No, children: Known::No, changed: None });
        }
        let file = self.resolve(&folder, name)?.ok();
        Ok(Presence {
            secret: if file.is_some() { Known::Yes } else { Known::No },
            children: listing::any_below(self, &folder, name),
            changed: file.and_then(|file| modified(&file.stat)),
        })
    }

    pub fn fetch(&self, name: &str, version: &VersionSelector) -> Result<Fetched, Error> {
        if *version == VersionSelector::Previous {
            return Err(not_found(format!("a local folder keeps no version of `{name}` but the current one")));
        }
        let folder = Folder::open(&self.settings.path)?;
        let mut attempt = 1;
        loop {
            let file = self.resolve(&folder, name)?.map_err(not_found)?;
            let error = match self.read(&folder, &file, version) {
                Ok(read) => {
                    return Ok(Fetched {
                        payload: read.payload,
                        version: read.version,
                        created: modified(&read.stat),
                        source: folder.outside(&file.inside).display().to_string(),
                        tags: Vec::new(),
                        lease: None,
                    });
                }
                Err(error) => error,
            };
            // Whoever writes in place, not by a rename, can be met in the middle.
            let now = folder.look(&file.inside)?;
            let unchanged = matches!(now, Found::Regular(stat) if same(&stat, &file.stat));
            if unchanged || attempt == ATTEMPTS {
                return Err(error);
            }
            attempt += 1;
        }
    }

    /// The file that holds `name`; the inner error says why there is none.
    pub fn resolve(&self, folder: &Folder, name: &str) -> Result<Result<SecretFile, String>, Error> {
        let Some((parent, leaf)) = names::split(name) else {
            return Ok(Err(format!("`{}` can be no name in a folder", name.escape_debug())));
        };
        let mut why = format!("there is no file for `{name}` in {}", self.settings.path.display());
        if !parent.is_empty() && folder.directory(parent)?.is_none() {
            return Ok(Err(why));
        }
        for (file, format, plaintext) in names::candidates(leaf) {
            let inside = names::join(parent, &file);
            match folder.look(&inside)? {
                Found::Regular(stat) => match self.judge(folder, &inside, format, plaintext)? {
                    Ok(()) => return Ok(Ok(SecretFile { inside, format, plaintext, stat })),
                    Err(reason) => why = format!("{} is not served: {reason}", folder.outside(&inside).display()),
                },
                Found::Unusable(reason) => {
                    why = format!("{} is not served: {reason}", folder.outside(&inside).display());
                }
                Found::Directory | Found::Absent => {}
            }
        }
        Ok(Err(why))
    }

    /// Is this regular file a secret? SOPS files are, so that asking for one says what to do about it.
    pub(super) fn judge(
        &self,
        folder: &Folder,
        inside: &str,
        format: FileFormat,
        plaintext: bool,
    ) -> Result<Result<(), &'static str>, Error> {
        if !plaintext || self.settings.allow_plaintext {
            return Ok(Ok(()));
        }
        // SOPS writes anything that is not YAML, JSON or dotenv as JSON, but a file without a telling
        // extension is too likely something else to be read at every listing.
        if format != FileFormat::Bytes
            && let Some((mut file, _)) = folder.file(inside)?
        {
            let mut bytes = Vec::new();
            if let Ok(decrypt::Pumped::All) = decrypt::pump(&mut file, &mut bytes, self.max_file_bytes())
                && sops::is_sops(&bytes, format)
            {
                return Ok(Ok(()));
            }
        }
        Ok(Err("it is not encrypted (`hushfs store import` encrypts it; `allow_plaintext = true` serves it as it is)"))
    }

    /// The largest file that can hold `max` bytes: base64 in lines of 64 makes 65/48 of them, each 64 KiB
    /// gets a tag, and the header grows with the recipients.
    fn max_file_bytes(&self) -> u64 {
        self.max.saturating_add(self.max / 2).saturating_add(128 * 1024)
    }

    fn read(&self, folder: &Folder, file: &SecretFile, version: &VersionSelector) -> Result<Read, Error> {
        let shown = folder.outside(&file.inside);
        let Some((mut open, stat)) = folder.file(&file.inside)? else {
            return Err(not_found(format!("{} was removed while it was read", shown.display())));
        };
        let limit = if file.plaintext { self.max } else { self.max_file_bytes() };
        if u64::try_from(stat.st_size).unwrap_or(0) > limit {
            return Err(decrypt::too_large(&shown, self.max));
        }
        let (raw, version) = if file.plaintext {
            let mut value = SecretWriter::with_capacity(usize::try_from(stat.st_size).unwrap_or(0))?;
            self.read_whole(&mut open, &mut value, &stat, limit, &shown)?;
            let raw = value.finish();
            let current = wanted(version, raw.expose(), &shown)?;
            if sops::is_sops(raw.expose(), file.format) {
                return Err(Error::new(ErrorKind::Malformed, sops::advice(&shown.display().to_string(), file.format)));
            }
            (raw, current)
        } else {
            let mut ciphertext = Vec::new();
            // The largest allocation there is: where there is no room for it, this read fails and not the daemon.
            let room = ciphertext.try_reserve_exact(usize::try_from(stat.st_size).unwrap_or(0));
            room.map_err(|_| std::io::Error::from(std::io::ErrorKind::OutOfMemory))?;
            self.read_whole(&mut open, &mut ciphertext, &stat, limit, &shown)?;
            let current = wanted(version, &ciphertext, &shown)?;
            (self.decrypt(&ciphertext, &shown)?, current)
        };
        Ok(Read { payload: payload::payload(raw, file.format, self.max, &shown)?, version, stat })
    }

    /// Everything that one descriptor gives; an error if it was written meanwhile.
    fn read_whole(
        &self,
        file: &mut File,
        to: &mut impl std::io::Write,
        before: &Stat,
        limit: u64,
        shown: &Path,
    ) -> Result<(), Error> {
        let unreadable = |error: std::io::Error| {
            Error::new(ErrorKind::Unreachable, format!("{} cannot be read: {error}", shown.display()))
        };
        if decrypt::pump(file, to, limit).map_err(unreadable)? == decrypt::Pumped::TooMuch {
            return Err(decrypt::too_large(shown, self.max));
        }
        let after = fstat(&*file).map_err(|errno| unreadable(errno.into()))?;
        // An unlinked file's ctime and link count change, its bytes do not.
        if (after.st_size, after.st_mtime, after.st_mtime_nsec)
            != (before.st_size, before.st_mtime, before.st_mtime_nsec)
        {
            return Err(Error::new(ErrorKind::Unreachable, format!("{} is being written", shown.display())));
        }
        Ok(())
    }

    /// The public keys of the identity that decrypts.
    pub fn whoami(&self) -> Result<String, Error> {
        let Some(path) = &self.settings.identity else {
            return Ok("a reader without an `identity`, who gets plaintext only".to_owned());
        };
        let keys = identity::recipients(path)?;
        Ok(format!("age identity {}", keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")))
    }

    fn decrypt(&self, ciphertext: &[u8], shown: &Path) -> Result<Secret, Error> {
        let Some(path) = &self.settings.identity else {
            return Err(Error::new(
                ErrorKind::CredentialsRejected,
                format!("{} is encrypted, and the scope has no `identity` to decrypt it with", shown.display()),
            ));
        };
        decrypt::decrypt(ciphertext, identity::read(path)?, self.max, shown, path)
    }
}

/// The version that a file's bytes are; an error if another is asked for.
fn wanted(version: &VersionSelector, bytes: &[u8], shown: &Path) -> Result<String, Error> {
    let digest = Sha256::digest(bytes);
    let current: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    match version {
        VersionSelector::Named(named) if *named != current => {
            Err(not_found(format!("{} is at version {current}, and a local folder keeps no other", shown.display())))
        }
        VersionSelector::Named(_) | VersionSelector::Current | VersionSelector::Previous => Ok(current),
    }
}

fn not_found(why: String) -> Error {
    Error::new(ErrorKind::NotFound, why)
}
