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
    /// Held as long as the daemon lives, so that two do not mount at one place. None where there is no directory for it.
    _lock: Option<File>,
}

/// Makes the directory and takes the lock. None where another daemon holds it.
///
/// # Errors
/// Where the directory cannot be used, and the configuration names no socket elsewhere. It says what to do.
pub fn place(mountpoint: &Path, configured: Option<&Path>) -> io::Result<Option<Place>> {
    let directory = RuntimeDirectory::of_the_user();
    // A hash, because a socket's path is limited to 107 bytes and a mountpoint's is not.
    let name = format!("{:016x}", fnv1a(mountpoint.as_os_str().as_bytes()));
    let lock = match lock(&directory.path.join(format!("{name}.lock"))) {
        Ok(Some(lock)) => Some(lock),
        Ok(None) => return Ok(None),
        // What is mounted already is seen without it.
        Err(error) if configured.is_some() => {
            tracing::warn!(
                "two daemons that start at once at one mountpoint are not told apart: {}",
                directory.is(&error)
            );
            None
        }
        Err(error) => {
            let (why, remedy) = (directory.is(&error), directory.remedy());
            return Err(io::Error::new(error.kind(), format!("{why}; set `socket` in [control], or {remedy}")));
        }
    };
    let socket = configured.map_or_else(|| directory.path.join(format!("{name}.sock")), Path::to_owned);
    Ok(Some(Place { socket, _lock: lock }))
}

/// None where another daemon holds it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    if let Some(directory) = path.parent() {
        make_private(directory)?;
    }
    let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(lock)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Where locks and sockets are.
struct RuntimeDirectory {
    path: PathBuf,
    /// The variable that says so.
    named_by: Option<&'static str>,
}

impl RuntimeDirectory {
    fn of_the_user() -> Self {
        const VARIABLE: &str = "XDG_RUNTIME_DIR";
        let user = rustix::process::geteuid();
        if user.is_root() {
            return Self { path: PathBuf::from("/run/hushfs"), named_by: None };
        }
        match std::env::var_os(VARIABLE).filter(|directory| Path::new(directory).is_absolute()) {
            Some(directory) => Self { path: Path::new(&directory).join("hushfs"), named_by: Some(VARIABLE) },
            None => Self { path: std::env::temp_dir().join(format!("hushfs-{}", user.as_raw())), named_by: None },
        }
    }

    /// What is wrong with it.
    fn is(&self, error: &io::Error) -> String {
        let at = self.path.display();
        match self.named_by {
            Some(variable) => format!("the folder {at}, which is where {variable} says, cannot be used: {error}"),
            None => format!("the folder {at} cannot be used: {error}"),
        }
    }

    fn remedy(&self) -> String {
        match self.named_by {
            Some(variable) => format!("have {variable} name a folder of this user, or unset it"),
            None => "have the folder be this user's alone".to_owned(),
        }
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
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to someone else, or others may write to it"))
}

/// FNV-1a, 64 bits: a name, not a secret, and the same in every version of hushfs.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
