//! A sink, and the account of what it did not get.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use super::json;
use super::record::{Event, Lost};
use super::sink::{Entry, Sink};

/// How a sink is doing, for `hushfs status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkReport {
    pub sink: &'static str,
    pub written: u64,
    /// Since the daemon started, reported in the sink by now or not.
    pub lost: u64,
    /// Why it takes nothing at present.
    pub failing: Option<String>,
}

/// The part of the account that other threads see.
#[derive(Debug)]
pub struct Health {
    sink: &'static str,
    written: AtomicU64,
    lost: AtomicU64,
    failing: Mutex<Option<String>>,
}

impl Health {
    pub fn report(&self) -> SinkReport {
        SinkReport {
            sink: self.sink,
            written: self.written.load(Relaxed),
            lost: self.lost.load(Relaxed),
            failing: self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn set_failing(&self, why: Option<String>) -> Option<String> {
        std::mem::replace(&mut *self.failing.lock().unwrap_or_else(PoisonError::into_inner), why)
    }
}

pub struct Outlet {
    sink: Box<dyn Sink>,
    health: Arc<Health>,
    is_failing: bool,
    /// What it did not get and has not been told of.
    gap: Option<Gap>,
}

struct Gap {
    count: u64,
    since: SystemTime,
    reason: String,
}

impl Outlet {
    pub fn new(sink: Box<dyn Sink>) -> Self {
        let health = Health {
            sink: sink.name(),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            failing: Mutex::new(None),
        };
        Self { sink, health: Arc::new(health), is_failing: false, gap: None }
    }

    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    pub fn is_failing(&self) -> bool {
        self.is_failing
    }

    /// How many records the sink lacks without knowing.
    pub fn unreported(&self) -> u64 {
        self.gap.as_ref().map_or(0, |gap| gap.count)
    }

    pub fn reopen(&mut self) {
        self.sink.reopen();
    }

    /// Writes the event, after telling of what was lost before it. An error says which sink and why.
    pub fn write(&mut self, event: &Event, line: &[u8], until: Instant) -> Result<(), String> {
        let result = self
            .report_gap(until)
            .and_then(|()| self.sink.write(&Entry { event, line }, until).map_err(|error| error.to_string()));
        match result {
            Ok(()) => {
                self.health.written.fetch_add(1, Relaxed);
                self.works();
                Ok(())
            }
            Err(why) => {
                self.lose(1, &why);
                self.fails(&why);
                Err(format!("{}: {why}", self.sink.name()))
            }
        }
    }

    /// Counts records that never came as far as the sink, or not into it.
    pub fn lose(&mut self, count: u64, why: &str) {
        self.health.lost.fetch_add(count, Relaxed);
        let gap = self.gap.get_or_insert_with(|| Gap { count: 0, since: SystemTime::now(), reason: String::new() });
        gap.count = gap.count.saturating_add(count);
        why.clone_into(&mut gap.reason);
    }

    /// Tells the sink what it lacks, if anything.
    pub fn report_gap(&mut self, until: Instant) -> Result<(), String> {
        let Some(Gap { count, since, reason }) = &self.gap else { return Ok(()) };
        let (count, reason) = (*count, reason.clone());
        let lost = Lost { time: SystemTime::now(), sink: self.sink.name(), count, since: *since, reason };
        let event = Event::Lost(lost);
        let mut line = json::of(&event);
        line.push(b'\n');
        self.sink.write(&Entry { event: &event, line: &line }, until).map_err(|error| error.to_string())?;
        self.gap = None;
        self.works();
        Ok(())
    }

    fn works(&mut self) {
        if std::mem::take(&mut self.is_failing) {
            self.health.set_failing(None);
            let (sink, lost) = (self.sink.name(), self.health.lost.load(Relaxed));
            self.tell(move || tracing::warn!("the audit sink {sink} takes records again; {lost} lost so far in all"));
        }
    }

    fn fails(&mut self, why: &str) {
        self.health.set_failing(Some(why.to_owned()));
        if !std::mem::replace(&mut self.is_failing, true) {
            let (sink, why) = (self.sink.name(), why.to_owned());
            self.tell(move || {
                tracing::error!("the audit sink {sink} takes no records: {why}; they are counted until it does");
            });
        }
    }

    /// Log lines wait for standard error, which may be what is stuck: never on the writer's thread, and
    /// about standard error itself not at all.
    fn tell(&self, line: impl FnOnce() + Send + 'static) {
        if self.sink.name() != "stderr" {
            let _ = std::thread::Builder::new().name("audit-warning".to_owned()).spawn(line);
        }
    }
}
