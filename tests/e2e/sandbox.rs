//! What code that has taken over the daemon cannot do, and which layer of the sandbox keeps it from it.

use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::support::child::Guarded;
use crate::support::daemon::{HUSHFS, Place, errno_of_reading, forbid_call, is_mounted};
use crate::support::plain::PlainStore;
use crate::support::store::Store;

const NO_NEW_PRIVILEGES: &str = "no_new_privileges";
const CAPABILITIES: &str = "capabilities";
const LANDLOCK: &str = "landlock";
const SECCOMP: &str = "seccomp";
const USER: &str = "user";
const ALL: [&str; 5] = [NO_NEW_PRIVILEGES, USER, CAPABILITIES, LANDLOCK, SECCOMP];

/// What an attempt is made on.
#[derive(Clone, Copy)]
enum On {
    Nothing,
    /// A file that the configuration does not name.
    Stranger,
    /// A new file beside it.
    New,
    /// An empty folder beside it.
    Folder,
    Program,
    /// A port that somebody listens on.
    Port,
    /// The name of a socket that somebody listens on.
    Socket,
    /// A file of the store.
    Own,
    /// The audit log.
    Log,
    /// A file of root's, in a folder of root's.
    OfRoot,
    /// A socket on which root listens, with this mode.
    OfRootAt(u32),
    /// Another process of the user who starts the daemon.
    Process,
}

/// An attempt, and each layer that is enough to keep it from success. Not as root, an attempt that fails anyway is left out,
/// and `user` takes nothing away.
const ATTEMPTS: &[(&str, On, &[&str], bool)] = &[
    ("read", On::Stranger, &[LANDLOCK], false),
    ("write", On::New, &[LANDLOCK], false),
    ("shorten", On::Stranger, &[LANDLOCK], false),
    ("remove", On::Stranger, &[LANDLOCK], false),
    ("remove", On::Own, &[LANDLOCK], false),
    ("shorten", On::Log, &[LANDLOCK], false),
    ("write", On::Log, &[LANDLOCK], false),
    ("remove", On::Log, &[LANDLOCK], false),
    ("shorten the log that the broker opens", On::Nothing, &[LANDLOCK], false),
    ("start a program", On::Program, &[LANDLOCK, SECCOMP], false),
    ("start a process", On::Nothing, &[SECCOMP], false),
    ("connect", On::Port, &[LANDLOCK], false),
    ("listen", On::Nothing, &[LANDLOCK], false),
    ("connect without a path", On::Socket, &[LANDLOCK], false),
    ("signal", On::Process, &[USER, LANDLOCK, SECCOMP], false),
    ("see another's limits", On::Process, &[USER, SECCOMP], false),
    ("have the kernel signal", On::Process, &[SECCOMP], false),
    ("trace", On::Process, &[USER, LANDLOCK, SECCOMP], false),
    ("read another's memory", On::Process, &[USER, LANDLOCK, SECCOMP], false),
    ("open another's memory", On::Process, &[USER, LANDLOCK], false),
    ("make memory that is written and run", On::Nothing, &[SECCOMP], false),
    ("make a user namespace", On::Nothing, &[SECCOMP], false),
    ("make a ring", On::Nothing, &[SECCOMP], false),
    ("look into a keyring", On::Nothing, &[SECCOMP], false),
    ("watch performance", On::Nothing, &[SECCOMP], false),
    ("make a program of another user's", On::Stranger, &[USER, SECCOMP], true),
    ("mount", On::Folder, &[USER, CAPABILITIES, SECCOMP, LANDLOCK], true),
    ("unmount", On::Folder, &[USER, CAPABILITIES, SECCOMP], true),
    ("open a file system", On::Nothing, &[USER, CAPABILITIES, SECCOMP], true),
    ("load a module", On::Nothing, &[SECCOMP], true),
    ("load a kernel", On::Nothing, &[SECCOMP], true),
    ("load a filter of the kernel's", On::Nothing, &[SECCOMP], true),
    ("catch page faults", On::Nothing, &[SECCOMP], false),
    ("make namespaces", On::Nothing, &[USER, CAPABILITIES, SECCOMP], true),
    ("connect to a path", On::OfRootAt(0o600), &[USER], true),
    ("connect to a path", On::OfRootAt(0o660), &[USER], true),
    ("write", On::OfRoot, &[USER, LANDLOCK], true),
    ("shorten", On::OfRoot, &[USER, LANDLOCK], true),
    ("remove", On::OfRoot, &[USER, LANDLOCK], true),
    ("become root", On::Nothing, &[USER, SECCOMP], true),
    ("become another user", On::Nothing, &[USER, CAPABILITIES, SECCOMP], true),
    ("take all capabilities", On::Nothing, &[USER, CAPABILITIES, SECCOMP], true),
    ("open a packet socket", On::Nothing, &[USER, CAPABILITIES, SECCOMP], true),
    ("give a file away", On::Stranger, &[USER, CAPABILITIES, SECCOMP], true),
];

