//! A value that changes: what is open stays as it was, what is opened anew is new, and nothing is mixed.

mod snapshots;

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::daemon::Place;
use crate::support::plain::PlainStore;
use crate::support::store::Store;

/// Every access asks the provider.
const ALWAYS_ANEW: &str = "[cache]\nttl = \"0\"\nlist_ttl = \"0\"\nnegative_ttl = \"0\"\n";
/// Memory is used, and soon asks again.
const SHORT: &str = "[cache]\nttl = \"200ms\"\nlist_ttl = \"200ms\"\nnegative_ttl = \"100ms\"\n";

/// For so long after its open, `fstat` of a file is of what its opener reads, however new the current version is.
const JUST_OPENED: Duration = Duration::from_secs(5);

fn place() -> (Place, PlainStore) {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    (place, store)
}

/// Tries until `done`, which it is in a fraction of a second unless something is wrong.
#[track_caller]
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "it never happened: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Opens, and checks at once that the size told is that of what is then read.
fn read_exactly(path: &Path) -> std::io::Result<Vec<u8>> {
    let start = Instant::now();
    let mut file = File::open(path)?;
    let told = file.metadata()?.len();
    let is_in_time = start.elapsed() < JUST_OPENED;
    let mut value = Vec::new();
    file.read_to_end(&mut value)?;
    assert!(!is_in_time || told == value.len() as u64, "fstat right after open: {told} of {}", value.len());
    Ok(value)
}

#[test]
fn an_open_file_keeps_its_snapshot_and_a_new_open_sees_the_new_version() {
    for settings in [ALWAYS_ANEW, SHORT] {
        let (place, store) = place();
        store.put("db.json", br#"{"k":"the first value"}"#);
        let _daemon = place.mount(&(settings.to_owned() + &store.scope("prod")));
        let path = place.mnt().join("prod/db/k");
        let mut open = File::open(&path).unwrap();
        let ino = open.metadata().unwrap().ino();
        let mut start = [0; 4];
        open.read_exact(&mut start).unwrap();
        // Longer, shorter, empty, of the same length, and long again.
        for value in ["a much longer second value, to be seen in its size", "3", "", "4", &"long ".repeat(20_000)] {
            store.put("db.json", serde_json::json!({"k": value}).to_string().as_bytes());
            eventually("the new version is read", || read_exactly(&path).unwrap() == value.as_bytes());
            let meta = std::fs::metadata(&path).unwrap();
            assert_eq!((meta.len(), meta.ino()), (value.len() as u64, ino));
            // The kernel keeps one size for all versions, and it may just be told another while watchers are.
            let end = "the first value".len() as u64;
            eventually("the end of what is open", || open.seek(SeekFrom::End(0)).unwrap() == end);
            open.rewind().unwrap();
            let mut kept = String::new();
            open.read_to_string(&mut kept).unwrap();
            assert_eq!(kept, "the first value");
        }
    }
}

#[test]
fn stat_of_a_value_that_changed_tells_the_new_size_and_time() {
    let (place, store) = place();
    store.put("db", b"one");
    let _daemon = place.mount(&(SHORT.to_owned() + &store.scope("prod")));
    let path = place.mnt().join("prod/db/value");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 3);
    let before = std::fs::metadata(&path).unwrap().modified().unwrap();
    let later = before + Duration::from_secs(3600);
    store.put_at("db", b"another", later);
    // By stat alone, nothing is opened.
    eventually("stat tells", || std::fs::metadata(&path).unwrap().len() == 7);
    assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), later);
}

#[test]
fn a_secret_that_is_deleted_or_renamed_is_gone_for_new_opens_and_stays_for_old_ones() {
    for settings in [ALWAYS_ANEW, SHORT] {
        let (place, store) = place();
        store.put("deleted", b"still here");
        store.put("renamed", b"here too");
        let _daemon = place.mount(&(settings.to_owned() + &store.scope("prod")));
        let prod = place.mnt().join("prod");
        for (name, value) in [("deleted", "still here"), ("renamed", "here too")] {
            let path = prod.join(name).join("value");
            let mut open = File::open(&path).unwrap();
            match name {
                "deleted" => store.remove(name),
                _ => store.rename(name, "another"),
            }
            eventually("a new open fails", || match File::open(&path) {
                Ok(_) => false,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NotFound);
                    true
                }
            });
            let mut kept = String::new();
            open.read_to_string(&mut kept).unwrap();
            assert_eq!(kept, value);
            assert_eq!(open.metadata().unwrap().len(), value.len() as u64);
            eventually("the directory is gone", || !prod.join(name).exists());
        }
        eventually("the new name is there", || {
            std::fs::read(prod.join("another/value")).is_ok_and(|value| value == b"here too")
        });
        eventually("the listing says so", || std::fs::read_dir(&prod).unwrap().count() == 1);
    }
}

