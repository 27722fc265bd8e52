//! The store's folder through one descriptor: no path that is opened here can lead out of it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2};
use rustix::io::Errno;

use crate::provider::{Error, ErrorKind};
use crate::sandbox;

pub struct Folder {
    root: OwnedFd,
    path: PathBuf,
}

/// The names in a folder and what the directory says they are.
pub type Entries = Vec<(Vec<u8>, FileType)>;

/// What is at a path inside the folder.
pub enum Found {
    Regular(Stat),
    Directory,
    /// Neither, and never opened; why.
    Unusable(&'static str),
    Absent,
}

impl Folder {
    pub fn open(path: &Path) -> Result<Self, Error> {
        match openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(root) => Ok(Self { root, path: path.to_owned() }),
            Err(errno) => Err(refused(errno, path, &format!("the folder {} cannot be opened", path.display()))),
        }
    }

    pub fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// Where an operator finds `inside`.
    pub fn outside(&self, inside: &str) -> PathBuf {
        if inside.is_empty() { self.path.clone() } else { self.path.join(inside) }
    }

    /// A sub-folder for reading its entries; the top for "". None if there is no such folder; symbolic
    /// links to folders are not followed, so a listing ends and shows nothing twice.
    pub fn directory(&self, inside: &str) -> Result<Option<OwnedFd>, Error> {
        let path = if inside.is_empty() { "." } else { inside };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        match self.open_beneath(path, flags, ResolveFlags::NO_SYMLINKS) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG) => Ok(None),
            Err(errno) => Err(self.failed(inside, errno)),
        }
    }

    /// The names in a sub-folder, without `.` and `..`. None if there is no such folder.
    pub fn entries(&self, inside: &str) -> Result<Option<Entries>, Error> {
        let Some(fd) = self.directory(inside)? else { return Ok(None) };
        let mut entries = Vec::new();
        for entry in Dir::new(fd).map_err(|errno| self.failed(inside, errno))? {
            let entry = entry.map_err(|errno| self.failed(inside, errno))?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                entries.push((name.to_vec(), entry.file_type()));
            }
        }
        Ok(Some(entries))
    }

    /// What is at `inside`, symbolic links followed as long as they stay in the folder. Opens nothing.
    pub fn look(&self, inside: &str) -> Result<Found, Error> {
        match self.open_beneath(inside, OFlags::PATH, ResolveFlags::NO_MAGICLINKS) {
            Ok(fd) => {
                let stat = fstat(&fd).map_err(|errno| self.failed(inside, errno))?;
                Ok(match FileType::from_raw_mode(stat.st_mode) {
                    FileType::RegularFile => Found::Regular(stat),
                    FileType::Directory => Found::Directory,
                    _ => Found::Unusable("it is not a regular file"),
                })
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => Ok(Found::Absent),
            Err(Errno::XDEV) => Ok(Found::Unusable(
                "it is a symbolic link that leads out of the folder (one that stays inside must be relative)",
            )),
            Err(Errno::LOOP) => Ok(Found::Unusable("it is a symbolic link that leads nowhere")),
            Err(errno) => Err(self.failed(inside, errno)),
        }
    }

    /// Opens a regular file for reading. Nothing else is ever opened, so nothing hangs.
    pub fn file(&self, inside: &str) -> Result<Option<(std::fs::File, Stat)>, Error> {
        // The look comes first because opening a device can do things; O_NONBLOCK because what is there
        // can be replaced in between.
        let Found::Regular(_) = self.look(inside)? else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        match self.open_beneath(inside, flags, ResolveFlags::NO_MAGICLINKS) {
            Ok(fd) => {
                let stat = fstat(&fd).map_err(|errno| self.failed(inside, errno))?;
                let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
                Ok(regular.then(|| (fd.into(), stat)))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failed(inside, errno)),
        }
    }

    fn open_beneath(&self, path: &str, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
        let mut left = 16;
        loop {
            let resolve = resolve | ResolveFlags::BENEATH;
            match openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                // The kernel could not tell whether `..` stayed inside, because something was renamed.
                Err(Errno::AGAIN | Errno::INTR) if left > 0 => left -= 1,
                other => return other,
            }
        }
    }

    /// The error for a call about `inside` that failed.
    pub fn failed(&self, inside: &str, errno: Errno) -> Error {
        let outside = self.outside(inside);
        refused(errno, &outside, &format!("{} cannot be read", outside.display()))
    }
}

fn refused(errno: Errno, path: &Path, what: &str) -> Error {
    let kind = match errno {
        Errno::ACCESS | Errno::PERM => ErrorKind::Denied,
        _ => ErrorKind::Unreachable,
    };
    let error = io::Error::from(errno);
    Error::new(kind, format!("{what}: {error}{}", sandbox::why_withheld(path, &error)))
}

/// When the file's bytes last changed.
pub fn modified(stat: &Stat) -> Option<SystemTime> {
    let nanos = Duration::from_nanos(stat.st_mtime_nsec);
    let base = match u64::try_from(stat.st_mtime) {
        Ok(seconds) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
        Err(_) => SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(stat.st_mtime.unsigned_abs())),
    };
    base?.checked_add(nanos)
}

/// Are these two looks at the same contents of the same file?
pub fn same(a: &Stat, b: &Stat) -> bool {
    let key = |s: &Stat| (s.st_dev, s.st_ino, s.st_size, s.st_mtime, s.st_mtime_nsec, s.st_ctime, s.st_ctime_nsec);
    key(a) == key(b)
}
