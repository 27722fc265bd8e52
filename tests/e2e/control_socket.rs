//! Whatever comes in at the control socket: the daemon goes on, and honest clients are served.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::daemon::{Place, eventually, xattr};
use crate::support::store::Store;

/// How long a client is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

fn connect(place: &Place) -> UnixStream {
    UnixStream::connect(xattr(&place.mnt(), "user.hushfs.control").unwrap()).unwrap()
}

/// Sends; gives what comes back, which may be nothing where the daemon hung up on us.
fn say(mut stream: UnixStream, bytes: &[u8]) -> String {
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn garbage_is_refused_and_the_daemon_goes_on() {
    let place = Place::new();
    let store = Store::new(place.path());
    let _daemon = place.mount(&store.scope("prod"));
    let garbage: [&[u8]; 7] = [
        b"\n",
        b"\0\xff\xfe\n",
        b"{\n",
        b"[]\n",
        b"{\"command\":\"values\"}\n",
        b"{\"command\":[[[[[[\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    for bytes in garbage {
        // Again where the machine took so long that its time was up.
        let answer = eventually("an answer", || {
            let start = Instant::now();
            let answer = say(connect(&place), bytes);
            (!answer.is_empty() || start.elapsed() < PATIENCE).then_some(answer)
        });
        assert!(answer.contains("\"refused\""), "{:?}: {answer}", String::from_utf8_lossy(bytes));
    }
    assert!(!say(connect(&place), &vec![b'['; 1 << 20]).contains("\"status\""));
    assert!(!say(connect(&place), &vec![b'{'; 4096]).contains("\"status\""));
    assert_eq!(place.status()["open"], 0);
    assert!(!place.log().contains("defect"), "{}", place.log());
}

#[test]
fn what_is_at_the_sockets_path_already_is_left_alone_unless_it_is_a_dead_socket() {
    let place = Place::new();
    let store = Store::new(place.path());
    let path = place.path().join("socket");
    let configuration = store.scope("prod") + &format!("[control]\nsocket = {path:?}\n");
    std::fs::write(&path, "precious").unwrap();
    let daemon = place.mount(&configuration);
    assert_eq!(daemon.stop().code(), Some(0));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    assert!(place.log().contains("no control socket"), "{}", place.log());
    std::fs::remove_file(&path).unwrap();

    let alive = UnixListener::bind(&path).unwrap();
    let daemon = place.mount(&configuration);
    assert!(UnixStream::connect(&path).is_ok());
    assert_eq!(daemon.stop().code(), Some(0));
    assert!(path.exists(), "another's socket");
    drop(alive);

    let _daemon = place.mount(&configuration);
    assert_eq!(place.status()["open"], 0);
}

/// Needs what only root may do or see.
mod as_root {
    use super::*;
    use crate::support::daemon::descriptors;
    use crate::support::users::{NOBODY, hushfs_as, private_mounts};

    #[test]
    fn a_runtime_folder_that_cannot_be_used_is_named_with_what_to_do_and_a_socket_elsewhere_does() {
        let place = Place::new();
        private_mounts(&place, NOBODY);
        let theirs = place.path().join("theirs");
        std::fs::create_dir(&theirs).unwrap();
        std::fs::set_permissions(&theirs, std::fs::Permissions::from_mode(0o700)).unwrap();
        let start = |runtime: &Path| {
            let mut command = hushfs_as(&place, NOBODY, &["mount"]);
            command.env("XDG_RUNTIME_DIR", runtime);
            place.start(command)
        };
        place.configure("");
        for (runtime, error) in [(&theirs, "Permission denied"), (&place.path().join("missing"), "No such file")] {
            let daemon = start(runtime);
            let (log, folder) = (place.log(), runtime.join("hushfs"));
            let why = format!(
                "the folder {}, which is where XDG_RUNTIME_DIR says, cannot be used: {error}",
                folder.display()
            );
            assert!(log.contains("no control socket") && log.contains(&why), "{log}");
            let remedy = "set `socket` in [control], or have XDG_RUNTIME_DIR name a folder of this user, or unset it";
            assert!(log.contains(remedy), "{log}");
            let asked = hushfs_as(&place, NOBODY, &["status"]).output().unwrap();
            let said = String::from_utf8_lossy(&asked.stderr).into_owned();
            assert!(asked.status.code() == Some(69) && said.contains("has no control socket"), "{said}");
            assert_eq!(daemon.stop().code(), Some(0));
        }
        let socket = place.path().join("run/socket");
        place.configure(&format!("[control]\nsocket = {socket:?}\n"));
        let _daemon = start(&theirs);
        let status = hushfs_as(&place, NOBODY, &["status"]).output().unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
        let by_root = place.hushfs(&["status"]).output().unwrap();
        let said = String::from_utf8_lossy(&by_root.stderr).into_owned();
        assert!(by_root.status.code() == Some(77) && said.contains("ask as that user"), "{said}");
    }

    #[test]
    fn clients_that_only_sit_there_keep_nobody_out() {
        let place = Place::new();
        let store = Store::new(place.path());
        let daemon = place.mount(&store.scope("prod"));
        let idle: Vec<_> = (0..200).map(|_| connect(&place)).collect();
        assert_eq!(place.status()["open"], 0);
        eventually("most are let go", || (descriptors(&daemon) < 100).then_some(()));
        drop(idle);
        assert_eq!(place.status()["open"], 0);
    }

    #[test]
    fn another_user_is_refused_even_where_the_socket_lets_them_in() {
        let place = Place::new();
        let store = Store::new(place.path());
        let open = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir().unwrap();
        let socket = open.path().join("socket");
        let _daemon = place.mount(&(store.scope("prod") + &format!("[control]\nsocket = {socket:?}\n")));
        let as_nobody = |path: &Path| {
            let path = path.to_owned();
            let asked = std::thread::spawn(move || {
                // SAFETY: plain numbers; the raw calls change this thread alone.
                let gone = unsafe {
                    libc::syscall(libc::SYS_setresgid, 65_534, 65_534, 65_534)
                        + libc::syscall(libc::SYS_setresuid, 65_534, 65_534, 65_534)
                };
                assert_eq!(gone, 0, "this test needs root");
                UnixStream::connect(path).map(|stream| say(stream, b"{\"command\":\"status\"}\n"))
            });
            asked.join().unwrap()
        };
        assert_eq!(as_nobody(&socket).unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o777)).unwrap();
        let answer = as_nobody(&socket).unwrap();
        assert!(answer.contains("\"refused\"") && !answer.contains("prod"), "{answer}");
    }
}
