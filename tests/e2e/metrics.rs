//! Metrics as a scraper gets them, over real sockets, of a daemon that really serves.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, Place, descriptors, eventually};
use crate::support::http::{ask, over_port, over_socket, say};
use crate::support::plain::PlainStore;
use crate::support::ports;

const OPEN_METRICS: &str = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";

fn socket(place: &Place) -> PathBuf {
    place.path().join("metrics.sock")
}

fn configuration(place: &Place, more: &str, scope: &str) -> String {
    format!("[metrics]\nlisten = {:?}\n{more}\n{scope}", socket(place))
}

/// Samples by their name and labels, and the names of the families.
struct Scrape {
    samples: BTreeMap<String, f64>,
    families: BTreeSet<String>,
    text: String,
}

impl Scrape {
    fn of(place: &Place) -> Self {
        let (head, text) = ask(over_socket(&socket(place)), "GET", "/metrics", OPEN_METRICS);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("application/openmetrics-text"), "{head}");
        assert!(text.ends_with("# EOF\n"), "{text}");
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
        });
        let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            if kind == "counter" { format!("{name}_total") } else { name.to_owned() }
        });
        Self { samples: samples.collect(), families: families.collect(), text: text.clone() }
    }

    /// 0 for what is not there.
    fn get(&self, sample: &str) -> f64 {
        self.samples.get(sample).copied().unwrap_or_default()
    }
}

