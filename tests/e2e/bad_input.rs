//! Whatever lies in the store, and whatever the daemon is asked for: an errno for each, nothing for its
//! neighbours.

use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::daemon::{Daemon, Place, drop_capabilities, errno_of_reading, eventually, xattr};
use crate::support::store::Store;

const CAP_DAC_OVERRIDE: i32 = 1;
const CAP_DAC_READ_SEARCH: i32 = 2;

#[track_caller]
fn assert_errno(path: &Path, errno: i32) {
    let got = errno_of_reading(path).map(std::io::Error::from_raw_os_error);
    let wanted = std::io::Error::from_raw_os_error(errno);
    assert_eq!(got.map(|error| error.to_string()), Some(wanted.to_string()), "{}", path.display());
}

fn no_defects(place: &Place) {
    let log = place.log();
    assert!(!log.contains("defect") && !log.contains("panicked"), "{log}");
}

#[test]
fn files_that_are_not_what_they_should_be_fail_alone() {
    let place = Place::new();
    let store = Store::new(place.path());
    let other = place.path().join("other");
    fs::create_dir(&other).unwrap();
    let other = Store::new(&other);
    store.put("good.json.age", br#"{"K":"fine"}"#);
    let whole = fs::read(store.path.join("good.json.age")).unwrap();
    let file = |name: &str, bytes: &[u8]| fs::write(store.path.join(name), bytes).unwrap();
    file("empty.age", b"");
    file("text.age", b"this is no age file");
    file("header.age", &whole[..whole.len() / 3]);
    file("tail.age", &whole[..whole.len() - 1]);
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    file("flipped.age", &flipped);
    other.put("foreign.age", b"x");
    fs::copy(other.path.join("foreign.age"), store.path.join("foreign.age")).unwrap();
    store.put("huge.age", &vec![b'x'; (1 << 20) + 1]);
    store.put("largest.age", &vec![b'x'; 1 << 20]);
    fs::File::create(store.path.join("sparse.age")).unwrap().set_len(1 << 40).unwrap();
    let _daemon = place.mount(&store.scope("prod"));
    let prod = place.mnt().join("prod");
    for (name, errno) in [
        ("empty", libc::EIO),
        ("text", libc::EIO),
        ("header", libc::EIO),
        ("tail", libc::EIO),
        ("flipped", libc::EIO),
        ("foreign", libc::EKEYREJECTED),
        ("huge", libc::EFBIG),
        ("sparse", libc::EFBIG),
    ] {
        assert_errno(&prod.join(name).join("value"), errno);
        assert_errno(&prod.join(name).join(".raw"), errno);
    }
    assert_eq!(fs::read(prod.join("largest/value")).unwrap().len(), 1 << 20);
    assert_eq!(fs::read(prod.join("good/K")).unwrap(), b"fine");
    assert_eq!(fs::read_dir(&prod).unwrap().count(), 10);
    no_defects(&place);
}

#[test]
fn values_that_are_not_what_they_look_like_are_served_as_they_are_or_refused() {
    let place = Place::new();
    let store = Store::new(place.path());
    let deep = format!(r#"{{"deep":{}{},"flat":"x"}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let cut = "[".repeat(100_000);
    store.put("deep.json.age", deep.as_bytes());
    store.put("cut.json.age", cut.as_bytes());
    store.put("twice.json.age", br#"{"K":"one","K":"two"}"#);
    store.put("half.json.age", br#"{"K":"on"#);
    store.put("latin.json.age", b"{\"K\":\"\xe9\"}");
    store.put("blank.json.age", b"");
    store.put("odd.json.age", br#"{"":"empty name","..":"up","a/b":"slash","nul\u0000":"nul"}"#);
    store.put("deep.yaml.age", cut.as_bytes());
    store.put("deeper.yaml.age", cut.as_bytes());
    store.put("cycle.yaml.age", b"a: &a [*a]\n");
    store.put(
        "laughs.yaml.age",
        (0..30)
            .fold("x0: &x0 [a, a]\n".to_owned(), |text, n| text + &format!("x{}: &x{} [*x{n}, *x{n}]\n", n + 1, n + 1))
            .as_bytes(),
    );
    store.put("latin.yaml2.age", b"\xff\xfe");
    let strict = store.scope("strict") + "format = \"json\"\n";
    let _daemon = place.mount(&(store.scope("prod") + &strict));
    let prod = place.mnt().join("prod");
    assert_eq!(fs::read(prod.join("deep/flat")).unwrap(), b"x");
    assert_eq!(fs::read(prod.join("deep/deep")).unwrap().len(), 200_000);
    assert_eq!(fs::read(prod.join("cut/value")).unwrap(), cut.as_bytes());
    assert_eq!(fs::read(prod.join("twice/K")).unwrap(), b"two");
    assert_eq!(fs::read(prod.join("half/value")).unwrap(), br#"{"K":"on"#);
    assert_eq!(fs::read(prod.join("latin/value")).unwrap(), b"{\"K\":\"\xe9\"}");
    assert_eq!(fs::read(prod.join("blank/value")).unwrap(), b"");
    assert_eq!(fs::read(prod.join("odd/%2E.")).unwrap(), b"up");
    assert_eq!(fs::read(prod.join("odd/a%2Fb")).unwrap(), b"slash");
    assert_eq!(fs::read(prod.join("odd/nul%00")).unwrap(), b"nul");
    assert_eq!(fs::read_dir(prod.join("odd")).unwrap().count(), 3);
    for name in ["deeper", "cycle"] {
        assert_errno(&prod.join(name).join("value"), libc::EIO);
    }
    assert_errno(&prod.join("laughs/x30"), libc::EFBIG);
    for name in ["cut", "half", "latin", "blank"] {
        assert_errno(&place.mnt().join("strict").join(name).join("K"), libc::EIO);
    }
    no_defects(&place);
}

#[test]
fn an_identity_that_is_missing_open_to_others_or_no_identity_is_refused_until_it_is_mended() {
    let place = Place::new();
    let store = Store::new(place.path());
    store.put("a.age", b"x");
    let key = fs::read(&store.identity).unwrap();
    let _daemon =
        place.mount(&(store.scope("prod") + "ttl = \"100ms\"\nnegative_ttl = \"100ms\"\nlist_ttl = \"100ms\"\n"));
    let file = place.mnt().join("prod/a/value");
    let fine = || eventually("it is mended", || fs::read(&file).ok().filter(|bytes| bytes == b"x"));
    let refused =
        || eventually("it is refused", || (errno_of_reading(&file) == Some(libc::EKEYREJECTED)).then_some(()));
    fine();
    let write = |bytes: &[u8], mode: u32| {
        let _ = fs::remove_file(&store.identity);
        fs::write(&store.identity, bytes).unwrap();
        fs::set_permissions(&store.identity, fs::Permissions::from_mode(mode)).unwrap();
    };
    fs::remove_file(&store.identity).unwrap();
    refused();
    write(&key, 0o600);
    fine();
    write(&key, 0o644);
    refused();
    write(b"AGE-SECRET-KEY-1NONSENSE\n", 0o600);
    refused();
    write(&[b'x'; 100_000], 0o600);
    refused();
    let _ = fs::remove_file(&store.identity);
    rustix::fs::mknodat(rustix::fs::CWD, &store.identity, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    refused();
    write(&key, 0o600);
    fine();
    assert!(!place.log().contains("AGE-SECRET-KEY"), "no key in the log");
    no_defects(&place);
}

#[test]
fn a_folder_that_is_missing_is_served_once_it_is_made() {
    let place = Place::new();
    let store = Store::new(place.path());
    store.put("a.age", b"x");
    let away = place.path().join("away");
    fs::rename(&store.path, &away).unwrap();
    let _daemon = place.mount(&(store.scope("prod") + "negative_ttl = \"100ms\"\n"));
    assert_eq!(fs::read_dir(place.mnt().join("prod")).unwrap_err().raw_os_error(), Some(libc::EHOSTUNREACH));
    assert_errno(&place.mnt().join("prod/a/value"), libc::EHOSTUNREACH);
    fs::rename(&away, &store.path).unwrap();
    eventually("it is served", || fs::read(place.mnt().join("prod/a/value")).ok().filter(|bytes| bytes == b"x"));
    no_defects(&place);
}

#[test]
fn what_is_no_regular_file_inside_the_store_is_left_out_and_hangs_nothing() {
    let place = Place::new();
    let store = Store::new(place.path());
    store.put("good.age", b"x");
    let at = |name: &str| store.path.join(name);
    rustix::fs::mknodat(rustix::fs::CWD, at("fifo.age"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket.age")).unwrap();
    symlink("loop-b.age", at("loop-a.age")).unwrap();
    symlink("loop-a.age", at("loop-b.age")).unwrap();
    symlink("nowhere", at("nowhere.age")).unwrap();
    symlink("/etc/passwd", at("out.age")).unwrap();
    symlink("../identity.txt", at("up.age")).unwrap();
    symlink("good.age", at("alias.age")).unwrap();
    symlink(".", at("again")).unwrap();
    symlink("/dev/zero", at("zero.age")).unwrap();
    fs::create_dir(at("directory.age")).unwrap();
    let _daemon = place.mount(&store.scope("prod"));
    let prod = place.mnt().join("prod");
    assert_eq!(fs::read(prod.join("good/value")).unwrap(), b"x");
    assert_eq!(fs::read(prod.join("alias/value")).unwrap(), b"x");
    let bad = ["fifo", "socket", "loop-a", "loop-b", "nowhere", "out", "up", "zero", "directory", "again"];
    for name in bad {
        assert_errno(&prod.join(name).join("value"), libc::ENOENT);
    }
    let mut names: Vec<_> = fs::read_dir(&prod).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["alias", "good"]);
    let status = place.status();
    assert!(status["scopes"][0]["left_out"].as_array().unwrap().len() >= 7, "{status}");
    no_defects(&place);
}

#[test]
fn odd_names_are_escaped_or_left_out_and_come_back() {
    let place = Place::new();
    let store = Store::new(place.path());
    let longest = "n".repeat(251);
    let names: &[(&[u8], Option<&str>)] = &[
        (b"new\nline", Some("new%0Aline")),
        (b"tab\t", Some("tab%09")),
        (b"100%", Some("100%25")),
        (b"%2E", Some("%252E")),
        (b"@current", Some("%40current")),
        (b"-rf", Some("-rf")),
        (b"two words", Some("two words")),
        (b"\x1b[31mred", Some("%1B[31mred")),
        ("schl\u{fc}ssel".as_bytes(), Some("schl\u{fc}ssel")),
        (longest.as_bytes(), Some(&longest)),
        (b"not-\xff-utf8", None),
    ];
    store.put("seed.age", b"x");
    for (name, _) in names {
        let file = [name, &b".age"[..]].concat();
        fs::copy(store.path.join("seed.age"), store.path.join(OsStr::from_bytes(&file))).unwrap();
    }
    let _daemon = place.mount(&store.scope("prod"));
    let prod = place.mnt().join("prod");
    let mut wanted: Vec<_> = names.iter().filter_map(|(_, shown)| *shown).chain(["seed"]).map(str::to_owned).collect();
    let mut listed: Vec<_> =
        fs::read_dir(&prod).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    wanted.sort();
    listed.sort();
    assert_eq!(listed, wanted);
    for name in listed {
        assert_eq!(fs::read(prod.join(name).join("value")).unwrap(), b"x");
    }
    // Other spellings of the same names are not there.
    for name in ["new\nline", "new%0aline", "@current", "%6E", "seed%", "seed%2", ".", "SEED"] {
        assert!(name == "." || !prod.join(name).exists(), "{name:?}");
    }
    // A terminal is not told to do things by what could not be shown, nor by what was refused.
    let status = place.run(&["status"]);
    assert!(!status.stdout.contains(&0x1b) && !place.log().contains("\u{1b}[31m"));
    assert_eq!(place.status()["scopes"][0]["left_out"].as_array().unwrap().len(), 1);
}

#[test]
fn a_file_that_is_replaced_while_it_is_read_is_the_old_one_or_the_new_one() {
    let place = Place::new();
    let store = Store::new(place.path());
    let (old, new) = (vec![b'a'; 30_000], vec![b'b'; 70_000]);
    store.put("old.age", &old);
    store.put("new.age", &new);
    let _daemon = place.mount(&(store.scope("prod") + "ttl = \"1ms\"\nlist_ttl = \"1ms\"\nmax_stale = \"0s\"\n"));
    let (file, done) = (place.mnt().join("prod/x/value"), AtomicBool::new(false));
    let target = store.path.join("x.age");
    fs::copy(store.path.join("old.age"), &target).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                if done.load(Ordering::SeqCst) {
                    break;
                }
                let temporary = store.path.join(".temporary");
                fs::copy(store.path.join(if n % 2 == 0 { "new.age" } else { "old.age" }), &temporary).unwrap();
                fs::rename(&temporary, &target).unwrap();
            }
        });
        let (mut seen, mut strange) = ([0; 2], None);
        // Often enough to meet a replacement, and until both were met.
        while strange.is_none() && seen.iter().sum::<usize>() < 10_000 && seen.iter().any(|&times| times < 20) {
            match fs::read(&file) {
                Ok(bytes) if bytes == old => seen[0] += 1,
                Ok(bytes) if bytes == new => seen[1] += 1,
                other => strange = Some(other.map(|bytes| bytes.len())),
            }
        }
        // Before anything is judged: the thread must end.
        done.store(true, Ordering::SeqCst);
        assert!(strange.is_none(), "neither: {strange:?}");
        assert!(seen.iter().all(|&times| times >= 20), "{seen:?}");
    });
    no_defects(&place);
}

#[test]
fn silly_attributes_are_not_there_and_cost_nothing() {
    let place = Place::new();
    let store = Store::new(place.path());
    store.put("a.age", b"x");
    let _daemon = place.mount(&store.scope("prod"));
    let (secret, file) = (place.mnt().join("prod/a"), place.mnt().join("prod/a/value"));
    let long = format!("user.{}", "x".repeat(250));
    assert_eq!(fs::read(&file).unwrap(), b"x");
    let fetched = place.calls("prod", "fetch");
    for name in [
        "user.x",
        "user.hushfs.",
        "user.hushfs.nosuch",
        "user.hushfs.tag.",
        "user.HUSHFS.age",
        &long,
        "security.selinux",
        "security.capability",
        "system.posix_acl_access",
        "trusted.x",
        "nonsense",
    ] {
        assert_eq!(xattr(&file, name), None, "{name}");
        assert_eq!(xattr(&secret, name), None, "{name}");
    }
    assert_eq!(rustix::fs::getxattr(&file, "user.hushfs.provider", &mut [0_u8; 2]), Err(rustix::io::Errno::RANGE));
    assert_eq!(xattr(&file, "user.hushfs.provider").as_deref(), Some("local"));
    // The address of the daemon is on the root and nowhere else.
    assert_eq!(xattr(&file, "user.hushfs.control"), None);
    assert_eq!(place.calls("prod", "fetch"), fetched);
}

#[test]
fn nothing_can_be_written() {
    let place = Place::new();
    let store = Store::new(place.path());
    store.put("a.age", b"x");
    let _daemon = place.mount(&store.scope("prod"));
    let (secret, file) = (place.mnt().join("prod/a"), place.mnt().join("prod/a/value"));
    let errno = |result: std::io::Result<()>| result.unwrap_err().raw_os_error();
    let c = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
    for outcome in [
        fs::write(&file, "y"),
        fs::write(secret.join("new"), "y"),
        fs::remove_file(&file),
        fs::create_dir(secret.join("new")),
        fs::remove_dir(&secret),
        fs::rename(&file, secret.join("new")),
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)),
        symlink("x", secret.join("new")),
        fs::hard_link(&file, secret.join("new")),
        std::os::unix::fs::chown(&file, Some(65_534), None),
        fs::File::options().append(true).open(&file).map(drop),
        rustix::fs::setxattr(&file, "user.hushfs.age", b"0", rustix::fs::XattrFlags::empty()).map_err(Into::into),
        rustix::fs::removexattr(&file, "user.hushfs.age").map_err(Into::into),
        // SAFETY: a valid C string.
        match unsafe { libc::truncate(c(&file).as_ptr(), 0) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        },
    ] {
        assert_eq!(errno(outcome), Some(libc::EROFS));
    }
    assert_eq!(fs::read(&file).unwrap(), b"x");
}

/// Memory of a process in KiB.
fn resident(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn ten_thousand_names_that_are_not_there_leave_next_to_nothing() {
    let place = Place::new();
    let store = Store::new(place.path());
    store.put("a.age", b"x");
    let daemon = place.mount(&(store.scope("prod") + "list_ttl = \"1s\"\nmax_stale = \"0s\"\nttl = \"1s\"\n"));
    let mnt = place.mnt();
    let before = resident(&daemon);
    for n in 0..10_000 {
        let name = format!("{n}-{}", "x".repeat(200));
        for path in [mnt.join(&name), mnt.join("prod").join(&name).join("value"), mnt.join("prod/a").join(&name)] {
            assert_eq!(fs::metadata(&path).unwrap_err().raw_os_error(), Some(libc::ENOENT));
        }
    }
    let status = place.status();
    assert!(status["inodes"].as_u64() < Some(100), "{status}");
    assert_eq!(status["open"], 0);
    let grown = resident(&daemon).saturating_sub(before);
    assert!(grown < 100 * 1024, "{grown} KiB more");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(fs::read(mnt.join("prod/a/value")).unwrap(), b"x");
}

/// Needs what only root may do or see.
mod as_root {
    use super::*;

    #[test]
    fn a_folder_and_a_file_that_the_daemon_may_not_read_are_eacces() {
        let place = Place::new();
        let store = Store::new(place.path());
        store.put("a.age", b"x");
        store.put("b.age", b"y");
        fs::set_permissions(store.path.join("b.age"), fs::Permissions::from_mode(0o000)).unwrap();
        place.configure(&(store.scope("prod") + "negative_ttl = \"100ms\"\nttl = \"100ms\"\nlist_ttl = \"100ms\"\n"));
        let mut command = place.hushfs(&["mount"]);
        drop_capabilities(&mut command, &[CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH]);
        let _daemon = place.start(command);
        assert_eq!(fs::read(place.mnt().join("prod/a/value")).unwrap(), b"x");
        assert_errno(&place.mnt().join("prod/b/value"), libc::EACCES);
        fs::set_permissions(&store.path, fs::Permissions::from_mode(0o000)).unwrap();
        eventually("it is refused", || {
            (errno_of_reading(&place.mnt().join("prod/a/value")) == Some(libc::EACCES)).then_some(())
        });
        fs::set_permissions(&store.path, fs::Permissions::from_mode(0o700)).unwrap();
        eventually("it is served again", || fs::read(place.mnt().join("prod/a/value")).ok());
    }
}
