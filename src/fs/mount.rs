//! Attaching the tree to a directory, and taking it away, also after a daemon that died.
//!
//! As root with mount(2); otherwise through fusermount3, which is setuid for this.
//!
//! To the kernel the file system is read-only, but a user's where events are wanted: see [`events`]. Every way to write
//! is refused when it is asked of us as well.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType, recvmsg, socketpair,
};

use super::{events, mountinfo};
use crate::broker::{self, Broker};

/// The type that `mount`, `findmnt` and `/proc/mounts` show.
pub(super) const TYPE: &str = "fuse.hushfs";
/// As many symbolic links as the kernel follows.
const MOST_LINKS: usize = 40;
/// How long a mount may take to answer before it is taken for hung.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is at a mountpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No hushfs.
    Free,
    /// A hushfs that answers.
    Alive,
    /// A hushfs of another user, whom alone the kernel lets ask whether it answers.
    Closed,
    /// What a dead daemon left behind.
    Dead,
    /// A hushfs that does not answer.
    Hung,
}

/// Why mounting or unmounting failed, in words, with what to do.
#[derive(Debug)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// The path of the mountpoint itself, without a question to what is mounted there: that may be dead.
///
/// # Errors
///
/// Where the way to it does not exist, and for the root directory: unmounting that would take away the
/// whole system.
pub fn canonical(mountpoint: &Path) -> io::Result<PathBuf> {
    let mut path = mountpoint.to_owned();
    for _ in 0..MOST_LINKS {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            // It ends in `..`, or is the root.
            let found = path.canonicalize()?;
            if found.parent().is_none() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is the root directory"));
            }
            return Ok(found);
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent }.canonicalize()?;
        let place = parent.join(name);
        match std::fs::read_link(&place) {
            Ok(target) => path = parent.join(target),
            Err(_) => return Ok(place),
        }
    }
    Err(rustix::io::Errno::LOOP.into())
}

/// What is mounted at a canonical path.
pub fn state(mountpoint: &Path) -> io::Result<State> {
    if mountinfo::topmost(mountpoint)?.is_none_or(|mounted| mounted.kind != TYPE.as_bytes()) {
        return Ok(State::Free);
    }
    let (answer, answered) = mpsc::channel();
    let path = mountpoint.to_owned();
    // In a thread of its own, which is left behind if the mount hangs.
    let asking = thread::Builder::new().name("hushfs-probe".into()).spawn(move || {
        let _ = answer.send(question(&path));
    })?;
    let found = answered.recv_timeout(PATIENCE);
    if found.is_ok() {
        // The daemon enters its sandbox later, and must have no other thread then.
        let _ = asking.join();
    }
    Ok(match found {
        Ok(Err(rustix::io::Errno::NOTCONN | rustix::io::Errno::CONNABORTED)) => State::Dead,
        Ok(Err(rustix::io::Errno::ACCESS)) => State::Closed,
        Ok(_) => State::Alive,
        Err(_) => State::Hung,
    })
}

/// Waits until what is mounted there answers: for ever, if a daemon has it that hangs.
///
/// # Errors
/// Where it is dead.
pub fn ask(mountpoint: &Path) -> io::Result<()> {
    match question(mountpoint) {
        Err(errno @ (rustix::io::Errno::NOTCONN | rustix::io::Errno::CONNABORTED)) => Err(errno.into()),
        _ => Ok(()),
    }
}

/// Not stat: the kernel may answer that one from memory.
fn question(mountpoint: &Path) -> rustix::io::Result<usize> {
    rustix::fs::getxattr(mountpoint, super::xattr::CONTROL, &mut [0_u8; 4096])
}

/// A mount of ours. Taken away on drop, in use or not: a mount without a daemon helps nobody.
pub struct Mount {
    mountpoint: PathBuf,
    /// None where the table of mounts cannot be read.
    device: Option<Vec<u8>>,
    ended: bool,
}

impl Mount {
    /// That of an earlier daemon, which the kernel knows by `device`. None if something else is at the mountpoint by
    /// now.
    pub fn of(mountpoint: &Path, device: &str) -> io::Result<Option<Self>> {
        let there = mountinfo::topmost(mountpoint)?;
        let same = there.filter(|there| there.kind == TYPE.as_bytes() && there.device == device.as_bytes());
        Ok(same.map(|same| Self { mountpoint: mountpoint.to_owned(), device: Some(same.device), ended: false }))
    }

    /// As the kernel knows it, `major:minor`.
    pub fn device(&self) -> Option<&str> {
        std::str::from_utf8(self.device.as_deref()?).ok()
    }

    /// Where it is, for who touches files there; None where that is not known.
    pub fn place(&self) -> Option<events::Place> {
        let (major, minor) = self.device()?.split_once(':')?;
        let device = (major.parse().ok()?, minor.parse().ok()?);
        Some(events::Place { mountpoint: self.mountpoint.clone(), device, connection: None })
    }

