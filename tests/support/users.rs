//! Other users than root, and a mount namespace in which they may mount.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::daemon::{HUSHFS, Place};

/// A user who runs a daemon: fusermount3 wants one that has a name.
pub const NOBODY: u32 = 65534;
/// A user who has nothing to do with it, and has a name too: `daemon` on most systems.
pub const STRANGER: u32 = 1;

/// Runs `work` as another user, in a thread of its own.
pub fn as_user<T: Send>(uid: u32, work: impl FnOnce() -> T + Send) -> T {
    let thread = move || {
        // The raw calls change this thread alone; the library's would change the process.
        // SAFETY: no memory is passed.
        let failed = unsafe {
            libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) != 0
                || libc::syscall(libc::SYS_setresgid, uid, uid, uid) != 0
                || libc::syscall(libc::SYS_setresuid, uid, uid, uid) != 0
        };
        assert!(!failed, "cannot become user {uid}: {}; run the tests as root", std::io::Error::last_os_error());
        work()
    };
    let joined = std::thread::scope(|scope| scope.spawn(thread).join());
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Moves the calling thread, and what it starts, into a mount namespace of its own, where /dev/fuse is open
/// to everyone as on an ordinary system, and gives the place to `uid`. It ends with the thread.
pub fn private_mounts(place: &Place, uid: u32) {
    // SAFETY: no memory is passed. The new file creation mask is this thread's alone, as is the namespace.
    unsafe {
        let entered = libc::unshare(libc::CLONE_NEWNS);
        let why = std::io::Error::last_os_error();
        assert_eq!(entered, 0, "cannot have mounts of our own: {why}; run the tests as root");
        libc::umask(0);
    }
    mount(Path::new("none"), Path::new("/"), libc::MS_REC | libc::MS_PRIVATE);
    let path = place.path();
    let devices = path.join("dev");
    std::fs::create_dir(&devices).expect("a folder");
    mount(Path::new("tmpfs"), &devices, 0);
    let fuse = devices.join("fuse");
    // SAFETY: a C string.
    let made = unsafe { libc::mknod(c(&fuse).as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(10, 229)) };
    assert_eq!(made, 0, "cannot make a /dev/fuse: {}", std::io::Error::last_os_error());
    mount(&fuse, Path::new("/dev/fuse"), libc::MS_BIND);
    // Where the user can reach it, whatever folder it was built in.
    std::fs::write(path.join("hushfs"), "").expect("a file");
    mount(Path::new(HUSHFS), &path.join("hushfs"), libc::MS_BIND);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    for folder in ["mnt", "run"] {
        let folder = path.join(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::os::unix::fs::chown(&folder, Some(uid), Some(uid)).expect("an owner");
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).expect("permissions");
    }
}

/// Puts a file of these bytes in the place of another, in the calling thread's namespace.
pub fn replace(place: &Place, file: &str, text: &str) {
    let ours = place.path().join(file.replace('/', "_"));
    std::fs::write(&ours, text).expect("a file");
    assert!(Path::new(file).exists(), "{file} is missing: install the package fuse3");
    mount(&ours, Path::new(file), libc::MS_BIND);
}

/// Makes what is mounted below this folder from now on seen in copies that were made of it.
pub fn share_mounts(folder: &Path) {
    mount(folder, folder, libc::MS_BIND);
    mount(Path::new("none"), folder, libc::MS_SHARED);
}

/// A command of the binary, run by a user in the namespace made by [`private_mounts`].
pub fn hushfs_as(place: &Place, uid: u32, args: &[&str]) -> Command {
    let mut command = Command::new(place.path().join("hushfs"));
    command.args(args).arg("--config").arg(place.path().join("hushfs.toml"));
    command.uid(uid).gid(uid).env("XDG_RUNTIME_DIR", place.path().join("run")).env("HOME", "/");
    command.current_dir("/").stdin(std::process::Stdio::null());
    command
}

fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("no NUL")
}

/// Makes the folder `at` show `lower`, taking changes that are kept beside it. It ends with the calling
/// thread's namespace.
pub fn mount_overlay(lower: &Path, at: &Path) {
    let beside = |suffix: &str| {
        let folder = at.with_extension(suffix);
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    };
    let (upper, work) = (beside("changes"), beside("work"));
    std::fs::create_dir_all(at).expect("a folder");
    let options = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    mount_with(Path::new("overlay"), at, 0, &options);
}

/// Shows a folder at another one, in the calling thread's namespace.
pub fn bind(folder: &Path, at: &Path) {
    mount(folder, at, libc::MS_BIND);
}

pub fn mount(what: &Path, at: &Path, flags: libc::c_ulong) {
    mount_with(what, at, flags, "");
}

fn mount_with(what: &Path, at: &Path, flags: libc::c_ulong, options: &str) {
    let (what, at, options) = (c(what), c(at), c(Path::new(options)));
    // SAFETY: C strings; the type and the options are read only where the flags ask for a new mount.
    let done = unsafe {
        libc::mount(what.as_ptr(), at.as_ptr(), what.as_ptr(), flags, options.as_ptr().cast::<libc::c_void>())
    };
    assert_eq!(done, 0, "cannot mount at {at:?}: {}", std::io::Error::last_os_error());
}
