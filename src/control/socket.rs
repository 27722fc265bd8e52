//! A Unix socket at a path. It is bound before the daemon enters its sandbox, in which it may make and remove nothing.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind as bind_at, listen, socket_with};

use crate::broker;

/// Connections that wait to be accepted; the kernel has others wait before they are made.
const WAITING: i32 = 128;

/// One that is bound; whoever connects waits until it is served.
#[derive(Debug)]
pub struct Bound {
    pub listener: UnixListener,
    pub file: SocketFile,
}

/// The socket's file, gone on drop.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl SocketFile {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let removed = match broker::installed() {
            Some(broker) => broker.remove_socket(&self.0),
            None => remove_file(&self.0),
        };
        // It may be gone already, with its directory. The next daemon takes its place.
        let _ = removed;
    }
}

/// Removes a socket's file.
///
/// # Errors
/// Where it is none, or cannot be removed.
pub fn remove_file(path: &Path) -> io::Result<()> {
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    std::fs::remove_file(path)
}

/// Binds a socket, in place of one that a dead daemon left.
///
/// # Errors
///
/// Where the path is taken: by another daemon that answers, or by something that is not a socket.
pub fn bind(path: &Path, mode: u32) -> io::Result<Bound> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is something that is not a socket"));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => return Err(io::ErrorKind::AddrInUse.into()),
        Ok(_) => std::fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // Its file gets the socket's mode, less the umask: it is never open to more than it is to be, not even for a moment.
    fchmod(&socket, Mode::from_raw_mode(mode))?;
    bind_at(&socket, &SocketAddrUnix::new(path)?)?;
    // What the umask took.
    if std::fs::symlink_metadata(path)?.permissions().mode() & 0o7777 != mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    listen(&socket, WAITING)?;
    Ok(Bound { listener: socket.into(), file: SocketFile(path.to_owned()) })
}

#[cfg(test)]
mod tests {
    use rustix::fs::inotify;

    use super::*;

    #[test]
    fn the_file_has_its_mode_from_its_first_moment_on() {
        let folder = tempfile::tempdir().unwrap();
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        let events = inotify::WatchFlags::CREATE | inotify::WatchFlags::ATTRIB;
        inotify::add_watch(&watch, folder.path(), events).unwrap();
        let path = folder.path().join("socket");
        let _bound = bind(&path, 0o600).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let mut buffer = [std::mem::MaybeUninit::uninit(); 1024];
        let mut reader = inotify::Reader::new(&watch, &mut buffer);
        let mut seen = Vec::new();
        while let Ok(event) = reader.next() {
            seen.push(event.events());
        }
        assert_eq!(seen, [inotify::ReadFlags::CREATE], "its mode was changed after it was there");
    }
}
