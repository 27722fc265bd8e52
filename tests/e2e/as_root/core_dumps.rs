//! What an image of the daemon holds, and whether there is one.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use crate::support::daemon::{Daemon, Place, limit};
use crate::support::marked::Mark;
use crate::support::memory::family;
use crate::support::missing;
use crate::support::store::Store;

/// Has a debug build leave the limit on images as it is.
const KEEPS_LIMIT: &str = "HUSHFS_TEST_KEEPS_CORE_LIMIT";

fn mounted<'a>(place: &'a Place, mark: &Mark, settings: &str) -> Daemon<'a> {
    let store = Store::new(place.path());
    store.put("db.json.age", serde_json::json!({ "PASSWORD": mark.value }).to_string().as_bytes());
    place.configure(&(settings.to_owned() + &store.scope("app")));
    let mut command = place.hushfs(&["mount"]);
    // Where a kernel that is told nothing else puts an image.
    command.current_dir(place.path()).env(KEEPS_LIMIT, "1");
    limit(&mut command, libc::RLIMIT_CORE, libc::RLIM_INFINITY);
    let daemon = place.start(command);
    for file in ["PASSWORD", ".json", ".env"] {
        assert!(mark.is_in(&fs::read(place.mnt().join("app/db").join(file)).unwrap()));
    }
    daemon
}

/// Files of the folder that are called as images are.
fn images(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("core")).collect()
}

#[test]
fn a_daemon_that_aborts_leaves_no_image_even_where_root_allows_it_one() {
    let (place, mark) = (Place::new(), Mark::new());
    // The host may have them sent elsewhere; then there is no file of anybody's.
    let other = place.path().join("other");
    fs::create_dir(&other).unwrap();
    let script = "ulimit -c unlimited; kill -ABRT $$";
    let ended = Command::new("sh").args(["-c", script]).current_dir(&other).status().unwrap();
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if pattern.trim() == "core" {
        assert!(ended.core_dumped() && images(&other).len() == 1, "another program's image is seen");
    }

    // Without the layers that would keep any file from being written, too.
    for settings in ["", "[sandbox]\nuser = false\nlandlock = false\n"] {
        let place = Place::new();
        let mut daemon = mounted(&place, &mark, settings);
        let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.child.id())).unwrap();
        let is_allowed = |line: &str| line.starts_with("Max core file size") && line.contains("unlimited");
        assert!(limits.lines().any(is_allowed), "{limits}");
        daemon.signal(libc::SIGABRT);
        let status = daemon.wait();
        assert_eq!(status.signal(), Some(libc::SIGABRT));
        assert!(!status.core_dumped(), "{settings:?}: {status}");
        assert!(images(place.path()).is_empty(), "{settings:?}: {:?}", images(place.path()));
    }
}

#[test]
fn an_image_that_root_takes_of_the_daemon_has_no_value() {
    missing::program("gcore", "gdb");
    let (place, mark) = (Place::new(), Mark::new());
    let daemon = mounted(&place, &mark, "");
    let take = |of: u32, everything: bool| {
        let prefix = place.path().join(format!("image-{everything}"));
        let mut gcore = Command::new("gcore");
        if everything {
            gcore.arg("-a");
        }
        let output = gcore.arg("-o").arg(&prefix).arg(of.to_string()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let file = prefix.with_file_name(format!("image-{everything}.{of}"));
        let image = fs::read(&file).unwrap();
        fs::remove_file(file).unwrap();
        image
    };
    for process in family(daemon.child.id()) {
        let image = take(process, false);
        assert!(image.starts_with(b"\x7fELF") && image.len() > 100_000);
        assert_eq!(mark.sightings(&image), []);
    }
    assert!(mark.is_in(&take(daemon.child.id(), true)), "what is kept out of images is there if nothing is kept out");
    assert_eq!(daemon.stop().code(), Some(0));
}