/// Those that only the sandbox keeps from it say so with one of these.
fn is_refused(came_to: &str) -> bool {
    [libc::EPERM, libc::EACCES].iter().any(|errno| came_to == errno.to_string())
}

/// Makes every attempt with each layer alone that is enough, with all of them, and with none.
fn make_attempts(place: &Place, elsewhere: &Path, is_root: bool, prepare: impl Fn(&mut Command)) {
    let store = PlainStore::new(place.path(), "store");
    store.put("a", b"x");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let socket = format!("hushfs-hostile-{}-{is_root}", std::process::id());
    let _socket = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&socket).unwrap()).unwrap();
    fs::create_dir(place.path().join("log")).unwrap();
    let of_root = place.path().join("root");
    fs::create_dir(&of_root).unwrap();
    let listening = |mode: u32| {
        let path = of_root.join(format!("{mode:o}"));
        let listener = UnixListener::bind(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        listener
    };
    let _listening = [0o600, 0o660].map(listening);
    for folder in [&store.path, &place.path().join("log")] {
        open_folder(folder);
    }
    let mut process = Command::new("sleep");
    process.arg("infinity");
    prepare(&mut process);
    let process = traceable(&mut process);
    let shown = |path: &Path| path.to_str().unwrap().to_owned();
    for (attempt, on, enough, needs_root) in ATTEMPTS {
        if *needs_root && !is_root {
            continue;
        }
        let came_to = |on_layers: &[&str]| {
            let stranger = elsewhere.join("stranger");
            for path in [&stranger, &place.path().join("log/audit.log"), &place.path().join("store/b")] {
                fs::write(path, "x").unwrap();
                open(path);
            }
            fs::write(of_root.join("file"), "x").unwrap();
            let what = match on {
                On::Nothing => String::new(),
                On::Stranger => shown(&stranger),
                On::New => shown(&elsewhere.join(format!("new-{}", on_layers.len()))),
                On::Folder => shown(&elsewhere.join("folder")),
                On::Program => "/bin/true".to_owned(),
                On::Port => port.clone(),
                On::Socket => socket.clone(),
                On::Own => shown(&place.path().join("store/b")),
                On::Log => shown(&place.path().join("log/audit.log")),
                On::OfRoot => shown(&of_root.join("file")),
                On::OfRootAt(mode) => shown(&of_root.join(format!("{mode:o}"))),
                On::Process => process.0.id().to_string(),
            };
            let layers: String = ALL.iter().map(|it| format!("{it} = {}\n", on_layers.contains(it))).collect();
            let file = place.configure(&format!(
                "[audit]\nfile = {:?}\n[sandbox]\n{layers}{}",
                place.path().join("log/audit.log"),
                store.scope("prod")
            ));
            open(&file);
            let program = if is_root { HUSHFS.into() } else { place.path().join("hushfs") };
            let mut command = Command::new(program);
            command.arg0("hushfs-hostile").arg(file).args([attempt, &*what]);
            prepare(&mut command);
            let output = command.output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{attempt} with {on_layers:?}: {told}");
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let free = came_to(&[]);
        assert!(!is_refused(&free), "{attempt} without a sandbox: {free}");
        for layer in enough.iter().filter(|layer| is_root || **layer != USER) {
            let alone = came_to(&[NO_NEW_PRIVILEGES, layer]);
            assert!(is_refused(&alone), "{attempt} with {layer}: {alone}");
        }
        let whole = came_to(&ALL);
        assert!(is_refused(&whole), "{attempt} with all layers: {whole}");
    }
}

/// Starts a program that every process of its user may trace.
fn traceable(command: &mut Command) -> Guarded {
    // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            // Yama lets nobody but its parents; without Yama this is an error, and not needed.
            libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY);
            Ok(())
        });
    }
    Guarded::spawn(command).unwrap()
}

