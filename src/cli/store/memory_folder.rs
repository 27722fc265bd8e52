//! A private folder in a memory file system, for a plaintext that an editor must see.

use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::cli::{Failure, Status};

/// From the kernel's `magic.h`.
const TMPFS_MAGIC: u64 = 0x0102_1994;
const RAMFS_MAGIC: u64 = 0x8584_58f6;

/// Overwritten and removed when dropped, whatever the editor left in it.
pub struct MemoryFolder {
    path: PathBuf,
}

impl MemoryFolder {
    /// Below `$XDG_RUNTIME_DIR` or `/dev/shm`, whichever is in memory.
    pub fn new() -> Result<Self, Failure> {
        let candidates = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).into_iter();
        let mut why = String::new();
        for parent in candidates.chain([PathBuf::from("/dev/shm")]).filter(|path| path.is_absolute()) {
            match is_memory(&parent) {
                Ok(true) => match Self::below(&parent) {
                    Ok(folder) => return Ok(folder),
                    Err(error) => why.push_str(&format!("\n  {}: {error}", parent.display())),
                },
                Ok(false) => why.push_str(&format!("\n  {}: on a disk", parent.display())),
                Err(error) => why.push_str(&format!("\n  {}: {error}", parent.display())),
            }
        }
        Err(Failure::new(
            Status::CannotCreate,
            format!("an editor needs the plaintext in a file, and there is no memory file system (tmpfs) for it:{why}"),
        ))
    }

    fn below(parent: &Path) -> io::Result<Self> {
        // Unguessable, so that nobody else can be there first.
        let random = RandomState::new().build_hasher().finish();
        let path = parent.join(format!("hushfs-edit-{random:016x}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }

    /// Writes a new file into it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?.write_all(bytes)?;
        Ok(path)
    }
}

impl Drop for MemoryFolder {
    fn drop(&mut self) {
        // Editors leave backups and swap files beside theirs.
        overwrite_below(&self.path);
        if let Err(error) = fs::remove_dir_all(&self.path) {
            super::note(&format!("{} could not be removed, and may hold a plaintext: {error}", self.path.display()));
        }
    }
}

fn overwrite_below(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => overwrite_below(&entry.path()),
            // What cannot be overwritten is still removed.
            Ok(kind) if kind.is_file() => drop(overwrite(&entry.path())),
            _ => {}
        }
    }
}

fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(0))?;
    io::copy(&mut io::Read::take(io::repeat(0), length), &mut file)?;
    Ok(())
}

fn is_memory(path: &Path) -> io::Result<bool> {
    // The field's type differs by architecture; the magic numbers fit 32 bits.
    let kind = rustix::fs::statfs(path)?.f_type as u64 & 0xFFFF_FFFF;
    Ok(kind == TMPFS_MAGIC || kind == RAMFS_MAGIC)
}