fn serving<'a>(place: &'a Place, more: &str) -> (PlainStore, Daemon<'a>) {
    let store = PlainStore::new(place.path(), "store");
    store.put("db.json", br#"{"PASSWORD": "CANARY-value", "CANARY-key": "x"}"#);
    store.put("CANARY-name.json", br#"{"K": "v"}"#);
    let daemon = place.mount(&configuration(place, more, &store.scope("prod")));
    (store, daemon)
}

#[test]
fn what_was_read_and_asked_for_is_counted() {
    let place = Place::new();
    let (_store, daemon) = serving(&place, "");
    let password = place.mnt().join("prod/db/PASSWORD");
    for _ in 0..5 {
        std::fs::read(&password).unwrap();
    }
    assert!(std::fs::read(place.mnt().join("prod/nothing/K")).is_err());
    let open = std::fs::File::open(&password).unwrap();
    let scrape = Scrape::of(&place);
    let scope = r#"scope="prod",identity="""#;
    assert_eq!(scrape.get(&format!("hushfs_read_seconds_count{{{scope},cache=\"miss\"}}")), 1.0, "{}", scrape.text);
    assert_eq!(scrape.get(&format!("hushfs_read_seconds_count{{{scope},cache=\"hit\"}}")), 5.0);
    let fetches = format!("hushfs_provider_calls_total{{{scope},call=\"fetch\",outcome=\"ok\"}}");
    assert_eq!(scrape.get(&fetches), 1.0);
    let looks = format!("hushfs_provider_calls_total{{{scope},call=\"look\",outcome=\"ok\"}}");
    assert_eq!(scrape.get(&looks), 2.0, "{}", scrape.text);
    assert_eq!(scrape.get(&format!("hushfs_provider_call_seconds_count{{{scope},call=\"fetch\"}}")), 1.0);
    assert_eq!(scrape.get(&format!("hushfs_scope_up{{{scope}}}")), 1.0);
    assert_eq!(scrape.get(&format!("hushfs_cached_values{{{scope}}}")), 1.0);
    assert_eq!(scrape.get(r#"hushfs_requests_total{request="open",errno="OK"}"#), 6.0);
    assert!(scrape.get(r#"hushfs_requests_total{request="lookup",errno="ENOENT"}"#) >= 1.0);
    assert!(scrape.get("hushfs_open_handles") >= 1.0);
    assert!(scrape.get("hushfs_locked_memory_bytes") > 0.0);
    assert!(scrape.get("process_resident_memory_bytes") > 1e6);
    let (descriptors_told, now) = (scrape.get("process_open_fds") as usize, descriptors(&daemon));
    assert!((now..=now + 2).contains(&descriptors_told), "{now} and our connection, but {descriptors_told}");
    assert!(!scrape.text.contains("CANARY"), "neither values nor names: {}", scrape.text);
    assert!(!scrape.text.contains("db"), "{}", scrape.text);
    drop(open);

    // An answer of the metrics changes none of them but the process's.
    let again = Scrape::of(&place);
    let ours = |scrape: &Scrape| {
        let ours = scrape.samples.iter().filter(|(name, _)| {
            name.starts_with("hushfs_")
                && !name.contains("age")
                && !name.contains("release")
                && !name.contains("handles")
        });
        ours.map(|(name, value)| (name.clone(), *value)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(ours(&scrape), ours(&again));
}

#[test]
fn secrets_are_named_only_where_that_is_asked_for_and_keys_never() {
    let place = Place::new();
    let (_store, _daemon) = serving(&place, "names = true");
    std::fs::read(place.mnt().join("prod/CANARY-name/K")).unwrap();
    std::fs::read(place.mnt().join("prod/db/PASSWORD")).unwrap();
    let scrape = Scrape::of(&place);
    let labels = r#"scope="prod",identity="",secret="CANARY-name""#;
    assert!(scrape.samples.contains_key(&format!("hushfs_secret_age_seconds{{{labels}}}")), "{}", scrape.text);
    assert!(scrape.get(&format!("hushfs_secret_version_created_timestamp_seconds{{{labels}}}")) > 1e9);
    assert_eq!(scrape.get("hushfs_secrets_left_out"), 0.0);
    assert!(!scrape.text.contains("CANARY-key") && !scrape.text.contains("CANARY-value"), "{}", scrape.text);
}

#[test]
fn the_series_of_named_secrets_have_a_bound() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    for number in 0..1003 {
        store.put(&format!("s{number:04}.json"), br#"{"K": "v"}"#);
    }
    let _daemon = place.mount(&configuration(&place, "names = true", &store.scope("prod")));
    for number in 0..1003 {
        std::fs::read(place.mnt().join(format!("prod/s{number:04}/K"))).unwrap();
    }
    let scrape = Scrape::of(&place);
    let named = scrape.samples.keys().filter(|name| name.starts_with("hushfs_secret_age_seconds")).count();
    assert_eq!((named, scrape.get("hushfs_secrets_left_out")), (1000, 3.0));
}

#[test]
fn every_metric_is_in_the_manual_and_every_one_in_the_manual_is_there() {
    let place = Place::new();
    let (_store, _daemon) = serving(&place, &format!("names = true\n[audit]\nfile = {:?}", place.path().join("audit")));
    std::fs::read(place.mnt().join("prod/db/PASSWORD")).unwrap();
    let manual = std::fs::read_to_string("docs/operations.md").unwrap();
    let section = manual.split("\n## Metrics\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let documented: BTreeSet<String> =
        section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).map(str::to_owned).collect();
    assert_eq!(documented, Scrape::of(&place).families);
}

#[test]
fn a_loopback_port_gives_them_too_in_the_form_that_is_asked_for() {
    let place = Place::new();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    let store = PlainStore::new(place.path(), "store");
    let _daemon = place.mount(&format!("[metrics]\nlisten = \"{address}\"\n{}", store.scope("prod")));
    let (head, text) = ask(over_port(address), "GET", "/metrics", "");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    assert!(text.contains("\nhushfs_build_info{version="), "{text}");
    assert!(!text.contains("# EOF"), "{text}");
    let (head, _) = ask(over_port(address), "GET", "/metrics", OPEN_METRICS);
    assert!(head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
    let (head, body) = ask(over_port(address), "HEAD", "/metrics", "");
    assert!(head.starts_with("HTTP/1.1 200") && body.is_empty(), "{head}\n{body}");
    let (head, _) = ask(over_port(address), "GET", "/", "");
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    let (head, _) = ask(over_port(address), "POST", "/metrics", "Content-Length: 0\r\n");
    assert!(head.starts_with("HTTP/1.1 405") && head.to_lowercase().contains("allow: get"), "{head}");
}

#[test]
fn clients_that_are_slow_or_talk_nonsense_keep_nobody_from_metrics_and_nothing_from_readers() {
    let place = Place::new();
    let (_store, daemon) = serving(&place, "");
    Scrape::of(&place);
    let before = descriptors(&daemon);
    let silent = loop {
        let start = Instant::now();
        // More than are served at a time, and none of them ever asks.
        let mut silent: Vec<_> = (0..40).map(|_| over_socket(&socket(&place))).collect();
        Scrape::of(&place);
        let (longest, last) = (silent.remove(0), silent.pop().unwrap());
        let answers = (say(longest, b""), say(last, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        // Whoever has said nothing for 5 s is gone anyway.
        if start.elapsed() < Duration::from_secs(4) {
            // Who has been there longest is gone, and who came last is still served.
            assert!(answers.0.is_empty() && answers.1.starts_with("HTTP/1.1 200"), "{answers:?}");
            break silent;
        }
    };
    for nonsense in [&b"\r\n\r\n"[..], b"\0\xff\xfe\r\n\r\n", b"GET\r\n\r\n", b"GET /metrics SMTP/9\r\n\r\n"] {
        assert!(!say(over_socket(&socket(&place)), nonsense).contains(" 200 "), "{nonsense:?}");
    }
    let endless = [b"GET /metrics HTTP/1.1\r\nX: ".as_slice(), &vec![b'a'; 1 << 20]].concat();
    assert!(!say(over_socket(&socket(&place)), &endless).contains(" 200 "));
    Scrape::of(&place);
    assert!(std::fs::read(place.mnt().join("prod/db/PASSWORD")).is_ok());
    assert!(!place.log().contains("defect"), "{}", place.log());
    drop(silent);
    eventually("descriptors are as before", || (descriptors(&daemon) <= before).then_some(()));
}

#[test]
fn the_socket_is_for_the_daemons_user_and_group_and_goes_with_it() {
    let place = Place::new();
    let (store, mut daemon) = serving(&place, "");
    let path = socket(&place);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    daemon.signal(libc::SIGKILL);
    daemon.wait();
    assert!(path.exists(), "a killed daemon cannot remove it");
    let again = place.mount(&configuration(&place, "", &store.scope("prod")));
    Scrape::of(&place);
    assert_eq!(again.stop().code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn where_metrics_cannot_be_had_secrets_can() {
    let place = Place::new();
    std::fs::write(socket(&place), "precious").unwrap();
    let (_store, _daemon) = serving(&place, "");
    assert!(std::fs::read(place.mnt().join("prod/db/PASSWORD")).is_ok());
    assert_eq!(std::fs::read(Path::new(&socket(&place))).unwrap(), b"precious");
    assert!(place.log().contains("metrics cannot be asked for at"), "{}", place.log());
}
