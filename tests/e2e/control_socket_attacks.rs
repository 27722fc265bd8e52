//! The control socket under clients that mean harm: the others are served, and nothing is left of it.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::support::daemon::{Place, eventually, xattr};

/// Far more than there are places.
const MANY: usize = 1000;
/// Clients that are waited for at a time, and for how long.
const PLACES: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);

fn connect(place: &Place) -> UnixStream {
    UnixStream::connect(xattr(&place.mnt(), "user.hushfs.control").unwrap()).unwrap()
}

/// All that is answered to a request; nothing where the daemon hangs up.
fn ask(place: &Place, request: &str) -> String {
    let mut client = connect(place);
    client.write_all(request.as_bytes()).unwrap();
    told(&mut client)
}

fn told(client: &mut UnixStream) -> String {
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer);
    String::from_utf8(answer).expect("an answer is text")
}

/// How many of them the daemon has not hung up on.
fn held(clients: &[UnixStream]) -> usize {
    let mut all: Vec<_> = clients.iter().map(|client| PollFd::new(client, PollFlags::empty())).collect();
    poll(&mut all, Some(&Timespec::default())).unwrap();
    all.iter().filter(|client| !client.revents().contains(PollFlags::HUP)).count()
}

/// A scope of files that are not encrypted.
fn plain(folder: &Path) -> String {
    fs::create_dir_all(folder).unwrap();
    format!("[scopes.plain]\nprovider = \"local\"\npath = {folder:?}\nallow_plaintext = true\n")
}

/// Memory that the daemon has in use, in bytes.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn a_client_that_asks_byte_by_byte_without_an_end_is_let_go_and_delays_nobody() {
    let place = Place::new();
    let _daemon = place.mount(&plain(&place.path().join("plain")));
    let mut slow = connect(&place);
    let written = eventually("it is let go", || match slow.write_all(b" ") {
        Ok(()) => {
            assert_eq!(place.status()["open"], 0);
            None
        }
        Err(error) => Some(error.kind()),
    });
    assert_eq!(written, std::io::ErrorKind::BrokenPipe);
    assert_eq!(told(&mut slow), "");
}

#[test]
fn a_request_without_an_end_is_refused_at_its_bound() {
    let place = Place::new();
    let daemon = place.mount(&plain(&place.path().join("plain")));
    let before = resident(daemon.child.id());
    let clients: Vec<_> = (0..32).map(|_| connect(&place)).collect();
    for mut client in clients {
        let junk = vec![b' '; 1 << 20];
        // 64 MiB each, if it were all read.
        let refused = (0..64).find_map(|_| client.write_all(&junk).err());
        assert!(refused.is_some(), "it reads on and on");
        let answer = told(&mut client);
        // Of a client whose place another has needed nothing was read.
        assert!(answer.is_empty() || answer.contains("longer than 16384 bytes"), "{answer}");
    }
    let grown = resident(daemon.child.id()).saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more");
    let exactly = format!("{{\"command\":\"status\"{}", " ".repeat(16 << 10));
    // Again where the machine took so long that its time was up.
    let answer = eventually("an answer", || {
        let start = Instant::now();
        let mut client = connect(&place);
        let _ = client.write_all(&exactly.as_bytes()[..16 << 10]);
        let answer = told(&mut client);
        (!answer.is_empty() || start.elapsed() < PATIENCE).then_some(answer)
    });
    assert!(answer.contains("\"refused\"") && answer.contains("longer than 16384 bytes"), "{answer}");
    assert_eq!(place.status()["open"], 0);
}

#[test]
fn who_hangs_up_in_the_middle_is_forgotten() {
    let place = Place::new();
    let _daemon = place.mount(&plain(&place.path().join("plain")));
    for request in ["", "{", "{\"command\":\"sta", "{\"command\":\"status\"}", "{\"command\":\"status\"}\n"] {
        for _ in 0..100 {
            let mut client = connect(&place);
            client.write_all(request.as_bytes()).unwrap();
        }
    }
    // It may hang up one way, and is answered all the same.
    let mut client = connect(&place);
    client.write_all(b"{\"command\":\"status\"}").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(told(&mut client).contains("\"mountpoint\""));
    eventually("nothing is under way but what asks", || {
        (place.status()["tasks"].as_u64()? <= idle_tasks(&place)).then_some(())
    });
    assert!(!place.log().contains("defect"), "{}", place.log());
}

