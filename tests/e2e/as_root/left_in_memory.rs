//! What of a value is still in the daemon's memory once it has been flushed, evicted, or only not been asked for:
//! every provider, over TLS where the provider's own service has it. `docs/threat-model.md` has what this prints:
//!
//!     make test NEXTEST_ARGS="--no-capture -E 'test(left_in_memory)'"
//!
//! With `--cargo-profile release` it is the released program that is searched, in which nothing can be turned off.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::support::audit_log::AuditFile;
use crate::support::backend::{Backend, KEEPS_WORN, SECRETS, read_all};
use crate::support::daemon::{Daemon, Place};
use crate::support::marked::Mark;
use crate::support::memory::{Copies, Kind, family, scan, scan_until};

#[cfg(feature = "kubernetes")]
mod applied;
#[cfg(feature = "vault")]
mod failures;
#[cfg(any(feature = "aws", feature = "vault"))]
mod large;
#[cfg(feature = "vault")]
mod lent;
#[cfg(feature = "vault")]
mod versions;

/// Idle connections and values past their use go within seconds.
const PATIENCE: Duration = Duration::from_secs(40);
/// Turns off in a debug build what the daemon does against copies.
const UNMITIGATED: &str = "HUSHFS_TEST_UNMITIGATED";

impl Backend {
    fn mount<'a>(&self, place: &'a Place, settings: &str, without: Option<&str>) -> Daemon<'a> {
        let metrics = format!("[metrics]\nlisten = {:?}\n", place.path().join("metrics"));
        place.configure(&(self.scope() + settings + &AuditFile::new(place, "audit").section("") + &metrics));
        let mut command = place.hushfs(&["mount"]);
        command.env("HUSHFS_LOG", "debug").env("RUST_LOG", "trace");
        self.environment(&mut command);
        if let Some(mitigation) = without {
            command.env(mitigation, "1");
        }
        place.start(command)
    }
}

/// What the daemon says of itself, and what the kernel says of it.
fn told(place: &Place, daemon: &Daemon) -> Vec<u8> {
    let mut all = place.log().into_bytes();
    let (mnt, secret) = (place.mnt(), place.mnt().join("app/db-0/PASSWORD"));
    let commands: [(&[&str], Option<&Path>, &str); 4] = [
        (&["status"], None, "app"),
        (&["status", "--json"], None, "\"app\""),
        (&["why"], Some(&secret), "yes: "),
        (&["readers"], Some(&mnt), "app/db-0"),
    ];
    for (args, path, expected) in commands {
        let output = place.hushfs(args).args(path).output().expect("hushfs runs");
        let said = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&said);
        assert!(output.status.success() && text.contains(expected), "{args:?}: {}: {text}", output.status);
        all.extend(said);
    }
    all.extend(fs::read(place.path().join("audit")).expect("the audit log"));
    let mut metrics = UnixStream::connect(place.path().join("metrics")).expect("metrics");
    metrics.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    metrics.read_to_end(&mut all).unwrap();
    for process in family(daemon.child.id()) {
        let process = format!("/proc/{process}");
        let tasks = fs::read_dir(format!("{process}/task")).unwrap().map(|task| task.unwrap().path());
        for folder in tasks.chain([Path::new(&process).to_owned()]) {
            // A thread may have ended.
            for file in fs::read_dir(folder).into_iter().flatten().flatten() {
                // These are memory itself.
                let is_memory = ["mem", "pagemap"].contains(&file.file_name().to_string_lossy().as_ref());
                if !is_memory && file.file_type().is_ok_and(|kind| kind.is_file()) {
                    all.extend(fs::read(file.path()).unwrap_or_default());
                }
            }
        }
    }
    all
}

/// What was found, in the order of the table.
struct Row {
    after_read: Copies,
    after_flush: Copies,
    later: Copies,
}

const LONG: &str = "ttl = \"1h\"\n";

fn flush(place: &Place) {
    let flushed = place.run(&["flush"]);
    assert!(flushed.status.success(), "{}", String::from_utf8_lossy(&flushed.stderr));
}

