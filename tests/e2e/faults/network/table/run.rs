//! One provider's table: a daemon with a scope for each fault, and readers in each.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::rows::{Cause, Row};
use super::{COLD, Server, WARM};
use crate::support::daemon::Place;
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::hosts::Name;
use crate::support::line::{Line, Trouble};
use crate::support::own_process::is_of_a_cloud;
use crate::support::tls::Terminator;

/// The scopes' `timeout`.
pub const TIMEOUT: Duration = Duration::from_secs(2);
/// For what takes a second unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(40);
const SETTINGS: &str =
    "timeout = \"2s\"\nttl = \"500ms\"\nlist_ttl = \"500ms\"\nnegative_ttl = \"1s\"\nmax_stale = \"1h\"\n";

/// What who has a value got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Warm {
    Fresh,
    Stale,
    Refused(i32),
}

/// What was seen while a fault lasted.
#[derive(Debug, Default)]
pub struct Seen {
    pub cold: BTreeSet<Option<i32>>,
    /// Nothing where there can be no value.
    pub warm: BTreeSet<Warm>,
    /// The longest that a `read` of a whole file took.
    pub longest: Duration,
    pub reads: usize,
    pub lasted: Duration,
    /// Connections that were taken; None where nobody is there to take them.
    pub calls: Option<usize>,
    /// From the end of the fault until both secrets are read, and fresh. None where it has no end.
    pub recovered: Option<Duration>,
}

/// What was seen in scopes that had no fault.
#[derive(Debug, Default)]
pub struct Calm {
    pub reads: usize,
    pub longest: Duration,
    pub errors: Vec<String>,
}

/// A scope's way to the server.
struct Way {
    line: Line,
    proxy: FaultProxy,
    /// As the server, but of another authority.
    impostor: Option<Terminator>,
    /// What the daemon knows the server by, where that is to change.
    name: Option<Name>,
}

impl Way {
    fn set(&self, cause: &Cause) {
        match cause {
            Cause::Line(trouble) => self.line.set(*trouble),
            Cause::Http(fault) => self.proxy.set("*", fault.clone()),
            Cause::Certificate => {
                let impostor = self.impostor.as_ref().expect("an impostor");
                self.line.set(Trouble::To(impostor.address()));
            }
            Cause::Name => self.name.iter().for_each(|name| name.resolves(false)),
        }
    }

    /// A name that never resolves never will.
    fn has_end(&self, row: &Row) -> bool {
        self.name.is_some() || !matches!(row.cause, Cause::Name)
    }

    fn mend(&self) {
        self.name.iter().for_each(|name| name.resolves(true));
        self.proxy.set("*", Fault::Pass);
        self.line.set(Trouble::Nothing);
    }
}

/// Has each fault last for `window`, or until it shows. Panics where a secret cannot be read although nothing is wrong.
pub fn run(server: &dyn Server, rows: &[Row], window: Duration) -> (Vec<Seen>, Calm) {
    let place = Place::new();
    // The last two are for scopes without a fault, and with values that are known and fresh.
    let proxies: Vec<_> = (0..rows.len() + 2).map(|_| FaultProxy::start(server.address())).collect();
    let tls = Terminator::start_for(&proxies.iter().map(FaultProxy::address).collect::<Vec<_>>());
    let causes = rows.iter().map(|row| Some(&row.cause)).chain([None, None]);
    let ways: Vec<Way> = proxies
        .into_iter()
        .zip(tls.addresses())
        .zip(causes)
        .map(|((proxy, tls), cause)| {
            if matches!(cause, Some(Cause::Line(Trouble::Forgotten))) {
                proxy.keep_connections();
            }
            let impostor = matches!(cause, Some(Cause::Certificate)).then(|| Terminator::start(proxy.address()));
            let name = if matches!(cause, Some(Cause::Name)) { Name::new() } else { None };
            Way { line: Line::to(tls), proxy, impostor, name }
        })
        .collect();

    let scope = |name: &str, way: &Way, settings: &str| {
        let address = way.line.address();
        let host = match &way.name {
            Some(name) => format!("{}:{}", name.name, address.port()),
            None if name == "name" => format!("never.hushfs.invalid:{}", address.port()),
            None => address.to_string(),
        };
        format!("[scopes.{name}]\n{}{settings}", server.lines(&format!("https://{host}"), Some(&tls.ca_file())))
    };
    let mut configuration: String = rows.iter().zip(&ways).map(|(row, way)| scope(row.name, way, SETTINGS)).collect();
    let (calm, kept) = (&ways[rows.len()], &ways[rows.len() + 1]);
    configuration += &scope("calm", calm, SETTINGS);
    configuration += &scope("kept", kept, "ttl = \"1h\"\n");
    place.configure(&configuration);
    let mut command = place.hushfs(&["mount"]);
    for (name, _) in std::env::vars_os() {
        if is_of_a_cloud(&name.to_string_lossy()) {
            command.env_remove(&name);
        }
    }
    command.env("HOME", place.path());
    server.environment(&mut command, Some(&tls.ca_file()));
    let _daemon = place.start(command);

    let mnt = place.mnt();
    // Clients and credentials are made at the first call, all of them at once here.
    must_read(&mnt.join("kept/db/PASSWORD"));
    must_read(&mnt.join("calm/db/PASSWORD"));
    for (row, way) in rows.iter().zip(&ways) {
        let file = mnt.join(row.name).join("db/PASSWORD");
        if way.has_end(row) {
            must_read(&file);
        } else {
            drop(std::fs::read(file));
        }
    }
    kept.line.set(Trouble::HalfOpen);
    let is_over = AtomicBool::new(false);
    let (seen, calm) = std::thread::scope(|threads| {
        let calm = threads.spawn(|| all_is_calm(&mnt, &is_over));
        let readers: Vec<_> = rows
            .iter()
            .zip(&ways)
            .map(|(row, way)| threads.spawn(|| see(row, way, &mnt.join(row.name), window)))
            .collect();
        let seen: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
        is_over.store(true, Ordering::SeqCst);
        (seen, calm.join().expect("calm"))
    });
    let seen = seen.into_iter().collect::<Result<Vec<_>, _>>();
    (seen.unwrap_or_else(|_| panic!("{}", place.log())), calm)
}