    /// Is the file system read-only to the kernel, however it is mounted? None if it is gone.
    pub fn is_read_only(&self) -> io::Result<Option<bool>> {
        let there = mountinfo::topmost(&self.mountpoint)?;
        let ours = there.filter(|there| self.device.as_ref() == Some(&there.device));
        Ok(ours.map(|ours| ours.is_read_only))
    }

    /// Leaves it where it is, for the next daemon.
    pub fn leave(mut self) {
        self.ended = true;
    }

    /// Unmounts, unless someone else has done so. What they may have mounted in its place stays.
    pub fn end(mut self) -> Result<(), Error> {
        self.unmount()
    }

    fn unmount(&mut self) -> Result<(), Error> {
        self.ended = true;
        if self.is_gone() {
            return Ok(());
        }
        let unmounted = match (broker::installed(), self.device()) {
            (Some(broker), Some(device)) => broker.unmount(device).map_err(Error),
            _ => unmount(&self.mountpoint, true),
        };
        match unmounted {
            // Someone was quicker.
            Err(_) if self.is_gone() => Ok(()),
            result => result,
        }
    }

    /// Is it still to be seen, if only as what a connection that has ended left behind?
    pub fn is_there(&self) -> bool {
        match (&self.device, mountinfo::topmost(&self.mountpoint)) {
            (Some(ours), Ok(there)) => there.is_some_and(|there| there.device == *ours),
            _ => false,
        }
    }

    fn is_gone(&self) -> bool {
        match (&self.device, mountinfo::topmost(&self.mountpoint)) {
            (Some(ours), Ok(there)) => there.is_none_or(|there| there.device != *ours),
            _ => false,
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if !self.ended
            && let Err(error) = self.unmount()
        {
            tracing::error!("{error}");
        }
    }
}

/// Has the broker mount at the canonical path that it was started for.
///
/// # Errors
/// As [`mount`].
pub fn mount_through(broker: &Broker, mountpoint: &Path) -> Result<(OwnedFd, Mount), Error> {
    let (descriptor, device) = broker.mount().map_err(Error)?;
    let device = device.map(String::into_bytes);
    Ok((descriptor, Mount { mountpoint: mountpoint.to_owned(), device, ended: false }))
}

/// Mounts at a canonical path. The descriptor is the kernel's end: closing it ends the mount's life.
///
/// - `allow_other`: other users come to it, too;
/// - `events`: a user's mount is made such that there can be some.
///
/// # Errors
/// Where that cannot be, with what to do.
pub fn mount(mountpoint: &Path, allow_other: bool, events: bool) -> Result<(OwnedFd, Mount), Error> {
    let meta = std::fs::metadata(mountpoint).map_err(|error| {
        let what_to_do = match error.kind() {
            io::ErrorKind::NotFound => "make it with: mkdir -p",
            _ => "look at it with: ls -ld",
        };
        Error(format!("cannot mount at {0}: {error}; {what_to_do} {0}", mountpoint.display()))
    })?;
    if !meta.is_dir() {
        return Err(Error(format!("cannot mount at {}: it is not a directory", mountpoint.display())));
    }
    let descriptor = if rustix::process::geteuid().is_root() {
        mount_directly(mountpoint, allow_other)
    } else {
        mount_through_fusermount(mountpoint, allow_other, events)
    }?;
    let there = mountinfo::topmost(mountpoint).ok().flatten();
    let ours = there.filter(|mounted| mounted.kind == TYPE.as_bytes());
    let mount = Mount { mountpoint: mountpoint.to_owned(), device: ours.map(|ours| ours.device), ended: false };
    Ok((descriptor, mount))
}

fn mount_directly(mountpoint: &Path, allow_other: bool) -> Result<OwnedFd, Error> {
    use std::os::fd::AsRawFd;
    let device = std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").map_err(|error| {
        Error(format!(
            "cannot open /dev/fuse: {error}; load the module with: modprobe fuse \
             (in a container, start it with: --device /dev/fuse --cap-add SYS_ADMIN)"
        ))
    })?;
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let other = if allow_other { ",allow_other" } else { "" };
    let options =
        format!("fd={},rootmode=40000,user_id={uid},group_id={gid},default_permissions{other}", device.as_raw_fd());
    let options = std::ffi::CString::new(options).map_err(|_| Error("mount options hold a NUL".into()))?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("hushfs", mountpoint, TYPE, flags, Some(options.as_c_str()))
        .map_err(|errno| Error(format!("cannot mount at {}: {}", mountpoint.display(), io::Error::from(errno))))?;
    Ok(device.into())
}

