//! Readers in every manner, each of which judges what it gets.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::history::Secret;
use super::random::Random;
use super::value::{self, KEYS};
use super::world::{Asked, MAX_STALE, SLACK, TIMEOUT, TTL, World};
use crate::support::daemon::xattr;

/// Open files that a reader keeps.
const HELD: usize = 8;

/// An open file, and what was in it when it was opened.
struct Held {
    file: File,
    bytes: Vec<u8>,
}

pub struct Reader<'a> {
    world: &'a World,
    random: Random,
    /// The newest version seen of each secret.
    newest: Vec<u64>,
    held: Vec<Held>,
}

impl<'a> Reader<'a> {
    pub fn new(world: &'a World, random: Random) -> Self {
        Self { world, random, newest: vec![0; world.secrets.len()], held: Vec::new() }
    }

    /// Reads until it is told to stop.
    pub fn run(&mut self) {
        while !self.world.stop.load(Ordering::Relaxed) {
            // The first of each scope more often than the others.
            let count = self.world.secrets.len();
            let mut at = self.random.below(count);
            if self.random.one_in(2) {
                at -= at % 8;
            }
            self.step(at);
            std::thread::sleep(self.random.between(Duration::ZERO, Duration::from_millis(16)));
        }
    }

    fn step(&mut self, at: usize) {
        let secret = &self.world.secrets[at];
        let came = Instant::now();
        let (what, asked) = match self.random.below(1000) {
            0..400 => ("read", Asked::Value),
            400..500 => ("pread", Asked::Value),
            500..580 => ("mmap", Asked::Value),
            580..680 => ("stat", Asked::Value),
            680..720 => ("list a secret", Asked::Value),
            720..740 => ("list a scope", Asked::Listing),
            740..790 => ("attributes", Asked::Value),
            790..890 => ("two keys of one version", Asked::Version),
            890..930 => ("all keys in one file", Asked::Value),
            930..960 => ("keep open", Asked::Value),
            960..997 => ("read what is open", Asked::Value),
            _ => ("killed while reading", Asked::Value),
        };
        let result = match what {
            "read" => self.read(at, came),
            "pread" => self.in_pieces(at, came),
            "mmap" => self.mapped(at, came),
            "stat" => self.stat(secret, came),
            "list a secret" => self.list_secret(secret),
            "list a scope" => self.list_scope(secret),
            "attributes" => self.attributes(secret, came),
            "two keys of one version" => self.two_keys(at, came),
            "all keys in one file" => self.all_keys(at, came),
            "keep open" => self.keep(at, came),
            "read what is open" => self.read_held(),
            _ => self.killed(secret),
        };
        self.world.tally.done(what, came.elapsed());
        if let Err(error) = result {
            self.world.judge_error(what, asked, secret, &error, came);
        }
    }

    fn folder(&self, secret: &Secret) -> PathBuf {
        self.world.mnt.join(secret.scope).join(&secret.name)
    }