fn see(row: &Row, way: &Way, scope: &Path, window: Duration) -> Seen {
    let (warm, cold) = (scope.join("db/PASSWORD"), scope.join("cold/PASSWORD"));
    let has_end = way.has_end(row);
    if has_end {
        must_read(&warm);
    }
    let before = way.line.connections();
    way.set(&row.cause);
    let start = Instant::now();
    let mut seen = Seen::default();
    seen.read_cold(&cold);
    let mut shown = !has_end;
    while !shown || start.elapsed() < window {
        if has_end {
            let got = seen.read_warm(&warm);
            shown |= row.shows(got);
        }
        seen.read_cold(&cold);
        assert!(shown || start.elapsed() < PATIENCE, "{}: the fault never shows", row.name);
        std::thread::sleep(Duration::from_millis(10));
    }
    let is_counted = !matches!(row.cause, Cause::Name | Cause::Line(Trouble::Refused));
    seen.lasted = start.elapsed();
    seen.calls = is_counted.then(|| way.line.connections() - before);
    if has_end {
        way.mend();
        let end = Instant::now();
        let mut after = Seen::default();
        until(row.name, || after.read_cold(&cold).is_none());
        until(row.name, || after.read_warm(&warm) == Warm::Fresh);
        seen.longest = seen.longest.max(after.longest);
        seen.recovered = Some(end.elapsed());
    }
    seen
}

impl Seen {
    fn read_cold(&mut self, path: &Path) -> Option<i32> {
        let got = self.read(path);
        if let Ok((value, _)) = &got {
            assert_eq!(value, COLD.as_bytes());
        }
        let errno = got.err();
        self.cold.insert(errno);
        errno
    }

    fn read_warm(&mut self, path: &Path) -> Warm {
        let warm = match self.read(path) {
            Ok((value, is_stale)) => {
                assert_eq!(value, WARM.as_bytes());
                if is_stale { Warm::Stale } else { Warm::Fresh }
            }
            Err(errno) => Warm::Refused(errno),
        };
        self.warm.insert(warm);
        warm
    }

    /// A value, and whether it is said to be stale; or an errno.
    fn read(&mut self, path: &Path) -> Result<(Vec<u8>, bool), i32> {
        let start = Instant::now();
        let got = read(path);
        self.longest = self.longest.max(start.elapsed());
        self.reads += 1;
        got.map_err(|error| error.raw_os_error().expect("an errno"))
    }
}

fn read(path: &Path) -> std::io::Result<(Vec<u8>, bool)> {
    let mut file = std::fs::File::open(path)?;
    let mut value = Vec::new();
    file.read_to_end(&mut value)?;
    let mut stale = [0; 1];
    let is_stale = rustix::fs::fgetxattr(&file, "user.hushfs.stale", &mut stale)? == 1 && stale == *b"1";
    Ok((value, is_stale))
}

fn must_read(path: &Path) {
    until(&path.display().to_string(), || std::fs::read(path).is_ok_and(|value| value == WARM.as_bytes()));
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}: it does not recover");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Reads what is in order until the others are through.
fn all_is_calm(mnt: &Path, is_over: &AtomicBool) -> Calm {
    let mut calm = Calm::default();
    let files: [PathBuf; 2] = ["calm", "kept"].map(|scope| mnt.join(scope).join("db/PASSWORD"));
    while !is_over.load(Ordering::SeqCst) {
        for file in &files {
            let start = Instant::now();
            match read(file) {
                Ok((value, false)) if value == WARM.as_bytes() => {}
                other => calm.errors.push(format!("{}: {:?}", file.display(), other.map(|(_, is_stale)| is_stale))),
            }
            calm.longest = calm.longest.max(start.elapsed());
            calm.reads += 1;
        }
        if let Err(error) = std::fs::read_dir(mnt) {
            calm.errors.push(format!("the root: {error}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    calm
}