/// For every user, where the test is made as another.
fn open(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
}

/// A folder that the configuration says nothing of, whose files everybody may change.
fn elsewhere() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("hushfs-elsewhere-").tempdir().unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    for path in [folder.path(), &folder.path().join("folder")] {
        open_folder(path);
    }
    folder
}

fn open_folder(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}

#[test]
fn status_shows_what_holds_and_the_kernel_says_so_too() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    let daemon = place.mount(&store.scope("prod"));
    let layers = place.status()["sandbox"].as_array().unwrap().clone();
    let names: Vec<_> = layers.iter().map(|layer| layer["name"].as_str().unwrap()).collect();
    assert_eq!(names, ALL);
    let is_root = rustix::process::geteuid().is_root();
    for layer in &layers {
        let expected = if layer["name"] == USER && !is_root { "unneeded" } else { "on" };
        assert_eq!(layer["state"], expected, "{layer}");
    }
    let text = String::from_utf8(place.run(&["status"]).stdout).unwrap();
    for name in ALL {
        let state = if name == USER && !is_root { "not needed" } else { "on" };
        assert!(text.contains(&format!("sandbox: {name} {state}")), "{text}");
    }
    // In every thread, for each has its own.
    let mut threads = 0;
    for thread in fs::read_dir(format!("/proc/{}/task", daemon.child.id())).unwrap() {
        let status = match fs::read_to_string(thread.unwrap().path().join("status")) {
            Ok(status) => status,
            // It has ended meanwhile.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => continue,
            Err(error) => panic!("{error}"),
        };
        threads += 1;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        assert_eq!((field("NoNewPrivs:"), field("Seccomp:")), ("1".to_owned(), "2".to_owned()));
        assert!(field("Seccomp_filters:").parse::<u32>().unwrap() >= 2, "{status}");
        if is_root {
            // Real, effective, saved and that of files.
            let own = nix::unistd::User::from_name("hushfs").unwrap().expect("tests/setup/sandbox has made it");
            assert_eq!(field("Uid:").split_whitespace().collect::<Vec<_>>(), [own.uid.to_string().as_str(); 4]);
            assert_eq!(field("Gid:").split_whitespace().collect::<Vec<_>>(), [own.gid.to_string().as_str(); 4]);
            assert_eq!(field("Groups:"), "");
        }
        let kept = u64::from_str_radix(&field("CapPrm:"), 16).unwrap();
        // dac_read_search and ipc_lock.
        assert_eq!(kept & !(1 << 2 | 1 << 14), 0, "{status}");
        assert_eq!(u64::from_str_radix(&field("CapInh:"), 16).unwrap(), 0);
        assert_eq!(u64::from_str_radix(&field("CapAmb:"), 16).unwrap(), 0);
    }
    assert!(threads > 0);
}

#[test]
fn a_layer_is_off_only_where_a_setting_says_so_and_is_then_shown_and_logged() {
    let is_root = rustix::process::geteuid().is_root();
    for name in [USER, CAPABILITIES, LANDLOCK, SECCOMP] {
        let place = Place::new();
        let store = PlainStore::new(place.path(), "store");
        let _daemon = place.mount(&format!("[sandbox]\n{name} = false\n{}", store.scope("prod")));
        for layer in place.status()["sandbox"].as_array().unwrap() {
            let expected = match layer["name"].as_str() {
                Some(is) if is == name => "off",
                Some(USER) if !is_root => "unneeded",
                _ => "on",
            };
            assert_eq!(layer["state"], expected, "{layer}");
        }
        assert!(place.log().contains(&format!("sandbox: {name} is OFF")), "{}", place.log());
    }
}

