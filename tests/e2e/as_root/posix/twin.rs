//! The same tree on a tmpfs that is then mounted read-only.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Unmounted by its place, in whose folder it is.
pub struct Twin {
    root: PathBuf,
}

const FLAGS: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;

impl Twin {
    /// Of the secret's directory `secret` below `of`, with the files that are named.
    pub fn of(of: &Path, root: &Path, secret: &str, files: &[&str]) -> Self {
        fs::create_dir(root).unwrap();
        mount(root, FLAGS);
        let (from, to) = (of.join(secret), root.join(secret));
        let version = fs::read_link(from.join("@current")).unwrap();
        for folder in [to.clone(), to.join(&version)] {
            fs::create_dir_all(&folder).unwrap();
            for file in files {
                fs::write(folder.join(file), fs::read(from.join(file)).unwrap()).unwrap();
                fs::set_permissions(folder.join(file), fs::Permissions::from_mode(0o400)).unwrap();
            }
        }
        std::os::unix::fs::symlink(version, to.join("@current")).unwrap();
        mount(root, FLAGS | libc::MS_REMOUNT | libc::MS_RDONLY);
        Self { root: root.to_owned() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }
}

fn mount(at: &Path, flags: libc::c_ulong) {
    let at = CString::new(at.as_os_str().as_bytes()).unwrap();
    // SAFETY: three C strings and no data.
    let mounted = unsafe { libc::mount(c"twin".as_ptr(), at.as_ptr(), c"tmpfs".as_ptr(), flags, std::ptr::null()) };
    assert_eq!(mounted, 0, "{}", std::io::Error::last_os_error());
}
