//! Another configuration for a mount that lives, as users see it: what is taken away is refused at once, and nobody
//! gets in between what neither configuration gives.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use super::grants::{EACCES, cat, grant, look, ls};
use super::handover::mount_of;
use crate::support::daemon::{Place, eventually};
use crate::support::machine::Machine;
use crate::support::over::IsOver;
use crate::support::plain::PlainStore;
use crate::support::users::{as_user, private_mounts};

/// A place that other users may pass, and the stores `one` and `two`, whose `db/KEY` says where it is from.
fn place() -> (Place, [PlainStore; 2]) {
    let place = Place::new();
    private_mounts(&place, 0);
    std::fs::set_permissions(place.mnt(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let stores = ["one", "two"].map(|name| {
        let store = PlainStore::new(place.path(), name);
        store.put("db.json", format!(r#"{{"KEY":"of {name}"}}"#).as_bytes());
        store
    });
    (place, stores)
}

fn settings(grants: &str, store: &PlainStore) -> String {
    format!("allow_other = true\n{grants}\n{}", store.scope("prod"))
}

fn reload(place: &Place, configuration: &str) {
    place.configure(configuration);
    let output = place.run(&["reload", "--mountpoint", place.mnt().to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn list_of(path: &Path) -> String {
    let output = Command::new("getfacl").args(["-cnp"]).arg(path).output().expect("getfacl");
    String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_grant_that_is_taken_away_is_refused_at_once_whatever_the_kernel_remembered() {
    let (place, [one, _]) = place();
    let (mine, theirs) = (grant("allow", "uid:2001", "read", "prod/db"), grant("allow", "uid:2002", "read", "prod/db"));
    let _daemon = place.mount(&settings(&(mine.clone() + &theirs), &one));
    let key = place.mnt().join("prod/db/KEY");
    for uid in [2001, 2002] {
        assert_eq!(cat(uid, &[], &key).as_deref(), Some("of one"));
        assert_eq!(look(uid, &key), "");
    }
    assert!(list_of(&key).contains("user:2001:r--"));
    let open = as_user(2001, || File::open(&key).unwrap());

    reload(&place, &settings(&theirs, &one));
    assert!(!list_of(&key).contains("2001") && list_of(&key).contains("user:2002:r--"), "{}", list_of(&key));
    assert_eq!(cat(2001, &[], &key), None);
    assert_eq!(look(2001, &key), EACCES);
    assert_eq!(ls(2002, &[], &place.mnt()), ["prod"]);
    assert_eq!(cat(2002, &[], &key).as_deref(), Some("of one"));
    assert_eq!(place.calls("prod", "fetch"), 1, "its values are what they were");
    let text = as_user(2001, || (open.metadata().unwrap().len(), std::io::read_to_string(open).unwrap()));
    assert_eq!(text, (6, "of one".to_owned()), "what was open stays open");

    // All of them, and back.
    reload(&place, &settings("", &one));
    assert_eq!((cat(2002, &[], &key), cat(0, &[], &key).as_deref()), (None, Some("of one")));
    assert_eq!(list_of(&key), "user::r-- group::--- other::---");
    reload(&place, &settings(&mine, &one));
    assert_eq!((cat(2001, &[], &key).as_deref(), cat(2002, &[], &key)), (Some("of one"), None));
}

/// A file as a user has mapped it; it is closed.
struct Mapped {
    start: *const u8,
    length: usize,
}

impl Mapped {
    fn by(uid: u32, path: &Path) -> Self {
        let file = as_user(uid, || File::open(path).unwrap());
        let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
        // SAFETY: a new mapping, which is only read until it is unmapped.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        assert_ne!(start, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        Self { start: start.cast(), length }
    }

    fn shown(&self) -> String {
        // SAFETY: the mapping is so long. Each byte is read once, for the kernel may change it.
        let bytes = (0..self.length).map(|at| unsafe { self.start.add(at).read_volatile() });
        String::from_utf8(bytes.collect()).unwrap()
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping made above, of which nobody has a reference.
        unsafe { libc::munmap(self.start.cast_mut().cast(), self.length) };
    }
}

#[test]
fn a_mapping_from_before_does_not_come_to_hold_what_only_others_may_read() {
    let (place, [one, two]) = place();
    let to = |uid: u32| grant("allow", &format!("uid:{uid}"), "read", "prod/db");
    let _daemon = place.mount(&settings(&to(2001), &one));
    let key = place.mnt().join("prod/db/KEY");
    let first = Mapped::by(2001, &key);
    assert_eq!(first.shown(), "of one");

    // To another, and nothing else.
    reload(&place, &settings(&to(2002), &one));
    one.put("db.json", br#"{"KEY":"newer!"}"#);
    assert!(place.run(&["refresh", "--mountpoint", place.mnt().to_str().unwrap()]).status.success());
    let second = Mapped::by(2002, &key);
    assert_eq!([second.shown(), first.shown()], ["newer!", "of one"]);

    // And from another store.
    reload(&place, &settings(&to(2001), &two));
    let third = Mapped::by(2001, &key);
    assert_eq!([third, second, first].each_ref().map(Mapped::shown), ["of two", "newer!", "of one"]);
}

#[test]
fn between_two_configurations_nobody_gets_what_neither_gives() {
    let (place, [one, two]) = place();
    let always = grant("allow", "uid:2003", "read", "prod/db");
    // Each gives one store to one user: a mixture would give it to the other.
    let configurations = [
        settings(&(grant("allow", "uid:2001", "read", "prod/db") + &always), &one),
        settings(&(grant("allow", "uid:2002", "read", "prod/db") + &always), &two),
    ];
    let _daemon = place.mount(&configurations[0]);
    let key: PathBuf = place.mnt().join("prod/db/KEY");
    let (is_over, reads) = (IsOver::default(), [2001, 2002, 2003, 2004].map(|uid| (uid, AtomicU64::new(0))));
    std::thread::scope(|threads| {
        for (uid, reads) in &reads {
            threads.spawn(|| {
                as_user(*uid, || {
                    while !is_over.now() {
                        match (*uid, std::fs::read_to_string(&key)) {
                            (2001 | 2003, Ok(value)) if value == "of one" => {}
                            (2002 | 2003, Ok(value)) if value == "of two" => {}
                            (2001 | 2002 | 2004, Err(error)) if error.raw_os_error() == Some(libc::EACCES) => {}
                            (uid, other) => panic!("uid {uid}: {other:?}"),
                        }
                        reads.fetch_add(1, Ordering::Relaxed);
                    }
                });
            });
        }
        let _over = is_over.at_the_end();
        for turn in 1..=50 {
            let before = reads.each_ref().map(|(_, reads)| reads.load(Ordering::Relaxed));
            reload(&place, &configurations[turn % 2]);
            let (granted, refused, value) = if turn % 2 == 0 { (2001, 2002, "of one") } else { (2002, 2001, "of two") };
            let read = |uid| as_user(uid, || std::fs::read_to_string(&key).ok());
            assert_eq!((read(granted).as_deref(), read(refused)), (Some(value), None));
            for ((_, reads), before) in reads.iter().zip(before) {
                eventually("everybody tries", || (reads.load(Ordering::Relaxed) > before).then_some(()));
            }
        }
    });
}

#[test]
fn a_name_that_was_looked_up_while_nothing_was_granted_is_not_known_to_who_comes_with_grants() {
    let (place, [one, _]) = place();
    one.put("db.json", br#"{"KEY":"of one","OTHER":"of one"}"#);
    let other = settings(&grant("allow", "uid:2001", "read", "prod/db/OTHER"), &one);
    let _daemon = place.mount(&other);
    let [key, granted] = ["KEY", "OTHER"].map(|key| place.mnt().join("prod/db").join(key));
    let looks = || as_user(2001, || [&key, &granted].map(|path| path.metadata().is_ok()));
    assert_eq!(looks(), [false, true]);

    reload(&place, &settings("", &one));
    assert!(key.metadata().is_ok());
    reload(&place, &other);
    assert!(key.metadata().is_ok(), "the kernel knows all of it from root");
    assert_eq!(looks(), [false, true]);
}

#[test]
fn a_name_service_that_hangs_fails_a_reload_and_holds_up_none_once_it_answers() {
    let (place, [one, _]) = place();
    let _daemon = place.mount(&settings(&grant("allow", "uid:2001", "read", "prod/db"), &one));
    // Who asks for a user by name waits until somebody writes.
    let users = place.path().join("users");
    rustix::fs::mknodat(rustix::fs::CWD, &users, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    rustix::mount::mount_bind(&users, "/etc/passwd").unwrap();
    place.configure(&settings(&grant("allow", "user:daemon", "read", "prod/db"), &one));
    for why in ["takes longer than", "hangs since an earlier reload"] {
        let output = place.run(&["reload", "--mountpoint", place.mnt().to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(71), "{said}");
        assert!(said.contains(why) && said.contains("name service"), "{said}");
    }
    let key = place.mnt().join("prod/db/KEY");
    let read = as_user(2001, || std::fs::read_to_string(&key).ok());
    assert_eq!(read.as_deref(), Some("of one"), "everything is as it was");

    // Whoever waits has it open.
    rustix::mount::unmount("/etc/passwd", rustix::mount::UnmountFlags::DETACH).unwrap();
    drop(File::options().write(true).open(&users).unwrap());
    eventually("it reloads", || {
        let output = place.run(&["reload", "--mountpoint", place.mnt().to_str().unwrap()]);
        output.status.success().then_some(())
    });
    assert_eq!((cat(2001, &[], &key), cat(1, &[], &key).as_deref()), (None, Some("of one")));
}

/// What `systemctl reload` and a daemon after this one make of it.
const UNIT: &str = "[Unit]\nStartLimitIntervalSec=0\n\
     [Service]\nType=notify\nExecStart=/usr/bin/hushfs mount --config /etc/hushfs/hushfs.toml\n\
     ExecReload=RELOAD\nFileDescriptorStoreMax=16\nRestart=on-failure\nRestartSec=300ms\n";

#[test]
fn systemd_reloads_it_in_both_ways_and_a_daemon_after_that_goes_on_with_what_holds() {
    // A signal tells of no end and of no failure.
    for (reload, status) in
        [("/usr/bin/hushfs reload --mountpoint /secrets", "1\n"), ("/bin/sh -c 'kill -HUP $MAINPID'", "0\n")]
    {
        let place = Place::new();
        let machine = Machine::new(&place);
        // Of what comes later the daemon has to know at its start.
        machine.hushfs("[sandbox]\nread = [\"/var/lib/elsewhere\"]\n");
        machine.unit("hushfs.service", &UNIT.replace("RELOAD", reload));
        machine.secret("db", "value");
        machine.secret("other", "value");
        // The same bytes, and so the same version, of another place.
        machine.write("var/lib/elsewhere/db.json", &serde_json::json!({ "KEY": "value" }).to_string());
        let holder = "exec 3</secrets/SCOPE/db/KEY; dd bs=1 count=1 status=none <&3; touch /run/open-SCOPE; \
             until [ -e /run/go-on ]; do sleep 0.1; done; cat <&3";
        for scope in ["prod", "moved"] {
            machine.write(&format!("holder-{scope}"), &holder.replace("SCOPE", scope));
        }
        let scope = |path: &str| {
            format!("[scopes.moved]\nprovider = \"local\"\npath = \"/var/lib/{path}\"\nallow_plaintext = true\n")
        };
        machine.write("moved-1", &scope("store"));
        machine.write("moved-2", &scope("elsewhere"));
        let results = machine.run(
            "cp /etc/hushfs/hushfs.toml /base
            grep ' /secrets ' /proc/self/mountinfo >/results/before
            cat /base /moved-1 >/etc/hushfs/hushfs.toml
            systemctl reload hushfs.service
            until [ -d /secrets/moved ]; do sleep 0.1; done
            ls /secrets >/results/reloaded
            for scope in prod moved; do
                sh /holder-$scope >/results/held-$scope 2>/results/told-$scope &
                until [ -e /run/open-$scope ]; do sleep 0.1; done
            done
            cat /base /moved-2 >/etc/hushfs/hushfs.toml
            systemctl reload hushfs.service
            until [ \"$(ls /secrets/moved)\" = db ]; do sleep 0.1; done
            kill -KILL $(systemctl show --property=MainPID --value hushfs.service)
            cat /secrets/moved/db/KEY >/results/after-the-kill
            touch /run/go-on
            wait
            grep ' /secrets ' /proc/self/mountinfo >/results/after
            echo 'unknown = 1' >/etc/hushfs/hushfs.toml
            # It answers before it is said to be ready.
            until systemctl is-active --quiet hushfs.service; do sleep 0.1; done
            systemctl reload hushfs.service && echo 0 >/results/status || echo 1 >/results/status
            until journalctl --no-pager -b | grep 'everything stays as it was'; do sleep 0.1; done
            # The reload is over later than that.
            while systemctl is-active hushfs.service | tee /results/active | grep -x reloading; do sleep 0.1; done
            ls /secrets >/results/unchanged",
        );
        assert_eq!(results.file("reloaded"), "moved\nprod\n", "{reload}");
        assert_eq!(results.file("after-the-kill"), "value");
        assert_eq!(results.file("held-prod"), "value");
        assert_eq!(results.file("held-moved"), "v", "what it was opened of is not there any more");
        assert!(results.file("told-moved").contains("Stale file handle"), "{}", results.file("told-moved"));
        assert_eq!(mount_of(&results.file("before")), mount_of(&results.file("after")));
        assert_eq!(results.file("unchanged"), "moved\nprod\n");
        assert_eq!(results.file("active"), "active\n");
        assert_eq!(results.file("status"), status);
    }
}
