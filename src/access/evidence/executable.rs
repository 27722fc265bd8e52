//! What a process runs.
//!
//! The kernel shows a path that is true in the process's own mount namespace, and everybody may make one in
//! which any path is any file. So the file that the process runs is compared with the one that we find at
//! that path. We look no further than what the kernel remembers: it remembers the whole path of a file that
//! is being run, and to go on from there could lead into a mount of our own, and wait for ourselves.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags, openat, openat2, readlinkat, statx};

use rustix::io::Errno;

use super::thread::Thread;

/// How often a look is tried again that the kernel could not finish without waiting.
const RETRIES: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executable {
    shown: PathBuf,
    is_here: bool,
}

impl Executable {
    pub(super) fn of(thread: &Thread) -> Option<Self> {
        let shown = readlinkat(thread.directory(), "exe", Vec::new()).ok()?;
        let shown = PathBuf::from(OsString::from_vec(shown.into_bytes()));
        let is_here = is_what_runs(thread, &shown).unwrap_or(false);
        Some(Self { shown, is_here })
    }

    /// As somebody has found it who may look.
    pub(super) fn found(shown: PathBuf, is_here: bool) -> Self {
        Self { shown, is_here }
    }

    /// The path, if the file there is the one that runs. Not so for a file that was deleted or replaced
    /// since, nor in most containers.
    pub fn path(&self) -> Option<&Path> {
        self.is_here.then_some(&self.shown)
    }

    /// The path as the kernel shows it. For people to read, and not to be decided upon.
    pub fn shown(&self) -> &Path {
        &self.shown
    }
}

fn is_what_runs(thread: &Thread, path: &Path) -> Option<bool> {
    if !path.is_absolute() {
        return None;
    }
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let runs = openat(thread.directory(), "exe", flags, Mode::empty()).ok()?;
    let resolve = ResolveFlags::CACHED | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
    let look = || openat2(CWD, path, flags, Mode::empty(), resolve);
    let mut there = look();
    for _ in 0..RETRIES {
        // Somebody mounts or renames something somewhere at this moment; what is not remembered stays so.
        if there.as_ref().err() != Some(&Errno::AGAIN) {
            break;
        }
        std::thread::yield_now();
        there = look();
    }
    Some(file(&runs)? == file(&there.ok()?)?)
}

/// Which file it is, without asking its file system.
fn file(fd: &OwnedFd) -> Option<(u32, u32, u64)> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let found = statx(fd, "", flags, StatxFlags::INO).ok()?;
    Some((found.stx_dev_major, found.stx_dev_minor, found.stx_ino))
}
