//! Where values are kept, and where they are not.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::daemon::Place;
use crate::support::marked::Mark;
use crate::support::page_cache;
use crate::support::plain::PlainStore;

#[test]
fn what_was_read_is_not_in_the_page_cache() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    let plain = store.put("big", &[7; 64 << 10]);
    let _daemon = place.mount(&store.scope("prod"));
    let mounted = place.mnt().join("prod/big/value");
    let [plain, mounted] = [&plain, &mounted].map(|path| {
        let mut file = File::open(path).unwrap();
        let mut value = Vec::new();
        assert_eq!(file.read_to_end(&mut value).unwrap(), 64 << 10);
        file
    });
    assert_eq!(page_cache::count(&plain), 16, "an ordinary file's pages are seen");
    assert_eq!(page_cache::count(&mounted), 0);
    (&mounted).rewind().unwrap();
    let elsewhere = tempfile::tempfile().unwrap();
    assert_eq!(rustix::fs::sendfile(&elsewhere, &mounted, None, 64 << 10).unwrap(), 64 << 10);
    assert_eq!(page_cache::count(&mounted), 16, "and so are ours, while the file is open that they were read through");
}

#[test]
fn of_more_values_than_there_is_memory_for_the_least_recently_used_goes() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    for name in ["a", "b", "c", "d"] {
        store.put(name, &[7; 150 << 10]);
    }
    let _daemon = place.mount(&format!("[cache]\nmax_bytes = \"1MiB\"\nttl = \"1h\"\n{}", store.scope("prod")));
    let read = |name: &str| assert_eq!(fs::read(place.mnt().join("prod").join(name).join("value")).unwrap()[0], 7);
    let held = |values: u64| {
        let start = Instant::now();
        while place.status()["cache"]["values"] != values {
            assert!(start.elapsed() < Duration::from_secs(30), "never {values} values: {}", place.status());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    ["a", "b", "c"].into_iter().for_each(read);
    // Uses are taken note of every second, all at once, and in the order of the first use.
    std::thread::sleep(Duration::from_secs(3));
    ["a", "d"].into_iter().for_each(read);
    assert_eq!(place.calls("prod", "fetch"), 4);
    held(3);
    assert!(place.status()["cache"]["bytes"].as_u64() <= Some(1 << 20));
    for name in ["a", "c", "d"] {
        read(name);
    }
    assert_eq!(place.calls("prod", "fetch"), 4, "what was used last stays");
    read("b");
    assert_eq!(place.calls("prod", "fetch"), 5, "what was not is fetched anew");
}

#[test]
fn a_scan_finds_a_value_and_its_parts_however_they_are_encoded() {
    let mark = Mark::new();
    let value = &mark.value;
    let seen = |bytes: &[u8]| {
        let all = [&[0; 200], bytes, b"\0other"].concat();
        mark.sightings(&all).iter().map(|it| (it.form, it.length)).collect::<Vec<_>>()
    };
    assert_eq!(seen(value.as_bytes()), [("plain", 97)]);
    assert_eq!(seen(&value.as_bytes()[30..60]), [("plain", 30)]);
    assert_eq!(seen(&value.as_bytes()[..15]), []);
    assert_eq!(seen(&[value.as_bytes(), b"-", value.as_bytes()].concat()).len(), 2);
    for before in ["", "x", "xx"] {
        let encoded = STANDARD.encode(format!("{before}{value}"));
        assert!(seen(encoded.as_bytes()).iter().any(|(form, length)| *form == "base64" && *length > 100));
    }
    let escaped = serde_json::to_string(value).expect("JSON");
    assert_eq!(seen(escaped.as_bytes()).iter().map(|(_, length)| length).sum::<usize>(), 98);
    let wide: Vec<u8> = value.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(seen(&wide), [("UTF-16", 194)]);
    assert_eq!(seen(Mark::new().value.as_bytes()), []);
}

/// Needs what only root may do or see.
mod as_root {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
    use std::ptr::null_mut;

    use super::*;
    use crate::support::daemon::eventually;
    use crate::support::page_cache::{Connection, PAGE};

    /// Reads a file that holds the value, and was opened just now.
    type Way = fn(&File, &[u8]);

    const WAYS: [(&str, Way); 4] = [
        ("mapped-shared", |file, value| mapped(file, value, libc::MAP_SHARED)),
        ("mapped-privately", |file, value| mapped(file, value, libc::MAP_PRIVATE)),
        ("sent", sent),
        ("spliced", spliced),
    ];

    fn mapped(file: &File, value: &[u8], sharing: i32) {
        // SAFETY: a new mapping of a file that is open.
        let at = unsafe { libc::mmap(null_mut(), value.len(), libc::PROT_READ, sharing, file.as_raw_fd(), 0) };
        assert_ne!(at, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        // SAFETY: it is as long as the value, and nobody writes to it.
        assert!(unsafe { std::slice::from_raw_parts(at.cast::<u8>(), value.len()) } == value);
        // SAFETY: the mapping made above.
        assert_eq!(unsafe { libc::munmap(at, value.len()) }, 0);
    }

    fn sent(file: &File, value: &[u8]) {
        let mut elsewhere = tempfile::tempfile().unwrap();
        while rustix::fs::sendfile(&elsewhere, file, None, value.len()).unwrap() > 0 {}
        let mut got = Vec::new();
        elsewhere.rewind().unwrap();
        elsewhere.read_to_end(&mut got).unwrap();
        assert!(got == value);
    }

    fn spliced(file: &File, value: &[u8]) {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut got = Vec::new();
        while got.len() < value.len() {
            let (from, to) = (file.as_raw_fd(), writer.as_raw_fd());
            // SAFETY: descriptors that are open, and no offsets.
            let moved = unsafe { libc::splice(from, null_mut(), to, null_mut(), PAGE, 0) };
            assert!(moved > 0, "{}", std::io::Error::last_os_error());
            let mut part = vec![0; moved as usize];
            reader.read_exact(&mut part).unwrap();
            got.extend(part);
        }
        assert!(got == value);
    }

    #[test]
    fn what_was_mapped_sent_or_spliced_leaves_the_page_cache_once_nobody_has_the_file_open() {
        let place = Place::new();
        let store = PlainStore::new(place.path(), "store");
        let mark = Mark::new();
        let value = mark.value.repeat(700);
        for (name, _) in WAYS {
            store.put(name, value.as_bytes());
        }
        let daemon = place.mount(&(store.scope("prod") + "ttl = \"1h\"\n"));
        let connection = Connection::of(&daemon);
        for (name, read) in WAYS {
            let path = place.mnt().join("prod").join(name).join("value");
            // Opens nothing, and keeps the kernel from forgetting the file and its pages with it.
            let known = File::options().read(true).custom_flags(libc::O_PATH).open(&path).unwrap();
            let ino = known.metadata().unwrap().ino();
            let pages = || connection.pages(ino, value.len());
            let open = |count: u64| {
                eventually(&format!("{count} files are open"), || (place.status()["open"] == count).then_some(()));
            };
            let other = File::open(&path).unwrap();
            let file = File::open(&path).unwrap();
            assert!(pages().is_empty(), "{name}: it was only opened");
            read(&file, value.as_bytes());
            assert!(pages().starts_with(value.as_bytes()), "{name}: it is seen while it is there");
            // Who has read nothing so keeps the pages of who has.
            drop(file);
            open(1);
            drop(other);
            open(0);
            eventually(&format!("{name}: its pages are gone"), || pages().is_empty().then_some(()));
        }
        // What is asked for anew is what it was.
        for (name, read) in WAYS {
            let file = File::open(place.mnt().join("prod").join(name).join("value")).unwrap();
            assert_eq!(file.metadata().unwrap().len(), value.len() as u64);
            read(&file, value.as_bytes());
        }
        assert_eq!(daemon.stop().code(), Some(0));
    }

    #[test]
    fn files_that_many_map_and_close_at_once_are_whole_each_time_and_leave_no_page() {
        let place = Place::new();
        let store = PlainStore::new(place.path(), "store");
        let value = [7; 3 * PAGE];
        store.put("db", &value);
        let daemon = place.mount(&(store.scope("prod") + "ttl = \"1h\"\n"));
        let connection = Connection::of(&daemon);
        let path = place.mnt().join("prod/db/value");
        let known = File::options().read(true).custom_flags(libc::O_PATH).open(&path).unwrap();
        let ino = known.metadata().unwrap().ino();
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for _ in 0..500 {
                        let file = File::open(&path).unwrap();
                        assert_eq!(file.metadata().unwrap().len(), value.len() as u64);
                        mapped(&file, &value, libc::MAP_SHARED);
                    }
                });
            }
        });
        eventually("nothing is open", || (place.status()["open"] == 0).then_some(()));
        eventually("its pages are gone", || connection.pages(ino, value.len()).is_empty().then_some(()));
        assert_eq!(daemon.stop().code(), Some(0));
    }
}
