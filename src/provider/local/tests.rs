//! Against files made by the real `age` and `age-keygen`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::*;
use crate::provider::Known;

const AGE: &str = "age is not installed: run the tests with `make test`, or install the package age";

struct Fixture {
    dir: TempDir,
    recipient: String,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("store")).unwrap();
        let recipient = keygen(&dir.path().join("key"));
        Self { dir, recipient }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join("store").join(file)
    }

    fn store(&self) -> Store {
        Store {
            settings: LocalSettings {
                path: self.dir.path().join("store"),
                identity: Some(self.dir.path().join("key")),
                allow_plaintext: false,
            },
            max: 1 << 20,
        }
    }

    fn plaintext_store(&self) -> Store {
        let mut store = self.store();
        store.settings.allow_plaintext = true;
        store
    }

    fn put(&self, file: &str, value: &[u8]) {
        age(&["-r", &self.recipient], &self.path(file), value);
    }

    fn plain(&self, file: &str, value: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(file).parent().unwrap()).unwrap();
        fs::write(self.path(file), value).unwrap();
    }
}

fn keygen(path: &Path) -> String {
    let status = Command::new("age-keygen").arg("-o").arg(path).stderr(Stdio::null()).status().expect(AGE);
    assert!(status.success());
    let out = Command::new("age-keygen").arg("-y").arg(path).output().expect(AGE);
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn age(args: &[&str], output: &Path, value: &[u8]) {
    fs::create_dir_all(output.parent().unwrap()).unwrap();
    let mut child = Command::new("age").args(args).arg("-o").arg(output).stdin(Stdio::piped()).spawn().expect(AGE);
    child.stdin.take().unwrap().write_all(value).unwrap();
    assert!(child.wait().unwrap().success());
}

fn fetch(store: &Store, name: &str) -> Result<Fetched, Error> {
    store.fetch(name, &VersionSelector::Current)
}

fn raw(store: &Store, name: &str) -> Vec<u8> {
    fetch(store, name).unwrap_or_else(|error| panic!("{name}: {error}")).payload.raw.expose().to_vec()
}

fn error(store: &Store, name: &str) -> Error {
    match fetch(store, name) {
        Ok(_) => panic!("{name} was served"),
        Err(error) => error,
    }
}

fn keys(store: &Store, name: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let keys = fetch(store, name).unwrap().payload.keys?;
    Some(keys.into_iter().map(|(name, value)| (name, value.expose().to_vec())).collect())
}

fn listed(store: &Store) -> Vec<String> {
    let mut names: Vec<_> = store.list().unwrap().secrets.into_iter().map(|s| s.name.as_str().to_owned()).collect();
    names.sort();
    names
}

fn left_out(store: &Store, what: &str) -> String {
    let listing = store.list().unwrap();
    let found = listing.left_out.iter().find(|(name, _)| name == what);
    found.unwrap_or_else(|| panic!("{what} is not among {:?}", listing.left_out)).1.clone()
}

#[test]
fn what_age_encrypted_comes_back_exactly() {
    let f = Fixture::new();
    for (i, value) in [&b""[..], b"x", b"\0\xff\n", &[7; 65_536], &[8; 65_537], &[9; 300_000]].into_iter().enumerate() {
        f.put(&format!("v{i}.age"), value);
        assert_eq!(raw(&f.store(), &format!("v{i}")), value);
        age(&["-a", "-r", &f.recipient], &f.path(&format!("armored{i}.age")), value);
        assert_eq!(raw(&f.store(), &format!("armored{i}")), value);
    }
}

#[test]
fn formats_give_their_keys() {
    let f = Fixture::new();
    f.put("j.json.age", br#"{"a": 1}"#);
    f.put("e.env.age", b"A=1\nexport B='x y'\n");
    f.put("y.yaml.age", b"port: 0o14\nnested: {a: [1]}\nempty:\n");
    f.put("y2.yml.age", b"- not\n- a mapping\n");
    f.put("cert.pem.age", b"-----BEGIN");
    let store = f.store();
    assert_eq!(keys(&store, "j"), None);
    assert_eq!(keys(&store, "cert.pem"), None);
    assert_eq!(keys(&store, "y2"), None);
    assert_eq!(keys(&store, "e").unwrap(), [("A".into(), b"1".to_vec()), ("B".into(), b"x y".to_vec())]);
    let yaml = keys(&store, "y").unwrap();
    assert_eq!(yaml[0].1, b"0o14");
    assert_eq!(yaml[1].1, br#"{"a":[1]}"#);
    assert_eq!(yaml[2].1, b"");
}

#[test]
fn a_listing_and_a_look_agree_with_what_is_served() {
    let f = Fixture::new();
    f.put("db.json.age", b"{}");
    f.put("db/creds.age", b"x");
    f.put("a/b/c/deep.env.age", b"A=1");
    f.put("empty-folder/.hidden.age", b"x");
    f.put(".git/x.age", b"x");
    f.put("name with space é\n.age", b"x");
    let store = f.store();
    assert_eq!(listed(&store), ["a/b/c/deep", "db", "db/creds", "name with space é\n"]);
    for name in listed(&store) {
        let presence = store.look(&name).unwrap();
        assert_eq!(presence.secret, Known::Yes);
        assert_eq!(presence.changed, fetch(&store, &name).unwrap().created);
        assert!(presence.changed.is_some());
    }
    let presence = |name: &str| store.look(name).map(|p| (p.secret, p.children)).unwrap();
    assert_eq!(presence("db"), (Known::Yes, Known::Yes));
    assert_eq!(presence("db/creds"), (Known::Yes, Known::No));
    assert_eq!(presence("a"), (Known::No, Known::Yes));
    assert_eq!(presence("empty-folder"), (Known::No, Known::No));
    assert_eq!(presence("nobody"), (Known::No, Known::No));
    assert_eq!(presence("db.json"), (Known::No, Known::No));
    assert_eq!(presence(".git"), (Known::No, Known::No));
    assert_eq!(error(&store, "db.json").kind, ErrorKind::NotFound);
}

#[test]
fn of_two_files_of_one_name_the_first_format_is_served() {
    let f = Fixture::new();
    f.put("db.env.age", b"A=env");
    f.put("db.age", b"bytes");
    f.put("db.yaml.age", b"a: yaml");
    let store = f.store();
    assert_eq!(raw(&store, "db"), b"a: yaml");
    f.put("db.json.age", b"{}");
    assert_eq!(raw(&store, "db"), b"{}");
    assert_eq!(listed(&store), ["db"]);
    for file in ["db.env.age", "db.age", "db.yaml.age"] {
        assert!(left_out(&store, file).contains("db.json.age"));
    }
}

#[test]
fn versions_are_of_the_files_bytes() {
    let f = Fixture::new();
    f.put("x.age", b"1");
    let store = f.store();
    let first = fetch(&store, "x").unwrap();
    assert_eq!(first.version.len(), 16);
    assert_eq!(first.source, f.path("x.age").display().to_string());
    let sum = Command::new("sha256sum").arg(f.path("x.age")).output().unwrap().stdout;
    assert_eq!(first.version.as_bytes(), &sum[..16]);
    assert!(store.fetch("x", &VersionSelector::Named(first.version.clone())).is_ok());
    fs::remove_file(f.path("x.age")).unwrap();
    f.put("x.age", b"1");
    for gone in [VersionSelector::Named(first.version), VersionSelector::Previous] {
        assert_eq!(store.fetch("x", &gone).err().unwrap().kind, ErrorKind::NotFound);
    }
}

#[test]
fn size_limits_hold_to_the_byte() {
    let f = Fixture::new();
    let mut store = f.store();
    store.max = 100_000;
    let payload = vec![b'x'; 100_001];
    f.put("over.age", &payload);
    f.put("fits.age", &payload[1..]);
    age(&["-a", "-r", &f.recipient], &f.path("armored.age"), &payload[1..]);
    f.put("far-over.age", &vec![0; 1_000_000]);
    assert_eq!(raw(&store, "fits").len(), 100_000);
    assert_eq!(raw(&store, "armored").len(), 100_000);
    assert_eq!(error(&store, "over").kind, ErrorKind::TooLarge);
    assert_eq!(error(&store, "far-over").kind, ErrorKind::TooLarge);
    f.plain("plain", &payload);
    store.settings.allow_plaintext = true;
    assert_eq!(error(&store, "plain").kind, ErrorKind::TooLarge);
    f.put("bomb.yaml.age", b"a: &a [xxxxxxxxxxxxxxxxxxxxxxxxxxx]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n");
    assert_eq!(error(&store, "bomb").kind, ErrorKind::TooLarge);
}

#[test]
fn damaged_files_are_malformed_and_never_half_served() {
    let f = Fixture::new();
    f.put("good.age", &[b'x'; 200_000]);
    let bytes = fs::read(f.path("good.age")).unwrap();
    let store = f.store();
    for length in [0, 1, 20, 100, 199, 216, 300, 65_700, 100_000, bytes.len() - 1] {
        f.plain("cut.age", &bytes[..length]);
        assert_eq!(error(&store, "cut").kind, ErrorKind::Malformed, "cut at {length}");
    }
    for position in [0, 30, 150, 250, 100_000, bytes.len() - 1] {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1;
        f.plain("flipped.age", &flipped);
        let kind = error(&store, "flipped").kind;
        // A flip in the recipient's stanza looks like another recipient.
        assert!(matches!(kind, ErrorKind::Malformed | ErrorKind::CredentialsRejected), "flipped at {position}");
    }
    f.plain("text.age", "just text");
    f.plain("armor.age", "-----BEGIN AGE ENCRYPTED FILE-----\nAAAA\n");
    f.put("bad.env.age", b"A=1\nhunter2 is no dotenv\n");
    f.put("bad.yaml.age", b"a: 1\nb: [hunter2\n");
    f.put("latin.yaml.age", b"a: 1\nb: \xff\n");
    for name in ["text", "armor", "bad", "latin"] {
        assert_eq!(error(&store, name).kind, ErrorKind::Malformed, "{name}");
    }
    let text = error(&store, "bad").detail;
    assert!(!text.contains("hunter2"), "{text}");
    fs::remove_file(f.path("bad.yaml.age")).unwrap();
    let text = error(&store, "bad").detail;
    assert!(text.contains("line 2") && !text.contains("hunter2"), "{text}");
}

#[test]
fn another_key_is_a_matter_of_credentials() {
    let f = Fixture::new();
    let other = keygen(&f.dir.path().join("other"));
    age(&["-r", &other], &f.path("x.age"), b"x");
    let refused = error(&f.store(), "x");
    assert_eq!(refused.kind, ErrorKind::CredentialsRejected);
    assert!(refused.detail.contains("x.age") && refused.detail.contains("key"), "{refused}");
    age(&["-r", &other, "-r", &f.recipient], &f.path("both.age"), b"both");
    assert_eq!(raw(&f.store(), "both"), b"both");
}

#[test]
fn a_replaced_identity_shows_at_once() {
    let f = Fixture::new();
    let key = f.dir.path().join("key");
    let other = keygen(&f.dir.path().join("other"));
    age(&["-r", &other], &f.path("x.age"), b"x");
    let store = f.store();
    assert!(fetch(&store, "x").is_err());
    fs::rename(f.dir.path().join("other"), &key).unwrap();
    assert_eq!(raw(&store, "x"), b"x");
    fs::remove_file(&key).unwrap();
    assert_eq!(error(&store, "x").kind, ErrorKind::CredentialsRejected);
}

#[test]
fn identities_that_cannot_be_trusted_or_used_are_refused() {
    let f = Fixture::new();
    f.put("x.age", b"x");
    let key = f.dir.path().join("key");
    let good = fs::read(&key).unwrap();
    let mode = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
    for open in [0o644, 0o602, 0o620, 0o601] {
        mode(open);
        assert_eq!(error(&f.store(), "x").kind, ErrorKind::CredentialsRejected, "{open:o}");
    }
    for fine in [0o600, 0o400, 0o640] {
        mode(fine);
        assert_eq!(raw(&f.store(), "x"), b"x");
    }
    mode(0o600);
    let ssh = b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n".to_vec();
    let secret = String::from_utf8(good.clone()).unwrap().lines().last().unwrap().to_owned();
    let half = format!("{}\n", &secret[..40]).into_bytes();
    let encrypted = b"age-encryption.org/v1\n-> scrypt AAAA 18\n".to_vec();
    for bad in [Vec::new(), b"# only a comment\n".to_vec(), ssh, half, encrypted, vec![0xff; 100], vec![b'#'; 100_000]]
    {
        fs::write(&key, &bad).unwrap();
        let refused = error(&f.store(), "x");
        assert_eq!(refused.kind, ErrorKind::CredentialsRejected);
        assert!(!refused.detail.contains(&secret[..30]), "{refused}");
    }
    fs::remove_file(&key).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &key, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert_eq!(error(&f.store(), "x").kind, ErrorKind::CredentialsRejected);
}

#[test]
fn plaintext_is_served_only_where_allowed() {
    let f = Fixture::new();
    f.plain("db.json", r#"{"a":1}"#);
    f.plain("cert.pem", "PEM");
    f.plain("app.env", "A=1");
    let store = f.store();
    assert!(listed(&store).is_empty());
    assert!(left_out(&store, "db.json").contains("not encrypted"));
    let refused = error(&store, "db");
    assert_eq!(refused.kind, ErrorKind::NotFound);
    assert!(refused.detail.contains("not encrypted"), "{refused}");
    assert_eq!(store.look("db").unwrap().secret, Known::No);

    let mut store = f.plaintext_store();
    store.settings.identity = None;
    assert_eq!(listed(&store), ["app", "cert.pem", "db"]);
    assert_eq!(raw(&store, "db"), br#"{"a":1}"#);
    assert_eq!(raw(&store, "cert.pem"), b"PEM");
    assert_eq!(keys(&store, "app").unwrap().len(), 1);
    f.put("db.age", b"encrypted");
    assert_eq!(error(&store, "db").kind, ErrorKind::CredentialsRejected, "plaintext stood in for an encrypted file");
    assert_eq!(raw(&f.plaintext_store(), "db"), b"encrypted");
}

#[test]
fn sops_files_are_listed_and_say_what_to_do() {
    let f = Fixture::new();
    f.plain("y.yaml", "k: ENC[x]\nsops:\n    age: []\n    mac: ENC[y]\n");
    f.plain("j.json", r#"{"k":"ENC[x]","sops":{"mac":"ENC[y]"}}"#);
    f.plain("e.env", "K=ENC[x]\nsops_mac=ENC[y]\n");
    for store in [f.store(), f.plaintext_store()] {
        assert_eq!(listed(&store), ["e", "j", "y"]);
        for name in ["e", "j", "y"] {
            let refused = error(&store, name);
            assert_eq!(refused.kind, ErrorKind::Malformed);
            assert!(refused.detail.contains("SOPS") && refused.detail.contains("hushfs store import"), "{refused}");
            assert_eq!(store.look(name).unwrap().secret, Known::Yes);
        }
    }
}

#[test]
fn links_are_followed_inside_the_folder_and_never_out_of_it() {
    let f = Fixture::new();
    f.put("real/x.age", b"inside");
    age(&["-r", &f.recipient], &f.dir.path().join("outside.age"), b"outside");
    symlink("real/x.age", f.path("link.age")).unwrap();
    symlink("../real/x.age", f.path("real/up.age")).unwrap();
    symlink("../outside.age", f.path("out.age")).unwrap();
    symlink(f.dir.path().join("outside.age"), f.path("absolute.age")).unwrap();
    symlink("nowhere", f.path("dangling.age")).unwrap();
    symlink("loop.age", f.path("loop.age")).unwrap();
    symlink("real", f.path("folder")).unwrap();
    symlink("/dev/zero", f.path("zero.age")).unwrap();
    symlink("/proc/self/environ", f.path("env.age")).unwrap();
    // As the kubelet lays out a mounted secret.
    fs::create_dir(f.path("..2024")).unwrap();
    age(&["-r", &f.recipient], &f.path("..2024/k.age"), b"k8s");
    symlink("..2024", f.path("..data")).unwrap();
    symlink("..data/k.age", f.path("k.age")).unwrap();
    let store = f.store();
    assert_eq!(listed(&store), ["k", "link", "real/up", "real/x"]);
    assert_eq!(raw(&store, "link"), b"inside");
    assert_eq!(raw(&store, "real/up"), b"inside");
    assert_eq!(raw(&store, "k"), b"k8s");
    for name in ["out", "absolute", "dangling", "loop", "zero", "env", "folder/x"] {
        assert_eq!(error(&store, name).kind, ErrorKind::NotFound, "{name}");
        assert_eq!(store.look(name).unwrap().secret, Known::No, "{name}");
    }
    for file in ["out.age", "absolute.age", "dangling.age", "loop.age", "zero.age", "env.age", "folder"] {
        assert!(left_out(&store, file).contains("symbolic link"), "{file}");
    }
}

#[test]
fn what_is_no_file_is_never_opened() {
    let f = Fixture::new();
    rustix::fs::mknodat(rustix::fs::CWD, f.path("pipe.age"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(f.path("socket.age")).unwrap();
    fs::create_dir(f.path("dir.age")).unwrap();
    let store = f.store();
    assert!(listed(&store).is_empty());
    for name in ["pipe", "socket", "dir"] {
        assert_eq!(error(&store, name).kind, ErrorKind::NotFound, "{name}");
    }
    assert!(left_out(&store, "pipe.age").contains("not a regular file"));
    assert!(left_out(&store, "socket.age").contains("not a regular file"));
}

#[test]
fn a_bad_entry_does_not_break_its_neighbours() {
    use std::os::unix::ffi::OsStrExt;
    let f = Fixture::new();
    f.put("good.age", b"x");
    fs::write(f.path("").join(std::ffi::OsStr::from_bytes(b"bad\xff.age")), b"x").unwrap();
    let deep = f.path(&"d/".repeat(600));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("x.age"), b"x").unwrap();
    let store = f.store();
    assert_eq!(listed(&store), ["good"]);
    let reasons: String = store.list().unwrap().left_out.into_iter().map(|(_, why)| why).collect();
    assert!(reasons.contains("UTF-8") && reasons.contains("nested"), "{reasons}");
}

#[test]
fn names_from_users_never_leave_the_folder() {
    let f = Fixture::new();
    age(&["-r", &f.recipient], &f.dir.path().join("outside.age"), b"outside");
    let store = f.plaintext_store();
    let absolute = f.dir.path().join("outside").display().to_string();
    for name in ["../outside", "x/../../outside", &absolute, "/etc/passwd", "..", ".", "a//b", "a\0b", &"x".repeat(300)]
    {
        assert_eq!(error(&store, name).kind, ErrorKind::NotFound, "{name:?}");
        assert_eq!(store.look(name).unwrap().secret, Known::No, "{name:?}");
    }
}

#[test]
fn a_missing_folder_is_an_outage() {
    let f = Fixture::new();
    fs::remove_dir(f.path("")).unwrap();
    let store = f.store();
    assert_eq!(store.list().err().unwrap().kind, ErrorKind::Unreachable);
    assert_eq!(store.look("x").err().unwrap().kind, ErrorKind::Unreachable);
    assert_eq!(error(&store, "x").kind, ErrorKind::Unreachable);
}

#[test]
fn a_reader_meets_the_old_value_or_the_new_one_and_never_a_mix() {
    let f = Fixture::new();
    let (old, new) = (vec![b'o'; 150_000], vec![b'n'; 90_000]);
    f.put("old.age", &old);
    f.put("new.age", &new);
    let (old_file, new_file) = (fs::read(f.path("old.age")).unwrap(), fs::read(f.path("new.age")).unwrap());
    f.put("x.age", &old);
    let store = f.store();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = false;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                fs::write(f.path(".tmp"), if turn { &old_file } else { &new_file }).unwrap();
                fs::rename(f.path(".tmp"), f.path("x.age")).unwrap();
                turn = !turn;
            }
        });
        for _ in 0..30 {
            let value = fetch(&store, "x").map(|fetched| fetched.payload.raw.expose().to_vec());
            let fine = value.as_ref().is_ok_and(|value| *value == old || *value == new);
            if !fine {
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
            }
            assert!(fine, "{:?}", value.map(|value| value.len()));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn the_provider_answers_from_a_runtime() {
    let f = Fixture::new();
    f.put("a/x.json.age", b"{}");
    let store = f.store();
    let local = Local::new(store.settings, store.max);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let name = SecretName::new("a/x").unwrap();
        assert_eq!(local.kind(), "local");
        assert_eq!(local.list().await.unwrap().secrets[0].name, name);
        assert_eq!(local.look(&name).await.unwrap().secret, Known::Yes);
        assert_eq!(local.fetch(&name, &VersionSelector::Current).await.unwrap().payload.raw.expose(), b"{}");
    });
}
