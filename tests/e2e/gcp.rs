//! Google Cloud Secret Manager over a real mount, on the server of `support/gcp.rs`: see there what that shows.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::daemon::{Daemon, HUSHFS, Place, errno_of_reading, eventually, xattr};
use crate::support::fault_proxy::Fault;
use crate::support::gcp::Gcp;

/// A command with nothing of the caller's Google environment in it, and this metadata server.
pub fn google(mut command: Command, place: &Place, metadata: &str) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("GOOGLE_") || text.starts_with("GCE_") {
            command.env_remove(&name);
        }
    }
    command.env("HOME", place.path()).env("GCE_METADATA_HOST", metadata);
    command
}

fn mount<'a>(place: &'a Place, server: &Gcp, configuration: &str) -> Daemon<'a> {
    place.configure(configuration);
    place.start(google(place.hushfs(&["mount"]), place, &server.address().to_string()))
}

fn scope(server: &Gcp, more: &str) -> String {
    let url = server.url();
    format!(
        "[scopes.gcp]\nprovider = \"gcp-secret-manager\"\nproject = \"my-project\"\nendpoint_url = {url:?}\n{more}\n"
    )
}

const ANONYMOUS: &str = "auth = { method = \"anonymous\" }\n";

fn text(path: &Path) -> String {
    String::from_utf8(fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.contains("the value itself"), "{text}");
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"))
}