#[test]
fn a_reload_that_needs_more_than_the_sandbox_lets_through_changes_nothing_and_says_what() {
    let place = Place::new();
    let other = elsewhere();
    let store = PlainStore::new(place.path(), "store");
    store.put("a", b"x");
    let more = PlainStore::new(other.path(), "more");
    more.put("b", b"y");
    let configuration = store.scope("prod");
    let daemon = place.mount(&configuration);
    let refused = |text: &str, why: &str| {
        place.configure(&(configuration.clone() + text));
        let output = place.run(&["reload"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(why) && told.contains("restart"), "{told}");
        assert_eq!(fs::read(place.mnt().join("prod/a/value")).unwrap(), b"x");
        assert!(!place.mnt().join("more").exists());
    };
    refused(&more.scope("more"), other.path().to_str().unwrap());
    refused("[sandbox]\nseccomp = false\n", "[sandbox]");
    // A new daemon has what it needs.
    assert_eq!(daemon.stop().code(), Some(0));
    let _daemon = place.mount(&(configuration.clone() + &more.scope("more")));
    assert_eq!(fs::read(place.mnt().join("more/b/value")).unwrap(), b"y");
}

#[test]
fn what_is_replaced_by_renaming_is_read_all_the_same() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("a", b"x");
    let _daemon = place.mount(&format!("[cache]\nttl = \"1ms\"\n{}", store.scope("prod")));
    let value = place.mnt().join("prod/a/value");
    assert_eq!(fs::read(&value).unwrap(), b"x");
    let new = store.put("a.new", b"y");
    fs::rename(&new, new.with_file_name("a")).unwrap();
    crate::support::daemon::eventually("it is the new one", || (fs::read(&value).ok()? == b"y").then_some(()));
    place.configure(&format!("[cache]\nttl = \"2m\"\n{}", store.scope("prod")));
    let file = place.path().join("hushfs.toml");
    fs::rename(&file, place.path().join("old.toml")).unwrap();
    fs::copy(place.path().join("old.toml"), &file).unwrap();
    assert!(place.run(&["reload"]).status.success(), "{}", place.log());
}

#[test]
fn what_the_sandbox_withholds_is_said_to_be_withheld() {
    let place = Place::new();
    let other = elsewhere();
    let mut store = Store::new(place.path());
    store.put("db.json.age", br#"{"KEY":"value"}"#);
    let link = place.path().join("key");
    let identity = std::mem::replace(&mut store.identity, link.clone());
    symlink(&identity, &link).unwrap();
    let _daemon = place.mount(&format!("[cache]\nttl = \"1ms\"\n{}", store.scope("prod")));
    let key = place.mnt().join("prod/db/KEY");
    assert_eq!(fs::read(&key).unwrap(), b"value");
    // The same key, in a folder that nothing led to when the daemon started.
    let moved = other.path().join("identity.txt");
    fs::copy(&identity, &moved).unwrap();
    fs::remove_file(&link).unwrap();
    symlink(&moved, &link).unwrap();
    let refused = || (errno_of_reading(&key) == Some(libc::EKEYREJECTED)).then_some(());
    crate::support::daemon::eventually("the key cannot be read", refused);
    let log = place.log();
    let told = ["Permission denied", "withheld by the sandbox", "restart hushfs", "`read` in [sandbox]"];
    assert!(log.lines().any(|line| told.iter().all(|word| line.contains(word))), "{log}");
    let why = String::from_utf8(place.run(&["why", key.to_str().unwrap()]).stdout).unwrap();
    assert!(why.contains("withheld by the sandbox"), "{why}");
}

#[cfg(feature = "vault")]
#[test]
fn a_token_is_read_whose_folder_a_service_makes_anew() {
    use serde_json::json;

    use crate::support::openbao::OpenBao;

    let place = Place::new();
    let server = OpenBao::start();
    server.policy("hushfs", "path \"secret/*\" { capabilities = [\"read\", \"list\"] }");
    server.put("db", "x");
    let folder = place.path().join("runtime/agent");
    let make = || {
        let token = server.token(&["hushfs"], json!({}));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("token"), &token).unwrap();
        fs::set_permissions(folder.join("token"), fs::Permissions::from_mode(0o600)).unwrap();
        token
    };
    let first = make();
    place.configure(&format!(
        "[cache]\nttl = \"1ms\"\n[scopes.vault]\nprovider = \"vault\"\naddress = {:?}\n\
         auth = {{ method = \"token\", token_file = {:?} }}\n",
        server.url(),
        folder.join("token")
    ));
    let mut command = place.hushfs(&["mount"]);
    command.env("XDG_RUNTIME_DIR", place.path().join("runtime"));
    let _daemon = place.start(command);
    let value = place.mnt().join("vault/db/value");
    assert_eq!(fs::read(&value).unwrap(), b"x");
    fs::remove_dir_all(&folder).unwrap();
    make();
    server.root("POST", "auth/token/revoke", &json!({"token": first}));
    server.put("db", "y");
    crate::support::daemon::eventually("it goes by the new token", || (fs::read(&value).ok()? == b"y").then_some(()));
}