    fn some_key(&mut self) -> &'static str {
        self.random.pick(&KEYS).0
    }

    /// Is this a whole value of that key, of a version that may be served?
    fn judge(&mut self, what: &str, at: usize, key: &str, bytes: &[u8], came: Instant) -> Option<u64> {
        let answered = Instant::now();
        let secret = &self.world.secrets[at];
        let Some(version) = value::version_of(&format!("{}/{key}", secret.place()), bytes) else {
            let what = format!("{what} of {}/{key}: {} bytes that are none of its values", secret.place(), bytes.len());
            self.world.tally.defect("wrong bytes", what);
            return None;
        };
        self.world.judge_version(what, secret, version, came, answered);
        Some(version)
    }

    /// The same of a current version: it is none from before one that was seen.
    fn judge_current(&mut self, what: &str, at: usize, key: &str, bytes: &[u8], came: Instant) {
        let Some(version) = self.judge(what, at, key, bytes, came) else { return };
        if version < self.newest[at] {
            let (place, seen) = (self.world.secrets[at].place(), self.newest[at]);
            self.world.tally.defect("back in time", format!("{what} of {place}: {version} after {seen}"));
        }
        self.newest[at] = self.newest[at].max(version);
    }

    fn read(&mut self, at: usize, came: Instant) -> io::Result<()> {
        let key = self.some_key();
        let mut file = File::open(self.folder(&self.world.secrets[at]).join(key))?;
        let told = file.metadata()?.len();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        self.same_size("read", at, told, bytes.len());
        self.judge_current("read", at, key, &bytes, came);
        Ok(())
    }

    fn same_size(&self, what: &str, at: usize, told: u64, got: usize) {
        if told != got as u64 {
            let place = self.world.secrets[at].place();
            self.world.tally.defect("wrong size", format!("{what} of {place}: {told} told, {got} read"));
        }
    }

    /// At any place, in any order, with the bytes before the end twice.
    fn in_pieces(&mut self, at: usize, came: Instant) -> io::Result<()> {
        let key = self.some_key();
        let file = File::open(self.folder(&self.world.secrets[at]).join(key))?;
        let size = file.metadata()?.len() as usize;
        let mut bytes = vec![0; size];
        let mut places: Vec<usize> = (0..size).step_by(1 + self.random.below(3000)).collect();
        places.push(size);
        let mut pieces: Vec<(usize, usize)> = places.windows(2).map(|pair| (pair[0], pair[1])).collect();
        for last in (1..pieces.len()).rev() {
            pieces.swap(last, self.random.below(last + 1));
        }
        for (from, to) in pieces {
            file.read_exact_at(&mut bytes[from..to], from as u64)?;
        }
        let past = file.read_at(&mut [0; 16], size as u64)?;
        self.same_size("pread", at, size as u64, size + past);
        self.judge_current("pread", at, key, &bytes, came);
        Ok(())
    }

    fn mapped(&mut self, at: usize, came: Instant) -> io::Result<()> {
        let key = self.some_key();
        let file = File::open(self.folder(&self.world.secrets[at]).join(key))?;
        let size = file.metadata()?.len() as usize;
        if size == 0 {
            self.same_size("mmap", at, 0, 1);
            return Ok(());
        }
        // SAFETY: a new private mapping, copied out of and unmapped below.
        let address =
            unsafe { libc::mmap(std::ptr::null_mut(), size, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the mapping is `size` bytes long, and its file's bytes never change.
        let bytes = unsafe { std::slice::from_raw_parts(address.cast::<u8>(), size) }.to_vec();
        // SAFETY: the mapping made above.
        unsafe { libc::munmap(address, size) };
        self.judge_current("mmap", at, key, &bytes, came);
        Ok(())
    }

    fn stat(&mut self, secret: &Secret, came: Instant) -> io::Result<()> {
        let key = self.some_key();
        let size = fs::metadata(self.folder(secret).join(key))?.len();
        // Attributes are told to the kernel for as long as the value is fresh.
        let oldest = self.world.oldest(secret, came.checked_sub(TTL).unwrap_or(came), Instant::now());
        let place = format!("{}/{key}", secret.place());
        let mut versions = oldest..=secret.newest_begun(Instant::now());
        if !versions.any(|version| value::value(&place, version).len() as u64 == size) {
            self.world
                .tally
                .defect("wrong size", format!("stat of {place}: {size} is that of no version since {oldest}"));
        }
        Ok(())
    }

    fn list_secret(&mut self, secret: &Secret) -> io::Result<()> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.folder(secret))? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        if names != KEYS.map(|(name, _)| name) {
            self.world.tally.defect("wrong listing", format!("{}: {names:?}", secret.place()));
        }
        Ok(())
    }

    fn list_scope(&mut self, secret: &Secret) -> io::Result<()> {
        let came = Instant::now();
        let mut names = Vec::new();
        for entry in fs::read_dir(self.world.mnt.join(secret.scope))? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        let all: Vec<_> = self.world.secrets.iter().filter(|other| other.scope == secret.scope).collect();
        let is_strange = |name: &String| !all.iter().any(|other| other.name == *name);
        let known_for = TTL + MAX_STALE + TIMEOUT * 12 + SLACK;
        let must_be_there =
            |other: &&&Secret| !other.may_be_gone(came.checked_sub(known_for).unwrap_or(came), Instant::now());
        let lacks = all.iter().filter(must_be_there).any(|other| !names.contains(&other.name));
        if lacks || names.iter().any(is_strange) || names.windows(2).any(|pair| pair[0] == pair[1]) {
            self.world.tally.defect("wrong listing", format!("{}: {names:?}", secret.scope));
        }
        Ok(())
    }

    fn attributes(&mut self, secret: &Secret, came: Instant) -> io::Result<()> {
        let path = self.folder(secret).join(self.some_key());
        fs::metadata(&path)?;
        // Gone or failing by now: what is told without waiting is judged, not whether it is told.
        if xattr(&path, "user.hushfs.stale").as_deref() == Some("1")
            && !self.world.may_be_stale(secret, came, Instant::now())
        {
            self.world.tally.defect("stale without an outage", secret.place());
        }
        let age = xattr(&path, "user.hushfs.age").and_then(|age| age.parse().ok()).map(Duration::from_secs);
        if age.is_some_and(|age| age > TTL + MAX_STALE + SLACK) {
            self.world.tally.defect("too old", format!("{} says that it is {age:?} old", secret.place()));
        }
        Ok(())
    }

    /// As whoever resolves `@current` once and then reads a user's name and password.
    fn two_keys(&mut self, at: usize, came: Instant) -> io::Result<()> {
        let folder = self.folder(&self.world.secrets[at]);
        let version = folder.join(fs::read_link(folder.join("@current"))?);
        let user = fs::read(version.join("username"))?;
        let password = fs::read(version.join("password"))?;
        let user = self.judge("two keys", at, "username", &user, came);
        let password = self.judge("two keys", at, "password", &password, came);
        if user != password {
            let place = self.world.secrets[at].place();
            self.world.tally.defect("mixed versions", format!("{place}: {user:?} and {password:?} by one @current"));
        }
        Ok(())
    }

    fn all_keys(&mut self, at: usize, came: Instant) -> io::Result<()> {
        let folder = self.folder(&self.world.secrets[at]);
        let view = *self.random.pick(&[".json", ".raw", ".env"]);
        let text = fs::read_to_string(folder.join(view))?;
        let keys: Vec<(String, String)> = if view == ".env" {
            let lines = text.lines().filter_map(|line| line.split_once('='));
            lines.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect()
        } else {
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap_or_default();
            object.into_iter().map(|(name, value)| (name, value.as_str().unwrap_or_default().to_owned())).collect()
        };
        let versions: Vec<_> =
            keys.iter().map(|(key, value)| self.judge(view, at, key, value.as_bytes(), came)).collect();
        if versions.len() != KEYS.len() || versions.windows(2).any(|pair| pair[0] != pair[1]) {
            let place = self.world.secrets[at].place();
            self.world.tally.defect("mixed versions", format!("{view} of {place}: {versions:?}"));
        }
        Ok(())
    }

    fn keep(&mut self, at: usize, came: Instant) -> io::Result<()> {
        let key = self.some_key();
        let mut file = File::open(self.folder(&self.world.secrets[at]).join(key))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        self.judge_current("keep open", at, key, &bytes, came);
        if self.held.len() >= HELD {
            let oldest = self.random.below(HELD);
            self.held.swap_remove(oldest);
        }
        self.held.push(Held { file, bytes });
        Ok(())
    }

    fn read_held(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let held = self.random.below(self.held.len());
        let held = &self.held[held];
        let mut bytes = vec![0; held.bytes.len() + 1];
        let got = held.file.read_at(&mut bytes, 0)?;
        if bytes[..got] != held.bytes {
            self.world.tally.defect("snapshot changed", format!("{got} bytes, {} before", held.bytes.len()));
        }
        Ok(())
    }

    /// A program that is killed somewhere on its way.
    fn killed(&mut self, secret: &Secret) -> io::Result<()> {
        let path = self.folder(secret).join(self.some_key());
        let mut child = Command::new("cat").arg(path).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::sleep(self.random.between(Duration::ZERO, Duration::from_millis(30)));
        let killed = Instant::now();
        child.kill()?;
        child.wait()?;
        if killed.elapsed() > TIMEOUT + SLACK {
            let late = format!("{}: gone {:?} after the kill", secret.place(), killed.elapsed());
            self.world.tally.defect("not gone when killed", late);
        }
        Ok(())
    }
}
