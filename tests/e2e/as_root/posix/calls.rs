//! System calls that take a path.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libc::*;

pub struct Call {
    pub name: &'static str,
    /// With the path, and one in the same directory at which nothing is.
    make: fn(&CStr, &CStr) -> c_int,
}

/// 0 or an errno. A descriptor is closed again.
pub fn make(call: &Call, folder: &Path, path: &str) -> c_int {
    // Not `join`, which would tidy it.
    let text = [folder.as_os_str().as_bytes(), b"/", path.as_bytes()].concat();
    let (path, other) = (CString::new(text).unwrap(), folder.join("other"));
    let other = CString::new(other.as_os_str().as_bytes()).unwrap();
    let result = (call.make)(&path, &other);
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(-1);
    if result < 0 { errno } else { 0 }
}

fn opened(path: &CStr, flags: c_int) -> c_int {
    // SAFETY: a C string.
    let descriptor = unsafe { open(path.as_ptr(), flags, 0o600) };
    if descriptor >= 0 {
        // SAFETY: the descriptor opened above.
        unsafe { close(descriptor) };
    }
    descriptor
}

macro_rules! calls {
    ($($name:literal => |$path:ident, $other:ident| $body:expr;)*) => {
        // SAFETY, for all: C strings that live longer than the call, and buffers on the stack of the length that is told.
        &[$(Call { name: $name, make: |$path, $other| { let _ = $other; #[allow(unused_unsafe)] unsafe { $body } } }),*]
    };
}

pub const CALLS: &[Call] = calls! {
    "open to read" => |path, other| opened(path, O_RDONLY);
    "open to write" => |path, other| opened(path, O_WRONLY);
    "open for both" => |path, other| opened(path, O_RDWR);
    "open to append" => |path, other| opened(path, O_WRONLY | O_APPEND);
    "open to truncate" => |path, other| opened(path, O_RDONLY | O_TRUNC);
    "open to create and read" => |path, other| opened(path, O_RDONLY | O_CREAT);
    "open to create and write" => |path, other| opened(path, O_WRONLY | O_CREAT | O_TRUNC);
    "open to create anew" => |path, other| opened(path, O_RDWR | O_CREAT | O_EXCL);
    "open a directory" => |path, other| opened(path, O_RDONLY | O_DIRECTORY);
    "open no link" => |path, other| opened(path, O_RDONLY | O_NOFOLLOW);
    "open no link to write" => |path, other| opened(path, O_WRONLY | O_NOFOLLOW);
    "open as a place" => |path, other| opened(path, O_PATH);
    "open a link as a place" => |path, other| opened(path, O_PATH | O_NOFOLLOW);
    "open without access time" => |path, other| opened(path, O_RDONLY | O_NOATIME);
    "open without waiting" => |path, other| opened(path, O_RDONLY | O_NONBLOCK | O_SYNC);
    "open with flags that change nothing" => |path, other| opened(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_LARGEFILE);
    "creat" => |path, other| {
        let descriptor = creat(path.as_ptr(), 0o600);
        if descriptor >= 0 { close(descriptor) } else { descriptor }
    };
    "stat" => |path, other| { let mut it: stat = std::mem::zeroed(); stat(path.as_ptr(), &mut it) };
    "lstat" => |path, other| { let mut it: stat = std::mem::zeroed(); lstat(path.as_ptr(), &mut it) };
    "statfs" => |path, other| { let mut it: statfs = std::mem::zeroed(); statfs(path.as_ptr(), &mut it) };
    "is there" => |path, other| access(path.as_ptr(), F_OK);
    "may be read" => |path, other| access(path.as_ptr(), R_OK);
    "may be written" => |path, other| access(path.as_ptr(), W_OK);
    "may be executed" => |path, other| access(path.as_ptr(), X_OK);
    "is there itself" => |path, other| faccessat(AT_FDCWD, path.as_ptr(), F_OK, AT_SYMLINK_NOFOLLOW);
    "readlink" => |path, other| { let mut it = [0; 300]; readlink(path.as_ptr(), it.as_mut_ptr(), it.len()) as c_int };
    "readlink into nothing" => |path, other| { let mut it = [0; 1]; readlink(path.as_ptr(), it.as_mut_ptr(), 0) as c_int };
    "mkdir" => |path, other| mkdir(path.as_ptr(), 0o700);
    "mknod" => |path, other| mknod(path.as_ptr(), S_IFREG | 0o600, 0);
    "mknod of a device" => |path, other| mknod(path.as_ptr(), S_IFCHR | 0o600, makedev(1, 3));
    "mkfifo" => |path, other| mkfifo(path.as_ptr(), 0o600);
    "unlink" => |path, other| unlink(path.as_ptr());
    "rmdir" => |path, other| rmdir(path.as_ptr());
    "rename" => |path, other| rename(path.as_ptr(), other.as_ptr());
    "rename to it" => |path, other| rename(other.as_ptr(), path.as_ptr());
    "rename to itself" => |path, other| rename(path.as_ptr(), path.as_ptr());
    "exchange" => |path, other| renameat2(AT_FDCWD, path.as_ptr(), AT_FDCWD, path.as_ptr(), RENAME_EXCHANGE);
    "rename where nothing is" => |path, other| {
        renameat2(AT_FDCWD, path.as_ptr(), AT_FDCWD, other.as_ptr(), RENAME_NOREPLACE)
    };
    "link" => |path, other| link(path.as_ptr(), other.as_ptr());
    "link to it" => |path, other| link(other.as_ptr(), path.as_ptr());
    "link of what it means" => |path, other| {
        linkat(AT_FDCWD, path.as_ptr(), AT_FDCWD, other.as_ptr(), AT_SYMLINK_FOLLOW)
    };
    "symlink" => |path, other| symlink(other.as_ptr(), path.as_ptr());
    "chmod" => |path, other| chmod(path.as_ptr(), 0o777);
    "chmod to what it is" => |path, other| chmod(path.as_ptr(), 0o400);
    "chown" => |path, other| chown(path.as_ptr(), 1, 1);
    "chown to nobody else" => |path, other| chown(path.as_ptr(), u32::MAX, u32::MAX);
    "lchown" => |path, other| lchown(path.as_ptr(), 1, 1);
    "truncate" => |path, other| truncate(path.as_ptr(), 0);
    "truncate to more" => |path, other| truncate(path.as_ptr(), 1 << 20);
    "truncate to less than nothing" => |path, other| truncate(path.as_ptr(), -1);
    "times to now" => |path, other| utimensat(AT_FDCWD, path.as_ptr(), std::ptr::null(), 0);
    "times of the link" => |path, other| utimensat(AT_FDCWD, path.as_ptr(), std::ptr::null(), AT_SYMLINK_NOFOLLOW);
    "times to the epoch" => |path, other| {
        let times: [timespec; 2] = std::mem::zeroed();
        utimensat(AT_FDCWD, path.as_ptr(), times.as_ptr(), 0)
    };
    "setxattr" => |path, other| setxattr(path.as_ptr(), c"user.x".as_ptr(), c"1".as_ptr().cast(), 1, 0);
    "setxattr of a system's" => |path, other| {
        setxattr(path.as_ptr(), c"trusted.x".as_ptr(), c"1".as_ptr().cast(), 1, XATTR_CREATE)
    };
    "removexattr" => |path, other| removexattr(path.as_ptr(), c"user.x".as_ptr());
    "chdir" => |path, other| {
        // Of a child, which has a directory of its own.
        let child = fork();
        if child == 0 {
            let errno = if chdir(path.as_ptr()) == 0 { 0 } else { *__errno_location() };
            _exit(errno);
        }
        let mut status = 0;
        waitpid(child, &mut status, 0);
        *__errno_location() = WEXITSTATUS(status);
        if WEXITSTATUS(status) == 0 { 0 } else { -1 }
    };
    "execve" => |path, other| {
        let nothing = [std::ptr::null()];
        let child = fork();
        if child == 0 {
            execve(path.as_ptr(), nothing.as_ptr(), nothing.as_ptr());
            _exit(*__errno_location());
        }
        let mut status = 0;
        waitpid(child, &mut status, 0);
        *__errno_location() = WEXITSTATUS(status);
        -1
    };
};