#[cfg(feature = "aws")]
#[test]
fn a_program_that_a_profile_names_for_credentials_runs_in_the_sandbox_and_others_do_not_run() {
    use crate::support::cloud::Cloud;

    let place = Place::new();
    let other = elsewhere();
    let stranger = other.path().join("stranger");
    fs::write(&stranger, "x").unwrap();
    // One that it may read, as the configuration beside it, and not run.
    let other_program = place.path().join("true");
    fs::copy("/bin/true", &other_program).unwrap();
    let cloud = Cloud::start(&place);
    cloud.create("db", b"x");
    fs::create_dir_all(place.path().join("aws")).unwrap();
    let (profiles, program) = (place.path().join("aws/profiles"), place.path().join("aws/credentials"));
    let answer = r#"{"Version":1,"AccessKeyId":"test","SecretAccessKey":"test"}"#;
    fs::write(&profiles, format!("[profile by-program]\ncredential_process = {}\n", program.display())).unwrap();
    let scope = cloud.scope("prod", "auth = { method = \"profile\", profile = \"by-program\" }");
    // Fails where the program can do what it should not.
    let value = |attempt: &str, configuration: &str| {
        fs::write(&program, format!("#!/bin/sh\n{attempt} 2>/dev/null && exit 1\necho '{answer}'\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        place.configure(configuration);
        let mut command = cloud.command(&place, None);
        command.env("AWS_CONFIG_FILE", &profiles);
        let daemon = place.start(command);
        let value = fs::read(place.mnt().join("prod/db/value"));
        assert_eq!(daemon.stop().code(), Some(0));
        value
    };
    for attempt in [format!("cat {}", stranger.display()), other_program.display().to_string()] {
        assert_eq!(value(&attempt, &scope).unwrap(), b"x", "{attempt}: {}", place.log());
        let free = value(&attempt, &format!("[sandbox]\nlandlock = false\n{scope}"));
        assert!(free.is_err(), "{attempt}: it fails without a sandbox, too");
    }
}

#[test]
fn a_home_is_not_opened_for_databricks_where_the_environment_has_its_credentials() {
    const HOST: &str = "https://lake.example";
    let (place, home) = (Place::new(), elsewhere());
    let private = home.path().join("private");
    fs::write(&private, "x").unwrap();
    let file = place
        .configure(&format!("[sandbox]\nuser = false\n[scopes.lake]\nprovider = \"databricks\"\nhost = {HOST:?}\n"));
    let (token, id, secret) =
        (("DATABRICKS_TOKEN", "t"), ("DATABRICKS_CLIENT_ID", "i"), ("DATABRICKS_CLIENT_SECRET", "s"));
    let withheld = libc::EACCES.to_string();
    for (variables, came_to) in [
        (&[token][..], &*withheld),
        (&[token, ("DATABRICKS_HOST", HOST)], &withheld),
        (&[id, secret], &withheld),
        (&[id, secret, token, ("DATABRICKS_AUTH_TYPE", "pat")], &withheld),
        // Then it goes by what is at home.
        (&[], "done"),
        (&[id], "done"),
        (&[token, ("DATABRICKS_AUTH_TYPE", "oauth-m2m")], "done"),
        (&[token, ("DATABRICKS_HOST", "https://another.example")], "done"),
    ] {
        let mut command = Command::new(HUSHFS);
        command.arg0("hushfs-hostile").arg(&file).arg("read").arg(&private);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DATABRICKS_")) {
            command.env_remove(name);
        }
        let output = command.env("HOME", home.path()).envs(variables.iter().copied()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), came_to, "{variables:?}: {told}");
    }
}

