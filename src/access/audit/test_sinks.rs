//! Records and sinks for tests.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use super::record::{Action, Cache, Event, Outcome, Record};
use super::sink::{Entry, Sink};

pub fn record(path: &str) -> Record {
    Record {
        time: SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456),
        path: path.to_owned(),
        action: Action::Read,
        outcome: Outcome::Allow,
        reason: "grant at /etc/hushfs/hushfs.toml:12".to_owned(),
        errno: None,
        version: Some("v1".to_owned()),
        cache: Some(Cache::Hit),
        age: Some(42),
        identity: None,
        uid: 1000,
        gid: 1000,
        pid: 4242,
        tgid: Some(4240),
        exe: Some("/usr/bin/cat".to_owned()),
        unit: Some("worker.service".to_owned()),
        container: None,
        latency_us: 17,
    }
}

pub fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// Keeps what it is given, and fails or hangs when it is told to.
#[derive(Clone, Default)]
pub struct Kept {
    pub lines: Arc<Mutex<Vec<serde_json::Value>>>,
    pub failing: Arc<Mutex<bool>>,
    gate: Arc<Mutex<Option<Receiver<()>>>>,
}

impl Kept {
    /// The next write hangs until the other end is dropped.
    pub fn hang(&self) -> Sender<()> {
        let (open, gate) = channel();
        *self.gate.lock().unwrap() = Some(gate);
        open
    }

    pub fn fail(&self, failing: bool) {
        *self.failing.lock().unwrap() = failing;
    }

    /// `event decision path count` of every line.
    pub fn said(&self) -> Vec<String> {
        let word = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let lines = self.lines.lock().unwrap();
        let said = lines.iter().map(|line| match line["event"].as_str() {
            Some("decision") => format!("{} {}", word(&line["decision"]), word(&line["path"])),
            _ => format!("{} {}", word(&line["event"]), word(&line["count"])),
        });
        said.collect()
    }
}

impl Sink for Kept {
    fn name(&self) -> &'static str {
        "kept"
    }

    fn write(&mut self, entry: &Entry<'_>, _until: Instant) -> io::Result<()> {
        if let Some(gate) = self.gate.lock().unwrap().take() {
            let _ = gate.recv();
        }
        if *self.failing.lock().unwrap() {
            return Err(io::Error::other("told to"));
        }
        assert!(matches!(entry.event, Event::Decision(_) | Event::Lost(_)));
        self.lines.lock().unwrap().push(serde_json::from_slice(entry.line).unwrap());
        Ok(())
    }
}
