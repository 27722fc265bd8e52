//! Changes to a folder: one at a time, each whole or not at all.
//!
//! A value reaches the disk only encrypted. A file is written beside its place under a hidden name,
//! synced and renamed, so a reader meets the old one or the new one and a crash leaves either.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{
    AtFlags, FlockOperation, Gid, Mode, OFlags, Stat, Uid, fchmod, fchown, flock, fstat, fsync, mkdirat, openat,
    renameat, unlinkat,
};
use rustix::io::Errno;

use super::folder::Folder;
use super::names::{self, FileFormat, FileName};
use super::store::{SecretFile, Store};
use super::write_error::WriteError;
use super::{encrypt, payload, sops};
use crate::provider::{Fetched, VersionSelector};
use crate::secret::Secret;

/// A folder that nobody else writes to while this lives: read, change and write lose nothing.
pub struct Writer<'a> {
    store: &'a Store,
    /// Its descriptor holds the lock.
    folder: Folder,
}

/// What may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// Nothing: the name must be new.
    Nothing,
    /// A file of the same name and format.
    SameFormat,
    /// Whatever encrypted file has the name.
    Anything,
}

impl Store {
    /// Waits for other writers.
    pub fn lock(&self) -> Result<Writer<'_>, WriteError> {
        let folder = Folder::open(&self.settings.path)?;
        flock(folder.root(), FlockOperation::LockExclusive)
            .map_err(|errno| io_error(errno, format!("{} cannot be locked", self.settings.path.display())))?;
        Ok(Writer { store: self, folder })
    }

    /// The file that holds `name`; the inner error says why there is none.
    pub fn find(&self, name: &str) -> Result<Result<SecretFile, String>, WriteError> {
        Ok(self.resolve(&Folder::open(&self.settings.path)?, name)?)
    }

    /// Can `value` be served as `format`? Asked before it is encrypted, while the mistake can be seen.
    pub fn validate(&self, format: FileFormat, value: Secret, what: &str) -> Result<Secret, WriteError> {
        if value.len() as u64 > self.max {
            return Err(WriteError::Value(format!("{what} is larger than max_secret_bytes ({} bytes)", self.max)));
        }
        if sops::is_sops(value.expose(), format) {
            return Err(WriteError::Value(sops::advice(what, format)));
        }
        if format == FileFormat::Json
            && let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(value.expose())
        {
            // serde_json's own text can quote the input.
            return Err(WriteError::Value(format!("{what} line {} is not JSON", error.line())));
        }
        let payload = payload::payload(value, format, self.max, what.as_ref())
            .map_err(|error| WriteError::Value(error.detail))?;
        Ok(payload.raw)
    }
}