pub mod as_root {
    use super::*;
    use crate::support::users::{NOBODY, mount, private_mounts};

    fn mount_proc(options: &str) {
        let mounted = Command::new("mount").args(["-t", "proc", "-o", options, "proc", "/proc"]).status().unwrap();
        assert!(mounted.success(), "{options}");
    }

    #[test]
    fn a_proc_that_hides_processes_keeps_no_daemon_from_its_sandbox() {
        let place = Place::new();
        private_mounts(&place, NOBODY);
        let store = PlainStore::new(place.path(), "store");
        // A group sees them, and that needs no right to trace. Where it is root's the daemon stays root for it.
        for (options, user, groups) in [("hidepid=invisible", "missing", "0"), ("hidepid=invisible,gid=4", "on", "4")] {
            mount_proc(options);
            let daemon = place.mount(&store.scope("prod"));
            for layer in place.status()["sandbox"].as_array().unwrap() {
                let expected = if layer["name"] == USER { user } else { "on" };
                assert_eq!(layer["state"], expected, "{options}: {layer}");
            }
            let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
            let of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
            let is_in = if user == "on" { of("Groups:") } else { of("Gid:") };
            assert_eq!(is_in.split_whitespace().next(), Some(groups), "{status}");
            assert_eq!(daemon.stop().code(), Some(0));
        }
        mount_proc("hidepid=ptraceable");
        place.configure(&store.scope("prod"));
        let output = place.run(&["mount"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{told}");
        assert!(told.contains("hidepid") && told.contains("landlock = false"), "{told}");
        // Who goes without has no more of root's power for it.
        let daemon = place.mount(&format!("[sandbox]\nlandlock = false\n{}", store.scope("prod")));
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
        let kept = status.lines().find_map(|line| line.strip_prefix("CapPrm:")).unwrap().trim();
        assert_eq!(u64::from_str_radix(kept, 16).unwrap() & 1 << 19, 0, "CAP_SYS_PTRACE: {status}");
    }

    #[test]
    fn where_capabilities_cannot_be_given_up_the_daemon_says_how_to_go_without_and_does() {
        let place = Place::new();
        let scope = PlainStore::new(place.path(), "store");
        scope.put("db", b"value");
        let scope = scope.scope("prod");
        let mount = || {
            let mut command = place.hushfs(&["mount"]);
            forbid_call(&mut command, libc::SYS_capset);
            command
        };
        place.configure(&format!("[sandbox]\nuser = false\n{scope}"));
        let output = mount().output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(71) && told.contains("capabilities = false"), "{told}");
        place.configure(&format!("[sandbox]\nuser = false\ncapabilities = false\n{scope}"));
        let daemon = place.start(mount());
        assert_eq!(fs::read(place.mnt().join("prod/db/value")).unwrap(), b"value");
        assert_eq!(daemon.stop().code(), Some(0));
    }

    #[test]
    fn a_broker_that_cannot_give_up_what_it_does_not_need_says_so_and_does_nothing() {
        use std::os::fd::OwnedFd;

        use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};

        use crate::support::child::Guarded;

        let place = Place::new();
        let pair = || -> (OwnedFd, OwnedFd) {
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
        };
        let ((acts, acting), (_looks, looking), (logs, logging)) = (pair(), pair(), pair());
        let mut command = Command::new(HUSHFS);
        command.arg0("hushfs-broker").args(["false", "false", "true", "true", "true"]).arg(place.mnt()).arg("/log");
        command.stdin(acting).stdout(looking).stderr(logging);
        forbid_call(&mut command, libc::SYS_capset);
        let mut broker = Guarded::spawn(&mut command).unwrap();
        drop(command);
        for (socket, question) in [(&logs, "?"), (&acts, "\"Mount\"")] {
            let number = 7_u64.to_ne_bytes();
            send(socket, &[&number, question.as_bytes()].concat(), SendFlags::empty()).unwrap();
            let mut answer = [0; 4096];
            let length = recv(socket, &mut answer, RecvFlags::empty()).unwrap().0;
            let said = String::from_utf8_lossy(&answer[number.len()..length]);
            assert!(answer.starts_with(&number) && said.contains("capabilities = false"), "{question}: {said}");
        }
        assert_eq!(broker.0.wait().unwrap().code(), Some(1));
        assert!(!is_mounted(&place.mnt()));
    }

