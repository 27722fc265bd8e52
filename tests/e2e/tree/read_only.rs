//! Whatever would change the tree is refused with EROFS, and changes nothing.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{errno, listed};
use crate::support::daemon::Place;
use crate::support::plain::PlainStore;

fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

fn result(code: i32) -> std::io::Result<()> {
    if code == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

fn place() -> (Place, PlainStore) {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("a.json", br#"{"k":"v"}"#);
    store.put("folder/b", b"x");
    (place, store)
}

#[test]
fn every_write_is_refused_with_erofs() {
    let (place, store) = place();
    let _daemon = place.mount(&store.scope("prod"));
    refuses_every_write(&place, &store);
}

/// A mount that is read-only to the kernel has it ask us nothing.
mod as_root {
    use super::*;

    #[test]
    fn every_write_is_refused_with_erofs_by_hushfs_itself_too() {
        let (place, store) = place();
        let daemon = place.mount(&store.scope("prod"));
        let flags = libc::MS_REMOUNT | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        let (path, none) = (c(&place.mnt()), std::ptr::null());
        // SAFETY: a C string; the rest is not read when a mount is changed.
        result(unsafe { libc::mount(none, path.as_ptr(), none, flags, none.cast()) }).unwrap();
        refuses_every_write(&place, &store);
        assert_eq!(daemon.stop().code(), Some(0));
    }
}

fn refuses_every_write(place: &Place, store: &PlainStore) {
    // Once never looked at, once known.
    for round in 0..2 {
        for directory in ["", "prod", "prod/a", "prod/folder", "prod/a/@current/"] {
            let new = place.mnt().join(directory).join("new");
            let (path, elsewhere) = (c(&new), c(&place.path().join("elsewhere")));
            fs::write(place.path().join("elsewhere"), "").unwrap();
            // SAFETY, for all calls below: C strings that live longer than the call.
            let attempts = [
                ("create", fs::File::create(&new).map(drop)),
                ("create_new", fs::File::create_new(&new).map(drop)),
                ("mkdir", fs::create_dir(&new)),
                ("symlink", std::os::unix::fs::symlink("x", &new)),
                ("mkfifo", result(unsafe { libc::mkfifo(path.as_ptr(), 0o600) })),
                (
                    "tmpfile",
                    result(
                        unsafe { libc::open(c(new.parent().unwrap()).as_ptr(), libc::O_TMPFILE | libc::O_RDWR, 0o600) }
                            .min(0),
                    ),
                ),
            ];
            for (what, attempt) in attempts {
                // O_TMPFILE is a matter of the file system before it is one of the mount.
                let refused = errno(attempt);
                let expected = refused == libc::EROFS || (what == "tmpfile" && refused == libc::EOPNOTSUPP);
                assert!(expected, "{what} in `{directory}`, round {round}: errno {refused}");
            }
            let moved = result(unsafe { libc::rename(elsewhere.as_ptr(), path.as_ptr()) });
            assert!([libc::EROFS, libc::EXDEV].contains(&errno(moved)), "rename into {directory}");
        }
        for existing in ["prod", "prod/a", "prod/a/k", "prod/a/.raw", "prod/folder"] {
            let old = place.mnt().join(existing);
            let is_directory = old.is_dir();
            let path = c(&old);
            let times = fs::File::open(&old).unwrap();
            let mut attempts = vec![
                ("chmod", fs::set_permissions(&old, fs::Permissions::from_mode(0o777))),
                ("chown", std::os::unix::fs::chown(&old, Some(1), Some(1))),
                ("utimens", times.set_modified(std::time::SystemTime::now())),
                ("rename", fs::rename(&old, old.with_file_name("new"))),
                (
                    "setxattr",
                    result(unsafe { libc::setxattr(path.as_ptr(), c"user.x".as_ptr(), c"1".as_ptr().cast(), 1, 0) }),
                ),
                (
                    "setxattr of ours",
                    result(unsafe {
                        libc::setxattr(path.as_ptr(), c"user.hushfs.version".as_ptr(), c"1".as_ptr().cast(), 1, 0)
                    }),
                ),
                ("removexattr", result(unsafe { libc::removexattr(path.as_ptr(), c"user.hushfs.version".as_ptr()) })),
            ];
            if is_directory {
                attempts.push(("rmdir", fs::remove_dir(&old)));
            } else {
                attempts.extend([
                    ("unlink", fs::remove_file(&old)),
                    ("open for writing", fs::File::options().write(true).open(&old).map(drop)),
                    ("open for both", fs::File::options().read(true).write(true).open(&old).map(drop)),
                    ("open for appending", fs::File::options().append(true).open(&old).map(drop)),
                    ("truncate", result(unsafe { libc::truncate(path.as_ptr(), 0) })),
                    ("link", fs::hard_link(&old, place.mnt().join("prod/a/new"))),
                ]);
            }
            for (what, attempt) in attempts {
                assert_eq!(errno(attempt), libc::EROFS, "{what} of `{existing}`, round {round}");
            }
        }
    }
    assert_eq!(listed(&place.mnt().join("prod")), ["a", "folder"]);
    assert_eq!(fs::read(place.mnt().join("prod/a/k")).unwrap(), b"v");
    assert_eq!(fs::read(store.path.join("a.json")).unwrap(), br#"{"k":"v"}"#);
}

#[test]
fn an_open_descriptor_takes_no_writes_but_locks_for_reading() {
    use std::io::Write;
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("a", b"x");
    let _daemon = place.mount(&store.scope("prod"));
    let mut file = fs::File::open(place.mnt().join("prod/a/value")).unwrap();
    assert_eq!(errno(file.write(b"y")), libc::EBADF);
    assert_eq!(errno(file.set_len(0)), libc::EINVAL);
    file.lock_shared().unwrap();
    file.unlock().unwrap();
    file.sync_all().unwrap();
}
