//! Commands with values in their memory: no image is made of them, and no other process of the same user looks into them.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::chown;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{ChildStdin, Command, Output, Stdio};

use rustix::io::ioctl_fionread;
use serde_json::{Map, Value};

use super::grants::{EACCES, grant, real};
use super::permissions::mount_as;
use crate::support::child::Guarded;
use crate::support::daemon::{HUSHFS, Place, eventually, limit};
use crate::support::plain::PlainStore;
use crate::support::store::Store;
use crate::support::users::{NOBODY, as_user, private_mounts};

/// Files of the folder that are called as images are.
fn images(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("core")).collect()
}

/// In a folder of the place, and with no limit on images.
fn without_a_limit<'a>(place: &Place, command: &'a mut Command) -> &'a mut Command {
    limit(command, libc::RLIMIT_CORE, libc::RLIM_INFINITY);
    command.current_dir(place.path())
}

/// The host may have images sent elsewhere; then there is no file of anybody's.
fn another_programs_image_is_seen() {
    let place = Place::new();
    let mut another = Command::new("sh");
    let ended = without_a_limit(&place, another.args(["-c", "kill -ABRT $$"])).status().unwrap();
    if fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap().trim() == "core" {
        assert!(ended.core_dumped() && images(place.path()).len() == 1, "another program's image is seen");
    }
}

/// Ends it by a signal whose default is an image.
fn ends_without_an_image(place: &Place, mut command: Guarded, signal: i32) {
    // SAFETY: our own child, not yet reaped.
    assert_eq!(unsafe { libc::kill(command.0.id().cast_signed(), signal) }, 0);
    let status = command.0.wait().unwrap();
    assert_eq!(status.signal(), Some(signal), "{status}");
    assert!(!status.core_dumped() && images(place.path()).is_empty(), "{status}: {:?}", images(place.path()));
}

/// `hushfs store set`, which has read a part of a value and waits for the rest.
fn setting(command: &mut Command, store: &Store) -> (Guarded, ChildStdin) {
    command
        .args(["store", "--path"])
        .arg(&store.path)
        .arg("--identity")
        .arg(&store.identity)
        .args(["set", "db", "KEY"]);
    let mut child = Guarded::spawn(command.stdin(Stdio::piped())).unwrap();
    let mut input = child.0.stdin.take().unwrap();
    input.write_all(b"a part of a val").unwrap();
    eventually("it has read that", || (ioctl_fionread(&input).unwrap() == 0).then_some(()));
    (child, input)
}

#[test]
fn a_command_that_is_given_a_value_leaves_no_image() {
    another_programs_image_is_seen();
    for signal in [libc::SIGQUIT, libc::SIGABRT] {
        let place = Place::new();
        let store = Store::new(place.path());
        let (child, _input) = setting(without_a_limit(&place, &mut Command::new(HUSHFS)), &store);
        ends_without_an_image(&place, child, signal);
    }
}

/// More than a pipe takes.
const MUCH: usize = 300_000;

#[test]
fn commands_that_have_read_values_leave_no_image() {
    another_programs_image_is_seen();
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("large.json", serde_json::json!({ "KEY": "x".repeat(MUCH) }).to_string().as_bytes());
    // Each of these is told of, and nobody listens.
    let mut odd: Map<String, Value> =
        (0..MUCH / 200).map(|number| (format!("no-name-{number:0>150}"), Value::from("x"))).collect();
    odd.insert("KEY".to_owned(), Value::from("value"));
    store.put("odd.json", Value::Object(odd).to_string().as_bytes());
    let _daemon = place.mount(&store.scope("prod"));

    let hushfs = |args: &[&str]| {
        let mut command = Command::new(HUSHFS);
        command.arg("--config").arg(place.path().join("hushfs.toml")).args(args).stdin(Stdio::null());
        command
    };
    for signal in [libc::SIGQUIT, libc::SIGABRT] {
        let mut env = hushfs(&["env", "prod/large"]);
        let mut env = Guarded::spawn(without_a_limit(&place, env.stdout(Stdio::piped()))).unwrap();
        let said = env.0.stdout.take().unwrap();
        eventually("it prints", || (ioctl_fionread(&said).unwrap() > 0).then_some(()));
        ends_without_an_image(&place, env, signal);

        let mut exec = hushfs(&["exec", "--secret", "prod/odd", "--", "true"]);
        let mut exec = Guarded::spawn(without_a_limit(&place, exec.stderr(Stdio::piped()))).unwrap();
        let said = exec.0.stderr.take().unwrap();
        eventually("it tells of what it leaves out", || (ioctl_fionread(&said).unwrap() > 0).then_some(()));
        ends_without_an_image(&place, exec, signal);
    }
}