fn mount_through_fusermount(mountpoint: &Path, allow_other: bool, events: bool) -> Result<OwnedFd, Error> {
    let failed = |error: &dyn fmt::Display| Error(format!("cannot speak to fusermount3: {error}"));
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(|errno| failed(&io::Error::from(errno)))?;
    let access = if events { "rw" } else { "ro" };
    let mut options = format!("fsname=hushfs,subtype=hushfs,{access},nosuid,nodev,noexec,default_permissions");
    if allow_other {
        options.push_str(",allow_other");
    }
    // The socket becomes its standard input, so no other descriptor has to be inherited.
    let child = Command::new("fusermount3")
        .args(["-o", &options, "--"])
        .arg(mountpoint)
        .env("_FUSE_COMMFD", "0")
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // A Ctrl-C is for us: in the middle of its work it would leave a mount that nobody serves.
        .process_group(0)
        .spawn()
        .map_err(|error| fusermount_missing(&error))?;
    let device = receive_descriptor(&ours);
    let output = child.wait_with_output().map_err(|error| failed(&error))?;
    match device {
        Ok(Some(device)) if output.status.success() => Ok(device),
        Ok(_) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let hint = if said.contains("user_allow_other") {
                "; add the line `user_allow_other` to /etc/fuse.conf, or set allow_other = false"
            } else {
                ""
            };
            Err(Error(format!("cannot mount at {}: {}{hint}", mountpoint.display(), said.trim())))
        }
        Err(error) => Err(failed(&error)),
    }
}

fn fusermount_missing(error: &io::Error) -> Error {
    Error(format!("cannot run fusermount3, which mounts for users other than root: {error}; install the package fuse3"))
}

/// The descriptor that fusermount3 sends with one byte; None where it sends none.
fn receive_descriptor(socket: &impl AsFd) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0_u8; 1];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok(descriptors.flatten().next())
}

/// Unmounts a canonical path. `lazy`: also when it is in use or does not answer; what is open then gets
/// errors once the daemon is gone.
pub fn unmount(mountpoint: &Path, lazy: bool) -> Result<(), Error> {
    let failed = |why: &dyn fmt::Display| Error(format!("cannot unmount {}: {why}", mountpoint.display()));
    if rustix::process::geteuid().is_root() {
        let flags = if lazy { UnmountFlags::DETACH } else { UnmountFlags::empty() } | UnmountFlags::NOFOLLOW;
        return rustix::mount::unmount(mountpoint, flags).map_err(|errno| match errno {
            rustix::io::Errno::BUSY => failed(&in_use(mountpoint)),
            errno => failed(&io::Error::from(errno)),
        });
    }
    let mut command = Command::new("fusermount3");
    command.arg("-u").args(lazy.then_some("-z")).arg("--").arg(mountpoint);
    let output = command.stdin(Stdio::null()).output().map_err(|error| fusermount_missing(&error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let hint = if said.contains("busy") { format!("; {}", in_use(mountpoint)) } else { String::new() };
    Err(failed(&format!("{}{hint}", said.trim())))
}

fn in_use(mountpoint: &Path) -> String {
    format!("it is in use; find by whom with: fuser -m {}; or add --lazy", mountpoint.display())
}

/// Unmounts a canonical path that nobody serves, and lets go whoever waits for it, whoever keeps the connection.
pub fn give_up(mountpoint: &Path) -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        return unmount(mountpoint, true);
    }
    // FORCE ends the connection, also where it is EBUSY, and then there is nothing that could hold DETACH up.
    let flags = UnmountFlags::FORCE | UnmountFlags::NOFOLLOW;
    let _ = rustix::mount::unmount(mountpoint, flags);
    if mountinfo::topmost(mountpoint).is_ok_and(|there| there.is_some_and(|it| it.kind == TYPE.as_bytes())) {
        return unmount(mountpoint, true);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mountpoint_that_is_a_link_is_where_the_link_leads() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("real/secrets")).unwrap();
        std::os::unix::fs::symlink("real", base.join("near")).unwrap();
        std::os::unix::fs::symlink("near/secrets/", base.join("far")).unwrap();
        std::os::unix::fs::symlink("self", base.join("self")).unwrap();
        let real = base.join("real/secrets");
        for written in ["far", "far/", "near/secrets", "real/secrets/.", "real/secrets/../../far"] {
            assert_eq!(canonical(&base.join(written)).unwrap(), real, "{written}");
        }
        assert_eq!(canonical(&base.join("missing")).unwrap(), base.join("missing"));
        assert!(canonical(&base.join("missing/below")).is_err());
        assert!(canonical(&base.join("self")).is_err());
    }

    #[test]
    fn the_root_directory_is_no_mountpoint_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/", &link).unwrap();
        for root in [Path::new("/"), Path::new("//"), Path::new("/."), Path::new("/proc/.."), &link] {
            assert_eq!(canonical(root).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{}", root.display());
        }
    }
}
