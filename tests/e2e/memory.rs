//! Where values are kept, and where they are not.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::daemon::Place;
use crate::support::marked::Mark;
use crate::support::plain::PlainStore;

/// How many of a file's pages the kernel's page cache holds.
fn cached_pages(path: &Path) -> usize {
    let file = File::open(path).unwrap();
    let length = file.metadata().unwrap().len() as usize;
    let mut resident = vec![0_u8; length.div_ceil(4096)];
    // SAFETY: a new mapping of a file that is open, never accessed, and a byte for each of its pages.
    unsafe {
        let at = libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0);
        assert_ne!(at, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        assert_eq!(libc::mincore(at, length, resident.as_mut_ptr()), 0, "{}", std::io::Error::last_os_error());
        libc::munmap(at, length);
    }
    resident.iter().filter(|&&page| page & 1 == 1).count()
}

#[test]
fn what_was_read_is_not_in_the_page_cache() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    let plain = store.put("big", &[7; 64 << 10]);
    let _daemon = place.mount(&store.scope("prod"));
    let mounted = place.mnt().join("prod/big/value");
    for path in [&plain, &mounted] {
        assert_eq!(fs::read(path).unwrap().len(), 64 << 10);
    }
    assert_eq!(cached_pages(&plain), 16, "an ordinary file's pages are seen");
    assert_eq!(cached_pages(&mounted), 0);
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