#[test]
fn another_process_of_the_same_user_does_not_see_what_a_command_is_given() {
    let place = Place::new();
    let store = Store::new(place.path());
    private_mounts(&place, NOBODY);
    for path in [&store.path, &store.identity] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut command = Command::new(place.path().join("hushfs"));
    let (hidden, _input) = setting(command.uid(NOBODY).gid(NOBODY).current_dir("/"), &store);
    let mut other = Command::new("cat");
    other.uid(NOBODY).gid(NOBODY).current_dir("/").stdin(Stdio::piped()).env("SHOWN", "1");
    let mut other = Guarded::spawn(&mut other).unwrap();
    // Until then it is what it was started from.
    let other_program = || fs::read(format!("/proc/{}/comm", other.0.id())).ok().filter(|name| name == b"cat\n");
    eventually("another program runs", || other_program().map(drop));
    as_user(NOBODY, || {
        let shown = fs::read(format!("/proc/{}/environ", other.0.id())).unwrap();
        assert!(shown.windows(7).any(|part| part == b"SHOWN=1"), "that of another program is seen");
        for file in ["environ", "mem", "maps", "auxv"] {
            let opened = File::open(format!("/proc/{}/{file}", hidden.0.id()));
            let refused = opened.and_then(|mut file| file.read(&mut [0; 16])).unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied, "{file}");
        }
        // SAFETY: no memory is passed.
        let attached = unsafe { libc::ptrace(libc::PTRACE_SEIZE, hidden.0.id().cast_signed(), 0, 0) };
        assert_eq!((attached, std::io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EPERM)));
    });
    drop(other.0.stdin.take());
}

/// It has no capability to look into processes that are hidden; what is not known is matched by every deny.
#[test]
fn a_users_own_daemon_knows_commands_that_read_by_what_they_run() {
    let place = Place::new();
    let program = place.path().join("hushfs");
    let denied = grant("deny", &format!("exe:{}", real("cat")), "read", "prod/**");
    let _daemon = mount_as(&place, NOBODY, &format!("allow_other = true\n{denied}"));
    let by = |program: &Path, args: &[&str]| -> Output {
        Command::new(program).args(args).uid(NOBODY).gid(NOBODY).current_dir("/").output().unwrap()
    };
    let mnt = place.mnt();
    let mnt = mnt.to_str().unwrap();
    let key = format!("{mnt}/prod/db/KEY");
    let cat = by(Path::new("cat"), &[&key]);
    assert!(String::from_utf8_lossy(&cat.stderr).contains(EACCES), "{cat:?}");
    for (args, said) in [
        (&["env", "prod/db", "--mountpoint", mnt][..], "export KEY='value'"),
        (&["env", "prod/db", "--format", "json", "--mountpoint", mnt], "\"KEY\""),
        (&["exec", "--secret", "prod/db", "--mountpoint", mnt, "--", "printenv", "KEY"], "value"),
        (
            &["exec", "--secret", "A=prod/db/KEY", "--secret", "prod/db", "--mountpoint", mnt, "--", "printenv", "KEY"],
            "value",
        ),
        // What takes its place is not hidden: it is shown as this user's.
        (
            &["exec", "--secret", "prod/db", "--mountpoint", mnt, "--", "stat", "-c", "%u", "/proc/self/environ"],
            "65534",
        ),
    ] {
        let output = by(&program, args);
        assert!(String::from_utf8_lossy(&output.stdout).contains(said), "{args:?}: {output:?}");
    }
}