    #[test]
    fn code_that_has_taken_over_roots_daemon_can_do_none_of_what_it_might_try() {
        let (place, elsewhere) = (Place::new(), elsewhere());
        make_attempts(&place, elsewhere.path(), true, |_| {});
    }

    #[test]
    fn code_that_has_taken_over_a_users_daemon_can_do_none_of_what_it_might_try() {
        let (place, elsewhere) = (Place::new(), elsewhere());
        private_mounts(&place, NOBODY);
        make_attempts(&place, elsewhere.path(), false, |command| {
            command.uid(NOBODY).gid(NOBODY);
        });
    }

    #[test]
    fn the_process_that_touches_files_keeps_the_right_to_find_the_way_and_no_other() {
        use std::os::fd::OwnedFd;
        use std::process::Stdio;

        use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};

        let folder = elsewhere();
        fs::write(folder.path().join("file"), "x").unwrap();
        let (ours, theirs): (OwnedFd, OwnedFd) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let mut command = Command::new(HUSHFS);
        command
            .arg0("hushfs-events")
            .args(["true", "true", "true"])
            .stdin(fs::File::open(folder.path()).unwrap())
            .stdout(theirs)
            .stderr(Stdio::null());
        let toucher = Guarded::spawn(&mut command).unwrap();
        drop(command);
        // It gives up what it does not need before it does anything that it is told.
        send(&ours, b"file", SendFlags::empty()).unwrap();
        let mut answer = [0xFF; 4];
        assert_eq!(recv(&ours, &mut answer, RecvFlags::empty()).unwrap().0, 4);
        assert_eq!(answer, [0; 4], "it has touched the file");
        let status = fs::read_to_string(format!("/proc/{}/status", toucher.0.id())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
        };
        const DAC_READ_SEARCH: u64 = 1 << 2;
        for (set, expected) in [
            ("CapEff", DAC_READ_SEARCH),
            ("CapPrm", DAC_READ_SEARCH),
            ("CapBnd", DAC_READ_SEARCH),
            ("CapInh", 0),
            ("CapAmb", 0),
            ("NoNewPrivs", 1),
        ] {
            assert_eq!(field(set), expected, "{set}: {status}");
        }
    }

    #[test]
    fn the_broker_changes_no_file_system_that_is_at_the_mountpoint_but_is_no_hushfs() {
        use std::os::unix::fs::MetadataExt;

        let place = Place::new();
        let store = PlainStore::new(place.path(), "store");
        let file = place.configure(&store.scope("prod"));
        // As what lies below is to be seen again once the secrets are unmounted, which the broker does when asked.
        let mnt = place.mnt();
        private_mounts(&place, 0);
        mount(Path::new("tmpfs"), &mnt, 0);
        let device = fs::metadata(&mnt).unwrap().dev();
        let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
        for attempt in ["have the broker make a file system read-only", "have the broker make a file system writable"] {
            let mut command = Command::new(HUSHFS);
            let output = command.arg0("hushfs-hostile").arg(&file).args([attempt, &device]).output().unwrap();
            let came_to = String::from_utf8_lossy(&output.stdout);
            assert_eq!(came_to.trim(), libc::EXDEV.to_string(), "{attempt}: {output:?}");
            fs::write(mnt.join("file"), "x").expect("it is as it was");
        }
    }
}
