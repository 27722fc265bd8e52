//! Callers whom the provider is asked for as different identities: what one is given is never another's.
//!
//! `alpha` and `beta` are roles of two accounts that have different secrets of the same names, `gamma` is one that
//! may do nothing. Whatever crosses from one to another would show.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::grants::{EACCES, cat, grant, look, ls, run};
use crate::support::audit_log::AuditFile;
use crate::support::cloud::Cloud;
use crate::support::daemon::{Daemon, Place, eventually};
use crate::support::fault_proxy::Fault;
use crate::support::ministack::ROOT_KEYS;
use crate::support::users::{as_user, private_mounts};

/// Users of the roles alpha, beta and gamma.
const ALPHA: u32 = 2001;
const BETA: u32 = 2002;
const GAMMA: u32 = 2003;

const OTHER_ACCOUNT: &str = "111111111111";
const ENOENT: &str = "No such file or directory";

struct World {
    place: Place,
    cloud: Cloud,
    identities: String,
}

fn trust(external_id: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
    }]})
    .to_string()
}

fn policy(effect: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": "secretsmanager:*", "Resource": "*"}]})
        .to_string()
}

impl World {
    fn new() -> Self {
        let place = Place::new();
        private_mounts(&place, 0);
        std::fs::set_permissions(place.mnt(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let cloud = Cloud::start(&place);
        let server = &cloud.account.server;
        let roles = [
            (ALPHA, server.role("alpha", &trust("hushfs-2001"), &policy("Allow"))),
            (BETA, server.role_in(OTHER_ACCOUNT, "beta", &trust("hushfs-2002"), &policy("Allow"))),
            (GAMMA, server.role("gamma", &trust("hushfs-2003"), &policy("Deny"))),
        ];
        let identity = |(uid, arn): &(u32, String)| {
            format!(
                "[[identity]]\nprincipals = [\"uid:{uid}\"]\nscopes = [\"prod\"]\naws.role_arn = {arn:?}\n\
                 aws.external_id = \"hushfs-{{uid}}\"\n"
            )
        };
        let identities = roles.iter().map(identity).collect();
        cloud.create("db", br#"{"KEY":"alpha's own","A":"1"}"#);
        cloud.create("alpha-only", b"x");
        let account = &cloud.account;
        cloud.wait(account.create_in(OTHER_ACCOUNT, "db", br#"{"KEY":"beta","B":"2"}"#));
        cloud.wait(account.create_in(OTHER_ACCOUNT, "beta-only", b"y"));
        Self { place, cloud, identities }
    }

    /// Everyone is granted everything: only identities keep them apart.
    fn mount(&self, cache: &str, more: &str) -> Daemon<'_> {
        let everything =
            grant("allow", "everyone", "read", "prod/**") + &grant("allow", "everyone", "read-previous", "prod/**");
        let scope = self.cloud.scope("prod", cache);
        let configuration = format!("allow_other = true\n{everything}{}{scope}{more}", self.identities);
        self.cloud.mount_with_iam(&self.place, &configuration, ROOT_KEYS)
    }

    fn prod(&self) -> PathBuf {
        self.place.mnt().join("prod")
    }
}

fn said(uid: u32, program: &[&str], path: &Path) -> String {
    let output = run(uid, &[], program, path);
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn each_identity_is_given_its_own_values_names_sizes_and_metadata() {
    let world = World::new();
    let _daemon = world.mount("", "");
    let prod = world.prod();
    let versions: Vec<PathBuf> = [ALPHA, BETA]
        .iter()
        .map(|uid| as_user(*uid, || std::fs::read_link(prod.join("db/@current")).unwrap()))
        .collect();
    assert_ne!(versions[0], versions[1]);
    // What one has brought into memory, and into the kernel's, is there for the next to find.
    for _ in 0..3 {
        assert_eq!(cat(ALPHA, &[], &prod.join("db/KEY")).as_deref(), Some("alpha's own"));
        assert_eq!(cat(BETA, &[], &prod.join("db/KEY")).as_deref(), Some("beta"));
        assert_eq!(cat(GAMMA, &[], &prod.join("db/KEY")), None);
        assert_eq!(cat(ALPHA, &[], &prod.join("db/.json")).as_deref(), Some(r#"{"A":"1","KEY":"alpha's own"}"#));
        assert_eq!(cat(BETA, &[], &prod.join("db/.json")).as_deref(), Some(r#"{"B":"2","KEY":"beta"}"#));
        assert_eq!(cat(GAMMA, &[], &prod.join("db/.json")), None);

        assert_eq!(ls(ALPHA, &[], &prod), ["alpha-only", "db"]);
        assert_eq!(ls(BETA, &[], &prod), ["beta-only", "db"]);
        assert_eq!(ls(ALPHA, &[], &prod.join("db")), ["A", "KEY"]);
        assert_eq!(ls(BETA, &[], &prod.join("db")), ["B", "KEY"]);
        assert!(said(GAMMA, &["ls"], &prod).contains(EACCES));
        assert!(said(GAMMA, &["ls"], &prod.join("db")).contains(EACCES));

        assert_eq!(look(BETA, &prod.join("alpha-only")), ENOENT);
        assert_eq!(look(ALPHA, &prod.join("beta-only/value")), ENOENT);
        assert_eq!(look(BETA, &prod.join("db/A")), ENOENT);
        assert_eq!(look(GAMMA, &prod.join("db/KEY")), EACCES);
        assert_eq!(look(GAMMA, &prod.join("db/NOSUCH")), EACCES);

        assert_eq!(said(ALPHA, &["stat", "-c", "%s"], &prod.join("db/KEY")), "11\n");
        assert_eq!(said(BETA, &["stat", "-c", "%s"], &prod.join("db/KEY")), "4\n");
        let source = ["getfattr", "--only-values", "--absolute-names", "-n", "user.hushfs.source"];
        assert!(said(ALPHA, &source, &prod.join("db/KEY")).contains(":000000000000:"));
        assert!(said(BETA, &source, &prod.join("db/KEY")).contains(":111111111111:"));
        assert!(!said(GAMMA, &source, &prod.join("db/KEY")).contains("arn:"));
        assert!(!said(GAMMA, &source, &prod.join("db")).contains("arn:"));

        // A version's id is no key to it.
        assert_eq!(cat(ALPHA, &[], &prod.join("db").join(&versions[0]).join("KEY")).as_deref(), Some("alpha's own"));
        assert_eq!(look(BETA, &prod.join("db").join(&versions[0]).join("KEY")), ENOENT);
        assert_eq!(cat(GAMMA, &[], &prod.join("db").join(&versions[0]).join("KEY")), None);
    }
    assert_eq!(
        std::fs::read(prod.join("db/KEY")).unwrap(),
        b"alpha's own",
        "root has no role: the scope's own identity"
    );
}

#[test]
fn a_fetch_under_way_is_joined_by_nobody_of_another_identity() {
    let world = World::new();
    let _daemon = world.mount("", "");
    let key = world.prod().join("db/KEY");
    // All that comes before the value is in memory.
    for uid in [ALPHA, BETA] {
        said(uid, &["stat"], &world.prod().join("db"));
    }
    let proxy = &world.cloud.proxy;
    proxy.set("GetSecretValue", Fault::Delay(std::time::Duration::from_millis(1500)));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| cat(ALPHA, &[], &key));
        eventually("the call", || (proxy.calls("GetSecretValue") == 1).then_some(()));
        let others = [BETA, GAMMA, ALPHA].map(|uid| {
            let key = &key;
            scope.spawn(move || cat(uid, &[], key))
        });
        let others = others.map(|other| other.join().unwrap());
        assert_eq!(others, [Some("beta".to_owned()), None, Some("alpha's own".to_owned())]);
        assert_eq!(first.join().unwrap().as_deref(), Some("alpha's own"));
    });
    assert_eq!(proxy.calls("GetSecretValue"), 3, "one for each identity, and one only");
}

/// Some policies let versions be asked for by their stage only.
#[test]
fn a_version_that_was_refused_by_its_id_is_shown_as_readable_once_it_comes_as_the_current_one() {
    let world = World::new();
    let _daemon = world.mount("ttl = \"3s\"\nnegative_ttl = \"1h\"", "");
    let db = world.prod().join("db");
    let key = db.join(as_user(ALPHA, || std::fs::read_link(db.join("@current")).unwrap())).join("KEY");
    std::thread::sleep(std::time::Duration::from_millis(3200));
    world.cloud.proxy.set("GetSecretValue", Fault::error(400, "AccessDeniedException"));
    assert_eq!(cat(ALPHA, &[], &key), None);
    world.cloud.proxy.set("GetSecretValue", Fault::Pass);
    // For as long as the current one is fresh.
    eventually("the version is shown as readable", || {
        assert_eq!(cat(ALPHA, &[], &db.join("KEY")).as_deref(), Some("alpha's own"));
        (cat(ALPHA, &[], &key).as_deref() == Some("alpha's own")).then_some(())
    });
}

/// The bytes that are mapped of a file, after one more look at it.
fn mapped(file: &File) -> Vec<u8> {
    let length = usize::try_from(file.metadata().unwrap().size()).unwrap();
    // SAFETY: a new mapping of the file, read within its length, and unmapped before the return.
    unsafe {
        let at = libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0);
        assert_ne!(at, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        let bytes = std::slice::from_raw_parts(at.cast::<u8>(), length).to_vec();
        libc::munmap(at, length);
        bytes
    }
}

#[test]
fn callers_who_come_at_once_never_get_anothers_bytes_read_or_mapped() {
    let world = World::new();
    // What memory has changes all the time.
    let _daemon = world.mount("ttl = \"5ms\"\nlist_ttl = \"5ms\"\nnegative_ttl = \"5ms\"", "");
    let prod = world.prod();
    std::thread::scope(|scope| {
        for (uid, value, mine) in [(ALPHA, &b"alpha's own"[..], "alpha-only"), (BETA, b"beta", "beta-only")] {
            let prod = &prod;
            scope.spawn(move || {
                as_user(uid, || {
                    for _ in 0..60 {
                        let key = prod.join("db/KEY");
                        assert_eq!(std::fs::read(&key).unwrap(), value);
                        let mut file = File::open(&key).unwrap();
                        assert_eq!(mapped(&file), value);
                        let mut bytes = Vec::new();
                        file.read_to_end(&mut bytes).unwrap();
                        assert_eq!(bytes, value);
                        assert_eq!(std::fs::metadata(&key).unwrap().size(), value.len() as u64);
                        let names = std::fs::read_dir(prod).unwrap().map(|entry| entry.unwrap().file_name());
                        let mut names: Vec<_> = names.filter(|name| name != "db").collect();
                        assert_eq!(names.pop().unwrap(), mine);
                        assert!(names.is_empty());
                    }
                });
            });
        }
        let prod = &prod;
        scope.spawn(move || {
            as_user(GAMMA, || {
                for _ in 0..60 {
                    for path in ["db/KEY", "db/.json", "db/@current/KEY", "alpha-only/value"] {
                        let refused = File::open(prod.join(path)).unwrap_err();
                        assert_eq!(refused.raw_os_error(), Some(libc::EACCES), "{path}");
                    }
                }
            });
        });
    });
}

#[test]
fn a_descriptor_reads_what_was_opened_and_opening_it_anew_does_not() {
    let world = World::new();
    let _daemon = world.mount("", "");
    let as_beta = format!("setpriv --reuid={BETA} --regid={BETA} --clear-groups");
    // Through /proc the kernel comes to the file without looking its path up.
    let script = format!(
        "exec 3< \"$1\"; {as_beta} cat <&3; echo; {as_beta} cat /proc/self/fd/3 3<&3; cd \"$(dirname \"$1\")\"; \
         {as_beta} cat KEY"
    );
    let mut command = Command::new("setpriv");
    command.args(["--reuid=0", "--regid=0", "--groups=0", "sh", "-c", &script, "sh"]);
    let output = command.arg(world.prod().join("db/KEY")).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(out, "alpha's own\nbeta", "{err}");
    assert!(err.contains("/proc/self/fd/3"), "{err}");
}

#[test]
fn a_role_is_taken_on_in_the_callers_name_and_the_audit_log_says_which() {
    let world = World::new();
    let audit = AuditFile::new(&world.place, "audit.log");
    let _daemon = world.mount("", &audit.section("required = true"));
    let key = world.prod().join("db/KEY");
    assert_eq!(cat(BETA, &[], &key).as_deref(), Some("beta"));
    assert_eq!(cat(GAMMA, &[], &key), None);
    std::fs::read(&key).unwrap();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let host: String = host.trim().chars().take(32).collect();
    let forms = world.cloud.proxy.forms("AssumeRole");
    for uid in [BETA, GAMMA] {
        let wanted = [format!("RoleSessionName=hushfs-{host}-uid{uid}&"), format!("ExternalId=hushfs-{uid}")];
        let mine = forms.iter().filter(|form| wanted.iter().all(|wanted| form.contains(wanted)));
        assert_eq!(mine.count(), 1, "{forms:?}");
    }
    let records = audit.about("prod/db/KEY");
    let identity = |uid: u32| &records.iter().rfind(|record| record["uid"] == uid).unwrap()["identity"];
    assert_eq!(identity(BETA), "arn:aws:iam::111111111111:role/beta");
    assert_eq!(identity(GAMMA), "arn:aws:iam::000000000000:role/gamma");
    assert_eq!(identity(0), &serde_json::Value::Null);
}

#[test]
fn a_caller_of_whom_it_cannot_be_known_is_asked_for_as_nobody() {
    let world = World::new();
    let unit = format!(
        "[[identity]]\nprincipals = [\"exe:/nowhere/else\"]\nscopes = [\"prod\"]\n\
         aws.role_arn = \"arn:aws:iam::{OTHER_ACCOUNT}:role/beta\"\naws.external_id = \"hushfs-2002\"\n"
    );
    let world = World { identities: unit, ..world };
    let _daemon = world.mount("", "");
    let key = world.prod().join("db/KEY");
    assert_eq!(cat(ALPHA, &[], &key).as_deref(), Some("alpha's own"), "it is known that this is not what runs");
    // Of a program that is at no path of ours it is not.
    let folder = world.place.path().join("own");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::chown(&folder, Some(ALPHA), Some(ALPHA)).unwrap();
    let copy = folder.join("cat");
    std::fs::copy("/bin/cat", &copy).unwrap();
    let script = format!("exec 9< {0}; rm {0}; exec /proc/self/fd/9 \"$1\"", copy.display());
    let output = Command::new("setpriv")
        .args([&format!("--reuid={ALPHA}"), &format!("--regid={ALPHA}"), "--clear-groups", "sh", "-c"])
        .args([script.as_str(), "sh"])
        .arg(&key)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(EACCES), "{output:?}");
}

#[test]
fn each_identitys_current_version_is_read_by_its_link_without_a_right_to_older_ones() {
    let world = World::new();
    let scope = world.cloud.scope("prod", "");
    // By name, so that the kernel goes by an access control list.
    let grants: String =
        [ALPHA, BETA, GAMMA].map(|uid| grant("allow", &format!("uid:{uid}"), "read", "prod/**")).concat();
    let configuration = format!("allow_other = true\n{grants}{}{scope}", world.identities);
    let _daemon = world.cloud.mount_with_iam(&world.place, &configuration, ROOT_KEYS);
    let key = world.prod().join("db/@current/KEY");
    for _ in 0..2 {
        assert_eq!(cat(ALPHA, &[], &key).as_deref(), Some("alpha's own"));
        assert_eq!(cat(BETA, &[], &key).as_deref(), Some("beta"));
        assert_eq!(cat(GAMMA, &[], &key), None);
    }
}

#[test]
fn identities_that_are_in_another_order_after_a_reload_do_not_get_each_others_values() {
    let world = World::new();
    let _daemon = world.mount("ttl = \"1h\"\nnegative_ttl = \"1h\"", "");
    let key = world.prod().join("db/KEY");
    let read = || [ALPHA, BETA, GAMMA].map(|uid| cat(uid, &[], &key));
    let fetched = || {
        let status = world.place.status();
        let scopes = status["scopes"].as_array().unwrap().clone();
        scopes.iter().map(|scope| scope["calls"]["fetch"].as_u64().unwrap()).sum::<u64>()
    };
    let expected = [Some("alpha's own".to_owned()), Some("beta".to_owned()), None];
    assert_eq!(read(), expected);
    let before = fetched();

    let tables: Vec<_> = world.identities.split_inclusive("{uid}\"\n").collect();
    assert_eq!(tables.len(), 3);
    let reload = |identities: &str| {
        let file = world.place.path().join("hushfs.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let (start, end) = (text.find("[[identity]]").unwrap(), text.find("[scopes").unwrap());
        std::fs::write(&file, [&text[..start], identities, &text[end..]].concat()).unwrap();
        let output = world.place.run(&["reload", "--mountpoint", world.place.mnt().to_str().unwrap()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    for order in [[2, 1, 0], [1, 0, 2], [0, 2, 1]] {
        reload(&order.map(|at| tables[at]).concat());
        assert_eq!(read(), expected, "{order:?}");
    }
    assert_eq!(fetched(), before, "each is given its own from memory");

    // Whoever has no identity any more is asked for as the scope's own, and gets nothing of what there was.
    reload(&[tables[1], tables[2]].concat());
    assert_eq!(fetched(), before - 1, "alpha's is not there any more");
    assert_eq!(read()[1..], expected[1..]);
    assert_eq!(cat(ALPHA, &[], &key).as_deref(), Some("alpha's own"), "the account is the same");
    assert_eq!(fetched(), before, "it was fetched anew");
}