/// Reads, flushes; and how it is then, at once and once `later` has been waited for.
fn row(backend: &Backend, place: &Place, mark: &Mark, without: &str, later: impl Fn(&Daemon) -> Copies) -> Row {
    let daemon = backend.mount(place, LONG, Some(without));
    read_all(place, mark, &mark.value);
    let after_read = scan(&daemon, mark);
    flush(place);
    let after_flush = scan(&daemon, mark);
    let later = later(&daemon);
    assert_eq!(daemon.stop().code(), Some(0));
    Row { after_read, after_flush, later }
}

fn nothing_is_left(provider: &str) {
    let place = Place::new();
    let mark = Mark::new();
    let backend = Backend::start(provider, &place, &mark);
    let gone = |daemon: &Daemon| scan_until(daemon, &mark, PATIENCE, |copies| copies.0.is_empty());
    let before = row(&backend, &place, &mark, UNMITIGATED, |daemon| {
        // What goes by itself, such as idle connections that the client closes, has gone.
        thread::sleep(Duration::from_secs(11));
        scan(daemon, &mark)
    });
    // No connection is closed but by the flush.
    let after = row(&backend, &place, &mark, KEEPS_WORN, gone);
    println!(
        "| {provider} | {} | {} | {} | {} | {} | {} |",
        before.after_read, before.after_flush, before.later, after.after_read, after.after_flush, after.later
    );
    assert!(after.after_read.of(Kind::Locked) >= SECRETS, "the scan finds what is there");
    if cfg!(debug_assertions) {
        assert!(before.later.astray() > 0, "and it would find what is elsewhere: {}", before.later);
        let is_local = matches!(backend, Backend::Folder(_));
        assert!(is_local || after.after_read.astray() > 0, "connections hold what the flush is to wipe");
    }
    assert!(after.later.0.is_empty(), "{:#?}", after.later.0);

    // Values that stay, and connections that nobody uses.
    let daemon = backend.mount(&place, LONG, None);
    read_all(&place, &mark, &mark.value);
    let told = told(&place, &daemon);
    assert!(told.len() > 50_000 && !mark.is_in(&told), "of {} bytes", told.len());
    let cached = scan_until(&daemon, &mark, PATIENCE, |copies| copies.astray() == 0);
    assert_eq!(cached.astray(), 0, "{:#?}", cached.0);
    assert!(cached.of(Kind::Locked) >= SECRETS, "they are cached all the time: {cached}");
    assert_eq!(daemon.stop().code(), Some(0));

    // Values that nobody flushes.
    let daemon = backend.mount(&place, "ttl = \"2s\"\nmax_stale = \"0s\"\n", None);
    read_all(&place, &mark, &mark.value);
    let evicted = gone(&daemon);
    assert!(evicted.0.is_empty(), "{:#?}", evicted.0);
    assert_eq!(daemon.stop().code(), Some(0));
}

#[cfg(feature = "local")]
#[test]
fn nothing_is_left_of_a_local_value() {
    nothing_is_left("local");
}

#[cfg(feature = "aws")]
#[test]
fn nothing_is_left_of_a_value_from_aws_secrets_manager() {
    nothing_is_left("aws-secrets-manager");
}

#[cfg(feature = "aws")]
#[test]
fn nothing_is_left_of_a_value_from_aws_parameter_store() {
    nothing_is_left("aws-parameter-store");
}

#[cfg(feature = "gcp")]
#[test]
fn nothing_is_left_of_a_value_from_google_cloud() {
    nothing_is_left("gcp-secret-manager");
}

#[cfg(feature = "vault")]
#[test]
fn nothing_is_left_of_a_value_from_vault() {
    nothing_is_left("vault");
}

#[cfg(feature = "azure")]
#[test]
fn nothing_is_left_of_a_value_from_azure_key_vault() {
    nothing_is_left("azure-key-vault");
}

#[cfg(feature = "kubernetes")]
#[test]
fn nothing_is_left_of_a_value_from_kubernetes() {
    nothing_is_left("kubernetes");
}

#[cfg(feature = "databricks")]
#[test]
fn nothing_is_left_of_a_value_from_databricks() {
    nothing_is_left("databricks");
}