/// Of a daemon like this one that nobody has done anything to.
fn idle_tasks(place: &Place) -> u64 {
    let fresh = Place::new();
    let _daemon = fresh.mount(&plain(&place.path().join("plain")));
    fresh.status()["tasks"].as_u64().unwrap()
}

#[test]
fn clients_that_do_not_read_their_answers_cost_little_and_keep_nobody_out() {
    let place = Place::new();
    let folder = place.path().join("plain");
    let configuration = plain(&folder);
    // Two files of one name: the second is left out, and told of. So the answer fills any socket.
    for at in 0..2000 {
        let name = format!("{at:0>100}");
        fs::write(folder.join(format!("{name}.json")), "{}").unwrap();
        fs::write(folder.join(format!("{name}.yaml")), "a: 1").unwrap();
    }
    let daemon = place.mount(&configuration);
    assert_eq!(fs::read_dir(place.mnt().join("plain")).unwrap().count(), 2000);
    let answer = ask(&place, "{\"command\":\"status\"}\n");
    assert!(answer.len() > 400_000, "an answer of {} bytes may fit into a socket", answer.len());
    let before = resident(daemon.child.id());
    let ask_and_leave_it = |_| {
        let mut client = connect(&place);
        client.write_all(b"{\"command\":\"status\"}\n").unwrap();
        client
    };
    // Before the time of any is up: what is let go then is let go for others. Again where the machine took that long.
    let attempt = || {
        let start = Instant::now();
        let clients: Vec<_> = (0..2 * PLACES).map(ask_and_leave_it).collect();
        assert_eq!(place.status()["open"], 0);
        // 2 MB for each, with what it was made from.
        let grown = resident(daemon.child.id()).saturating_sub(before);
        assert!(grown < 64 << 20, "{grown} bytes more for those that do not read");
        while held(&clients) > PLACES {
            if start.elapsed() >= PATIENCE {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        (start.elapsed() < PATIENCE).then_some(clients)
    };
    let give_up = Instant::now() + Duration::from_secs(100);
    let clients = loop {
        if let Some(clients) = attempt() {
            break clients;
        }
        assert!(Instant::now() < give_up, "more answers are held than there are places");
    };
    let whole = clients.into_iter().filter_map(|mut client| told(&mut client).ends_with("}\n").then_some(())).count();
    assert!(whole <= PLACES, "{whole} answers were held");
    assert_eq!(place.status()["open"], 0);
}

#[cfg(feature = "databricks")]
#[test]
fn what_is_being_worked_on_is_answered_however_many_clients_come_meanwhile() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::new();
    let workspace = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let token = place.path().join("token");
    fs::write(&token, "dapi0").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let configuration = format!(
        "[scopes.lake]\nprovider = \"databricks\"\nhost = \"http://{}\"\nauth = {{ method = \"pat\", token_file = {token:?} }}\n\
         timeout = \"60s\"\n",
        workspace.local_addr().unwrap()
    );
    let _daemon = place.mount(&configuration);
    let mut asking = connect(&place);
    asking.write_all(b"{\"command\":\"why\",\"names\":[\"lake\",\"db\",\"k\"],\"who\":{\"uid\":12345}}\n").unwrap();
    // The daemon is working on it now: it asks the workspace, which says nothing.
    let (first, _) = workspace.accept().unwrap();
    let idle: Vec<_> = (0..MANY).map(|_| connect(&place)).collect();
    assert_eq!(place.status()["open"], 0);
    for _ in 0..20 {
        assert!(ask(&place, "{\"command\":\"status\"}\n").contains("\"mountpoint\""));
    }
    // From here on nobody is at home.
    drop((first, workspace));
    let answer = told(&mut asking);
    assert!(answer.contains("\"answer\":\"why\""), "{answer:?}");
    drop(idle);
}

#[test]
fn no_value_passes_whatever_is_asked() {
    let place = Place::new();
    let folder = place.path().join("plain");
    let configuration = plain(&folder);
    // Made at run time, so that it is in no binary.
    let mark = format!("MARK-{:x}-{}", 0x7f3a_u32, std::process::id());
    fs::write(folder.join("db.json"), format!("{{\"user\":\"me\",\"password\":\"{mark}\"}}")).unwrap();
    fs::write(folder.join("broken.yaml"), format!("password: \"{mark}\n")).unwrap();
    let _daemon = place.mount(&configuration);
    let open = fs::File::open(place.mnt().join("plain/db/password")).unwrap();
    assert_eq!(fs::read_to_string(place.mnt().join("plain/db/password")).unwrap(), mark);
    assert!(fs::read(place.mnt().join("plain/broken/password")).is_err());
    let names =
        ["[]", "[\"plain\"]", "[\"plain\",\"db\"]", "[\"plain\",\"db\",\"password\"]", "[\"plain\",\"broken\"]"];
    let mut understood = 0;
    for names in names {
        for request in [
            "{\"command\":\"status\"}".to_owned(),
            format!("{{\"command\":\"why\",\"names\":{names},\"who\":\"myself\"}}"),
            format!("{{\"command\":\"why\",\"names\":{names},\"who\":{{\"uid\":12345}}}}"),
            format!("{{\"command\":\"readers\",\"names\":{names}}}"),
            format!("{{\"command\":\"refresh\",\"names\":{names}}}"),
            "{\"command\":\"reload\"}".to_owned(),
            format!("{{\"command\":\"flush\",\"names\":{names}}}"),
        ] {
            let answer = ask(&place, &(request.clone() + "\n"));
            assert!(!answer.contains(&mark), "{request}: {answer}");
            let is_refused = answer.is_empty() || answer.contains("\"answer\":\"refused\"");
            assert!(!is_refused, "{request}: {answer}");
            understood += 1;
        }
        assert_eq!(fs::read_to_string(place.mnt().join("plain/db/password")).unwrap(), mark);
    }
    assert_eq!(understood, 35);
    drop(open);
}

/// Needs what only root may do or see.
mod as_root {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::support::daemon::descriptors;
    use crate::support::users::{STRANGER, as_user};

    #[test]
    fn a_thousand_clients_that_say_nothing_keep_nobody_out_and_leave_nothing() {
        let place = Place::new();
        let daemon = place.mount(&plain(&place.path().join("plain")));
        assert_eq!(place.status()["open"], 0);
        let before = descriptors(&daemon);
        let idle: Vec<_> = (0..MANY).map(|_| connect(&place)).collect();
        for _ in 0..20 {
            assert_eq!(place.status()["open"], 0);
        }
        eventually("most are let go", || (descriptors(&daemon) <= before + 20).then_some(()));
        // Those that stay in their places are let go by and by, without having said a word.
        eventually("all are let go", || (descriptors(&daemon) <= before).then_some(()));
        drop(idle);
        assert!(place.status()["tasks"].as_u64().unwrap() < 50);
    }

    #[test]
    fn another_user_may_ask_nothing_and_takes_no_place() {
        let place = Place::new();
        let open = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
        let socket = open.path().join("socket");
        let folder = place.path().join("plain");
        let configuration = plain(&folder) + &format!("[control]\nsocket = {socket:?}\n");
        fs::write(folder.join("db.json"), "{\"k\":\"v\"}").unwrap();
        let _daemon = place.mount(&configuration);
        assert_eq!(fs::read(place.mnt().join("plain/db/k")).unwrap(), b"v");
        // As an administrator who has let everybody at the socket.
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
        let everything = [
            "{\"command\":\"status\"}",
            "{\"command\":\"why\",\"names\":[\"plain\",\"db\",\"k\"],\"who\":\"myself\"}",
            "{\"command\":\"why\",\"names\":[\"plain\",\"db\",\"k\"],\"who\":{\"uid\":0}}",
            "{\"command\":\"readers\",\"names\":[]}",
            "{\"command\":\"refresh\",\"names\":[]}",
            "{\"command\":\"flush\",\"names\":[]}",
            "{\"command\":\"reload\"}",
        ];
        as_user(STRANGER, || {
            for request in everything {
                let mut client = UnixStream::connect(&socket).unwrap();
                // It may have been sent away before it has asked.
                let _ = client.write_all(format!("{request}\n").as_bytes());
                let answer = told(&mut client);
                assert!(answer.contains("only root and the user who runs the daemon"), "{answer}");
            }
        });
        // Again where the machine took so long that its time was up.
        eventually("who has a place keeps it", || {
            let start = Instant::now();
            let mut patient = connect(&place);
            // More than there are places, none of which it is given.
            let all: Vec<_> = as_user(STRANGER, || (0..200).map(|_| UnixStream::connect(&socket).unwrap()).collect());
            eventually("all are sent away", || (held(&all) == 0).then_some(()));
            let _ = patient.write_all(b"{\"command\":\"status\"}\n");
            let is_answered = told(&mut patient).contains("\"mountpoint\"");
            assert!(is_answered || start.elapsed() >= PATIENCE, "its place was taken");
            is_answered.then_some(())
        });
        assert_eq!(place.status()["cache"]["values"], 1, "somebody flushed");
    }
}