#[test]
fn secrets_are_read_by_name_key_and_version() {
    let place = Place::new();
    let server = Gcp::start();
    server.create("prod-db", br#"{"USER":"old"}"#);
    server.add_version("prod-db", br#"{"USER":"app","PORT":5432}"#);
    server.alias("prod-db", "blue", 1);
    server.label("prod-db", "team", "storage");
    server.create("prod-cert", b"\x00\xff binary");
    server.create("elsewhere", b"outside of the prefix");
    let _daemon = mount(&place, &server, &scope(&server, &format!("prefix = \"prod-\"\n{ANONYMOUS}")));
    let gcp = place.mnt().join("gcp");

    assert_eq!(names(&gcp), ["cert", "db"]);
    assert_eq!(names(&gcp.join("db")), ["PORT", "USER"]);
    assert_eq!(text(&gcp.join("db/USER")), "app");
    assert_eq!(text(&gcp.join("db/PORT")), "5432");
    assert_eq!(fs::read(gcp.join("cert/value")).unwrap(), b"\x00\xff binary");
    assert_eq!(errno_of_reading(&gcp.join("none/value")), Some(libc::ENOENT));
    assert_eq!(errno_of_reading(&gcp.join("db/none")), Some(libc::ENOENT));

    for version in ["@previous", "@1", "@blue"] {
        assert_eq!(text(&gcp.join("db").join(version).join("USER")), "old", "{version}");
    }
    for version in ["@current", "@2", "@latest"] {
        assert_eq!(text(&gcp.join("db").join(version).join("USER")), "app", "{version}");
    }
    assert_eq!(fs::read_link(gcp.join("db/@current")).unwrap(), Path::new("@2"));
    assert_eq!(errno_of_reading(&gcp.join("db/@3/USER")), Some(libc::ENOENT));

    let file = gcp.join("db/USER");
    assert_eq!(xattr(&file, "user.hushfs.provider").as_deref(), Some("gcp-secret-manager"));
    assert_eq!(xattr(&file, "user.hushfs.version").as_deref(), Some("2"));
    assert_eq!(xattr(&file, "user.hushfs.source").as_deref(), Some("projects/my-project/secrets/prod-db"));
    assert_eq!(xattr(&file, "user.hushfs.tag.team").as_deref(), Some("storage"));
    assert_eq!(fs::metadata(&file).unwrap().mtime() / 1_000, 1_700_000, "when the version was made");
    let log = place.log();
    assert!(!log.contains("defect"), "{log}");
}

#[test]
fn every_failure_has_its_errno() {
    let place = Place::new();
    let server = Gcp::start();
    let scope = |timeout: &str| scope(&server, &format!("timeout = {timeout:?}\n{ANONYMOUS}"));
    let brief = scope("2s").replace("scopes.gcp", "scopes.brief");
    let _daemon = mount(&place, &server, &(scope("60s") + &brief));
    let gcp = place.mnt().join("gcp");
    let says = |http, status| crate::support::gcp::error(http, status, "so says the test");
    // A name of its own for each, because failures are remembered.
    for (name, fault, errno) in [
        ("denied", says(403, "PERMISSION_DENIED"), libc::EACCES),
        ("unknown", says(401, "UNAUTHENTICATED"), libc::EKEYREJECTED),
        ("unavailable", says(503, "UNAVAILABLE"), libc::EHOSTUNREACH),
        ("cut", Fault::CutBody, libc::EHOSTUNREACH),
        ("huge", Fault::Huge { bytes: 4 << 20 }, libc::EFBIG),
        ("garbage", Fault::body("<html>It works!</html>"), libc::EIO),
    ] {
        server.create(name, b"value");
        server.set("AccessSecretVersion", fault);
        assert_eq!(errno_of_reading(&gcp.join(name).join("value")), Some(errno), "{name}");
    }
    server.create("hangs", b"value");
    server.set("AccessSecretVersion", Fault::Hang);
    assert_eq!(errno_of_reading(&place.mnt().join("brief/hangs/value")), Some(libc::ETIMEDOUT));
    server.set("AccessSecretVersion", Fault::Pass);
    server.create("off", b"value");
    server.disable("off", 1);
    assert_eq!(errno_of_reading(&gcp.join("off/value")), Some(libc::ENOENT));
    server.create("changed", b"value");
    server.checksum("changed", Some(1));
    assert_eq!(errno_of_reading(&gcp.join("changed/value")), Some(libc::EIO));
    // The last, for the whole scope then pauses.
    server.create("throttled", b"value");
    server.set("AccessSecretVersion", says(429, "RESOURCE_EXHAUSTED"));
    assert_eq!(errno_of_reading(&gcp.join("throttled/value")), Some(libc::EBUSY));
}

/// With the tokens of a metadata server, as on Google's machines.
#[test]
fn what_iam_refuses_is_in_the_bits_and_the_reports() {
    let place = Place::new();
    let server = Gcp::start();
    for name in ["mine", "theirs"] {
        server.create(name, b"the value itself");
    }
    for permission in ["secrets.list", "secrets.get", "versions.get"] {
        server.grant("from-metadata", permission, "");
    }
    server.grant("from-metadata", "versions.access", "mine");
    let _daemon = mount(&place, &server, &scope(&server, ""));
    let gcp = place.mnt().join("gcp");
    let mode = |name: &str| fs::metadata(gcp.join(name)).unwrap().mode() & 0o777;
    eventually("the refused secret has no bits", || {
        names(&gcp);
        (mode("theirs") == 0).then_some(())
    });
    assert_ne!(mode("mine"), 0);
    assert_eq!(server.calls("AccessSecretVersion"), 0, "nothing was read for it");
    assert_eq!(text(&gcp.join("mine/value")), "the value itself");

    let why = |name: &str| {
        let path = gcp.join(name).join("value");
        Command::new(HUSHFS).args(["why", "--json"]).arg(path).output().expect("hushfs runs")
    };
    assert_eq!(why("mine").status.code(), Some(0));
    let refused = why("theirs");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let explanation = json(&refused).to_string();
    assert!(explanation.contains("secretmanager.versions.access"), "{explanation}");

    let check = google(place.hushfs(&["check", "--online", "--json"]), &place, &server.address().to_string());
    let output = { check }.output().expect("hushfs runs");
    let found = json(&output)["online"][0].clone();
    assert_eq!(found["list"]["ok"], 2, "{found:#}");
    assert!(found["whoami"]["ok"].as_str().unwrap().contains("metadata server"), "{found:#}");
    assert_eq!(found["refused"][0]["secret"], "theirs", "{found:#}");
}
