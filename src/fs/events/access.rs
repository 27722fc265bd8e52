//! A way to our files through which they can be touched.
//!
//! As root: a mount of its own, in no namespace, so that nobody else's becomes writable and none is kept busy. The file
//! system is writable to the kernel for as long.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, openat, statx};
use rustix::io::Errno;
use rustix::mount::{FsPickFlags, OpenTreeFlags, fsconfig_reconfigure, fsconfig_set_flag, fspick, open_tree};

use super::Place;

/// Everything is as before on drop.
#[derive(Debug)]
pub struct Access {
    root: OwnedFd,
    is_borrowed: bool,
}

impl Access {
    /// # Errors
    /// Where our file system is not there any more, and where the kernel does not let us.
    pub fn to(place: &Place) -> io::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            // It was mounted writable, or there would be no events.
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let root = openat(CWD, &place.mountpoint, flags, Mode::empty())?;
            check(&root, place)?;
            return Ok(Self { root, is_borrowed: false });
        }
        let root = own_mount(place)?;
        set(&root, true)?;
        let access = Self { root, is_borrowed: true };
        set_mount_writable(&access.root)?;
        Ok(access)
    }

    /// The root directory, for another process.
    pub fn root(&self) -> io::Result<OwnedFd> {
        self.root.try_clone()
    }

    /// # Errors
    /// Where the file system stays writable to the kernel.
    pub fn end(mut self) -> io::Result<()> {
        self.give_back()
    }

    fn give_back(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.is_borrowed) { set(&self.root, false) } else { Ok(()) }
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        // Whoever wants to know asks `end`. The next who touches files gives it back as well.
        let _ = self.give_back();
    }
}

/// Makes the file system read-only to the kernel.
pub fn set_read_only(place: &Place) -> io::Result<()> {
    set(&own_mount(place)?, false)
}

fn own_mount(place: &Place) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    let root = open_tree(CWD, &place.mountpoint, flags)?;
    check(&root, place)?;
    Ok(root)
}

/// Is it ours? Asks the kernel alone.
fn check(root: &OwnedFd, place: &Place) -> io::Result<()> {
    let found = statx(root, "", AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC, StatxFlags::INO)?;
    if (found.stx_dev_major, found.stx_dev_minor) == place.device { Ok(()) } else { Err(Errno::XDEV.into()) }
}

/// The file system, however it is mounted.
fn set(root: &OwnedFd, is_writable: bool) -> io::Result<()> {
    let context = fspick(root.as_fd(), c"", FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH)?;
    fsconfig_set_flag(context.as_fd(), if is_writable { c"rw" } else { c"ro" })?;
    fsconfig_reconfigure(context.as_fd())?;
    Ok(())
}

fn set_mount_writable(root: &OwnedFd) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set: 0, attr_clr: libc::MOUNT_ATTR_RDONLY, propagation: 0, userns_fd: 0 };
    // SAFETY: the path is a C string, and the kernel reads the struct, which is as long as it is told.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            root.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            std::ptr::from_ref(&attributes),
            size_of_val(&attributes),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