#[test]
fn a_secret_that_comes_back_is_served_again_at_the_same_inode() {
    let (place, store) = place();
    store.put("db", b"one");
    let _daemon = place.mount(&(ALWAYS_ANEW.to_owned() + &store.scope("prod")));
    let path = place.mnt().join("prod/db/value");
    let ino = std::fs::metadata(&path).unwrap().ino();
    store.remove("db");
    eventually("it is gone", || File::open(&path).is_err());
    store.put("db", b"and back");
    eventually("it is back", || read_exactly(&path).is_ok_and(|value| value == b"and back"));
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), ino);
}

#[test]
fn a_key_that_vanishes_is_gone_and_a_new_one_appears() {
    for settings in [ALWAYS_ANEW, SHORT] {
        let (place, store) = place();
        store.put("db.json", br#"{"old":"1","both":"2"}"#);
        let _daemon = place.mount(&(settings.to_owned() + &store.scope("prod")));
        let db = place.mnt().join("prod/db");
        let mut open = File::open(db.join("old")).unwrap();
        assert!(!db.join("new").exists());
        store.put("db.json", br#"{"new":"3","both":"4"}"#);
        eventually("the new key is read", || std::fs::read(db.join("new")).is_ok_and(|value| value == b"3"));
        eventually("the old key is gone", || {
            std::fs::metadata(db.join("old")).is_err_and(|error| error.kind() == ErrorKind::NotFound)
        });
        assert_eq!(File::open(db.join("old")).unwrap_err().kind(), ErrorKind::NotFound);
        let mut names: Vec<_> = std::fs::read_dir(&db).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["both", "new"]);
        let mut kept = String::new();
        open.read_to_string(&mut kept).unwrap();
        assert_eq!(kept, "1");
    }
}

#[test]
fn whoever_resolved_current_goes_on_reading_that_version() {
    let (place, store) = place();
    store.put("db.json", br#"{"user":"old user","password":"old password"}"#);
    let configuration = "[cache]\nttl = \"300ms\"\nmax_stale = \"1h\"\n".to_owned() + &store.scope("prod");
    let _daemon = place.mount(&configuration);
    let db = place.mnt().join("prod/db");
    let version = std::fs::canonicalize(db.join("@current")).unwrap();
    assert_eq!(std::fs::read(version.join("user")).unwrap(), b"old user");
    store.put("db.json", br#"{"user":"new user","password":"new password"}"#);
    // At some moment a read of the current version brings the new one; the old is still the old.
    eventually("the rotation is seen", || {
        let rotated = std::fs::read(db.join("password")).unwrap() == b"new password";
        if rotated {
            assert_eq!(std::fs::read(version.join("password")).unwrap(), b"old password");
        }
        rotated
    });
    let now = std::fs::canonicalize(db.join("@current")).unwrap();
    assert_ne!(now, version);
    assert_eq!(std::fs::read(now.join("user")).unwrap(), b"new user");
}

/// A user and a password that belong together.
fn pair(number: u64) -> Vec<u8> {
    serde_json::json!({"user": format!("user {number}"), "password": format!("password {number}")})
        .to_string()
        .into_bytes()
}

fn unless_gone<T>(result: std::io::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("{error}"),
    }
}

/// Both, through one resolution of `@current`. None where that version went away in between.
fn read_pair(secret: &Path) -> Option<(String, String)> {
    let version = unless_gone(std::fs::read_link(secret.join("@current")))?;
    let read = |key| unless_gone(std::fs::read_to_string(secret.join(&version).join(key)));
    Some((read("user")?, read("password")?))
}

/// Reads pairs from several threads while `write` puts pairs of higher and higher numbers there as fast as it can, until
/// some thread has seen several of many.
fn pairs_belong_together(secret: &Path, at_least: u64, mut write: impl FnMut(u64)) {
    let (done, reads, most) = (AtomicBool::new(false), AtomicU64::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let read = || {
            let mut seen = std::collections::BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                let Some((user, password)) = read_pair(secret) else { continue };
                let number = user.strip_prefix("user ").expect("a user");
                assert_eq!(password, format!("password {number}"));
                seen.insert(user);
                most.fetch_max(seen.len(), Ordering::Relaxed);
                reads.fetch_add(1, Ordering::Relaxed);
            }
        };
        let readers: Vec<_> = (0..3).map(|_| scope.spawn(read)).collect();
        let mut written = 0;
        let is_enough =
            |written| reads.load(Ordering::Relaxed) >= at_least && written > 10 && most.load(Ordering::Relaxed) > 2;
        while !is_enough(written) && readers.iter().all(|reader| !reader.is_finished()) {
            written += 1;
            write(written);
        }
        done.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().expect("a reader"));
    });
}

#[test]
fn a_user_and_a_password_of_one_current_belong_together_while_a_writer_rotates_them() {
    let (place, store) = place();
    store.put("db.json", &pair(0));
    // Not "0": of a folder's file there is no other version to be had, so a pair is read from memory.
    let settings = "[cache]\nttl = \"50ms\"\nlist_ttl = \"50ms\"\n".to_owned();
    let _daemon = place.mount(&(settings + &store.scope("prod")));
    pairs_belong_together(&place.mnt().join("prod/db"), 1_000, |number| drop(store.put("db.json", &pair(number))));
}

