//! Where a mount's control socket and lock are.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// A mount's place in the run-time directory of the user.
pub struct Place {
    pub socket: PathBuf,
    /// Held as long as the daemon lives, so that two do not mount at one place.
    _lock: File,
}

/// Makes the directory and takes the lock. None where another daemon holds it.
pub fn place(mountpoint: &Path, configured: Option<&Path>) -> io::Result<Option<Place>> {
    let directory = runtime_directory();
    make_private(&directory)?;
    // A hash, because a socket's path is limited to 107 bytes and a mountpoint's is not.
    let name = format!("{:016x}", fnv1a(mountpoint.as_os_str().as_bytes()));
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(directory.join(format!("{name}.lock")))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    }
    let socket = configured.map_or_else(|| directory.join(format!("{name}.sock")), Path::to_owned);
    Ok(Some(Place { socket, _lock: lock }))
}

fn runtime_directory() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/run/hushfs");
    }
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|directory| Path::new(directory).is_absolute()) {
        Some(directory) => Path::new(&directory).join("hushfs"),
        None => std::env::temp_dir().join(format!("hushfs-{}", rustix::process::geteuid().as_raw())),
    }
}

/// A directory that is ours alone; someone else may have been there first in a shared place.
fn make_private(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = std::fs::symlink_metadata(directory)?;
    if found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    let why = format!("{} belongs to someone else, or others may write to it", directory.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// FNV-1a, 64 bits: a name, not a secret, and the same in every version of hushfs.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