impl Writer<'_> {
    pub fn find(&self, name: &str) -> Result<Result<SecretFile, String>, WriteError> {
        Ok(self.store.resolve(&self.folder, name)?)
    }

    pub fn fetch(&self, name: &str) -> Result<Fetched, WriteError> {
        Ok(self.store.fetch(name, &VersionSelector::Current)?)
    }

    /// Encrypts `value` into the file for `name` and `format`. Gives the file's path inside the folder.
    pub fn put(&self, name: &str, format: FileFormat, value: &[u8], replace: Replace) -> Result<String, WriteError> {
        let (parent, file) = file_for(name, format)?;
        let inside = names::join(parent, &file);
        if value.len() as u64 > self.store.max {
            let max = self.store.max;
            return Err(WriteError::Value(format!("the value is larger than max_secret_bytes ({max} bytes)")));
        }
        let old = self.encrypted(name)?;
        if let Some(other) = old.iter().find(|old| replace == Replace::Nothing || old.inside != inside)
            && replace != Replace::Anything
        {
            return Err(WriteError::Exists(format!(
                "`{name}` is there already, in {}",
                self.folder.outside(&other.inside).display()
            )));
        }
        let recipients = encrypt::recipients(&self.folder, self.store.settings.identity.as_deref())?;
        let ciphertext = encrypt::encrypt(&recipients, value)?;
        let directory = self.make_directories(parent)?;
        let like = old.iter().find(|old| old.inside == inside).map(|old| &old.stat);
        self.write(&directory, &inside, &file, &ciphertext, like)?;
        for other in old.iter().filter(|old| old.inside != inside) {
            self.unlink(&other.inside)?;
        }
        Ok(inside)
    }

    /// Removes every file that would be served for `name`, and folders that this leaves empty.
    /// The paths removed; none if there was no such secret.
    pub fn remove(&self, name: &str) -> Result<Vec<String>, WriteError> {
        let mut removed = Vec::new();
        while let Ok(file) = self.find(name)? {
            self.unlink(&file.inside)?;
            removed.push(file.inside);
        }
        let mut parent = names::split(name).map_or("", |(parent, _)| parent);
        while !removed.is_empty() && !parent.is_empty() {
            let (above, last) = parent.rsplit_once('/').unwrap_or(("", parent));
            let Some(directory) = self.folder.directory(above)? else { break };
            // Fails, as it should, where something else is in it.
            if unlinkat(&directory, last, AtFlags::REMOVEDIR).is_err() {
                break;
            }
            parent = above;
        }
        Ok(removed)
    }

    /// The encrypted files of a name, the one that is served first.
    fn encrypted(&self, name: &str) -> Result<Vec<SecretFile>, WriteError> {
        let Some((parent, leaf)) = names::split(name) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for (file, format, plaintext) in names::candidates(leaf) {
            let inside = names::join(parent, &file);
            if !plaintext && let super::folder::Found::Regular(stat) = self.folder.look(&inside)? {
                found.push(SecretFile { inside, format, plaintext, stat });
            }
        }
        Ok(found)
    }

    /// Opens the sub-folder, making what is missing on the way. Never through a symbolic link.
    fn make_directories(&self, inside: &str) -> Result<OwnedFd, WriteError> {
        let failed = |errno| io_error(errno, format!("{} cannot be made", self.folder.outside(inside).display()));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut directory = openat(self.folder.root(), ".", flags, Mode::empty()).map_err(failed)?;
        for part in inside.split('/').filter(|part| !part.is_empty()) {
            let made = match mkdirat(&directory, part, Mode::RWXU) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(errno) => return Err(failed(errno)),
            };
            let next = openat(&directory, part, flags, Mode::empty()).map_err(failed)?;
            if made {
                give(&next, &fstat(&directory).map_err(failed)?);
                fsync(&directory).map_err(failed)?;
            }
            directory = next;
        }
        Ok(directory)
    }

    fn write(
        &self,
        directory: &OwnedFd,
        inside: &str,
        file: &str,
        ciphertext: &[u8],
        like: Option<&Stat>,
    ) -> Result<(), WriteError> {
        let failed = |errno| io_error(errno, format!("{} cannot be written", self.folder.outside(inside).display()));
        let (temporary, fd) = temporary(directory).map_err(failed)?;
        let written = (|| {
            let owner = match like {
                Some(stat) => {
                    fchmod(&fd, Mode::from_raw_mode(stat.st_mode & 0o777))?;
                    *stat
                }
                None => fstat(directory)?,
            };
            give(&fd, &owner);
            let mut fd = File::from(fd);
            fd.write_all(ciphertext)?;
            fd.sync_all()?;
            renameat(directory, &temporary, directory, file)?;
            fsync(directory)?;
            Ok::<(), io::Error>(())
        })();
        written.map_err(|error| {
            // After the rename there is nothing of this name left to remove.
            let _ = unlinkat(directory, &temporary, AtFlags::empty());
            let text = format!("{} cannot be written: {error}", self.folder.outside(inside).display());
            WriteError::Io(text, error.kind())
        })
    }

    fn unlink(&self, inside: &str) -> Result<(), WriteError> {
        let failed = |errno| io_error(errno, format!("{} cannot be removed", self.folder.outside(inside).display()));
        let (parent, file) = inside.rsplit_once('/').unwrap_or(("", inside));
        let Some(directory) = self.folder.directory(parent)? else { return Ok(()) };
        unlinkat(&directory, file, AtFlags::empty()).map_err(failed)?;
        fsync(&directory).map_err(failed)
    }
}

/// The folder and file for a name, if reading would give the same name back.
fn file_for(name: &str, format: FileFormat) -> Result<(&str, String), WriteError> {
    let Some((parent, leaf)) = names::split(name).filter(|_| !name.chars().any(char::is_control)) else {
        return Err(WriteError::Name(format!(
            "`{}` cannot be a name: components must not be empty, begin with `.` or hold control characters",
            name.escape_debug()
        )));
    };
    let file = format!("{leaf}{}.age", format.extension());
    match FileName::parse(&file) {
        Some(parsed) if parsed.leaf == leaf => Ok((parent, file)),
        Some(parsed) => Err(WriteError::Name(format!(
            "`{name}` cannot hold bytes of any kind, because {file} is the name of `{}` with that format; leave the \
             extension out and say the format",
            names::join(parent, parsed.leaf)
        ))),
        None => Err(WriteError::Name(format!("`{name}` cannot be a name"))),
    }
}

/// A new file that no listing shows.
fn temporary(directory: &OwnedFd) -> Result<(String, OwnedFd), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut number = 0;
    loop {
        let name = format!(".hushfs-{}-{number}.tmp", std::process::id());
        match openat(directory, &name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => return Ok((name, fd)),
            // Left by a crash.
            Err(Errno::EXIST) if number < 1000 => number += 1,
            Err(errno) => return Err(errno),
        }
    }
}

/// What root writes must stay readable for the daemon's user, who owns what is there. Others cannot give
/// files away and need not.
fn give(fd: &OwnedFd, like: &Stat) {
    let (uid, gid) = (Uid::from_raw(like.st_uid), Gid::from_raw(like.st_gid));
    let _ = fchown(fd, Some(uid), Some(gid));
}

fn io_error(errno: Errno, what: String) -> WriteError {
    let error = io::Error::from(errno);
    WriteError::Io(format!("{what}: {error}"), error.kind())
}