#[cfg(feature = "aws")]
#[test]
fn a_user_and_a_password_of_one_current_belong_together_while_they_are_rotated_in_aws() {
    let place = Place::new();
    let cloud = crate::support::cloud::Cloud::start(&place);
    cloud.create("db", &pair(0));
    let scope = cloud.scope("prod", "ttl = \"20ms\"\nlist_ttl = \"20ms\"");
    let _daemon = cloud.mount(&place, &scope);
    pairs_belong_together(&place.mnt().join("prod/db"), 200, |number| {
        cloud.wait(cloud.account.rotate("db", &pair(number)));
    });
}

#[test]
fn an_encrypted_value_that_is_replaced_is_read_anew() {
    let place = Place::new();
    let store = Store::new(place.path());
    store.put("db.json.age", br#"{"k":"one"}"#);
    let _daemon = place.mount(&(ALWAYS_ANEW.to_owned() + &store.scope("prod")));
    let path = place.mnt().join("prod/db/k");
    assert_eq!(read_exactly(&path).unwrap(), b"one");
    store.put("db.json.age", br#"{"k":"the second"}"#);
    assert_eq!(read_exactly(&path).unwrap(), b"the second");
    store.remove("db.json.age");
    assert_eq!(read_exactly(&path).unwrap_err().kind(), ErrorKind::NotFound);
}

/// A value whose every byte depends on its number, of a length that does too.
fn numbered(number: u64) -> Vec<u8> {
    let length = 1 + (number * 7919 % 20_000) as usize;
    let byte = b'a' + (number % 26) as u8;
    let mut value = format!("{number}:{length}:").into_bytes();
    value.resize(value.len() + length, byte);
    value
}

/// Is this one whole value, of a number that was written? Which?
fn number_of(value: &[u8]) -> u64 {
    let text = std::str::from_utf8(value).expect("text");
    let number = text.split(':').next().and_then(|number| number.parse().ok());
    let number = number.unwrap_or_else(|| panic!("{} bytes of nothing", value.len()));
    assert!(value == numbered(number), "a mix: {} bytes of number {number}", value.len());
    number
}

/// Readers in every manner while a writer replaces the value as fast as it can.
fn readers_and_a_writer(settings: &str, at_least: u64) {
    let (place, store) = place();
    store.put("db", &numbered(0));
    let _daemon = place.mount(&(settings.to_owned() + &store.scope("prod")));
    let secret = place.mnt().join("prod/db");
    let path = secret.join("value");
    let (done, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    let is_enough = |written: u64| reads.load(Ordering::Relaxed) >= at_least && written > 10;
    std::thread::scope(|scope| {
        let mut readers = Vec::new();
        for reader in 0..4 {
            let (path, secret, done, reads) = (&path, &secret, &done, &reads);
            readers.push(scope.spawn(move || {
                let mut newest = 0;
                while !done.load(Ordering::Relaxed) {
                    let value = match reader {
                        0 => read_exactly(path).unwrap(),
                        1 => std::fs::read(path).unwrap(),
                        2 => in_pieces(path),
                        _ => {
                            let listed = std::fs::read_dir(secret).unwrap().count();
                            assert_eq!(listed, 1);
                            std::fs::read(secret.join(".raw")).unwrap()
                        }
                    };
                    let number = number_of(&value);
                    assert!(number >= newest, "it went back from {newest} to {number}");
                    newest = number;
                    reads.fetch_add(1, Ordering::Relaxed);
                }
                newest
            }));
        }
        let mut written = 0;
        while !is_enough(written) && readers.iter().all(|reader| !reader.is_finished()) {
            written += 1;
            store.put("db", &numbered(written));
        }
        eventually("the last value is read", || {
            readers.iter().any(|reader| reader.is_finished()) || number_of(&read_exactly(&path).unwrap()) == written
        });
        done.store(true, Ordering::Relaxed);
        let newest: Vec<u64> = readers.into_iter().map(|reader| reader.join().expect("a reader")).collect();
        assert!(newest.iter().any(|&number| number > 0), "{written} written, {newest:?} seen");
    });
}

fn in_pieces(path: &Path) -> Vec<u8> {
    let mut file = File::open(path).unwrap();
    let mut value = Vec::new();
    let mut piece = [0; 777];
    loop {
        let got = file.read(&mut piece).unwrap();
        if got == 0 {
            assert_eq!(file.metadata().unwrap().ino(), std::fs::metadata(path).unwrap().ino());
            return value;
        }
        value.extend_from_slice(&piece[..got]);
    }
}

#[test]
fn every_read_is_one_whole_value_while_each_asks_the_provider() {
    readers_and_a_writer(ALWAYS_ANEW, 2_000);
}

#[test]
fn every_read_is_one_whole_value_while_memory_is_refreshed() {
    readers_and_a_writer("[cache]\nttl = \"20ms\"\nrefresh_ahead = 0.5\nlist_ttl = \"20ms\"\n", 4_000);
}
