//! The log as the rest of the program sees it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::ack::{Ack, Written};
use super::file::FileSink;
use super::journald::{JournaldSink, SOCKET};
use super::outlet::{Health, Outlet, SinkReport};
use super::record::Record;
use super::sink::Sink;
use super::stderr::StderrSink;
use super::writer::{Job, Message, Shared, Writer};
use crate::config::AuditSettings;

/// Records that wait for the writer's thread.
const QUEUE: usize = 4096;

/// How long the asking thread is blocked for a record that is about to be written: less than it would
/// cost to move the request to another thread.
const BRIEF: Duration = Duration::from_micros(100);

/// How long a read waits for a record that is not required. It is written later, or counted as lost.
const PATIENCE: Duration = Duration::from_millis(250);

/// Why a read must be refused: its record is required, and is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    #[error("the audit record is required and could not be written: {0}")]
    Failed(String),
    #[error("the audit record is required and was not written in time")]
    Late,
    #[error("the audit record is required and too many others wait to be written")]
    Full,
    #[error("the audit record is required and the thread that writes it has ended; restart the daemon")]
    Ended,
}

/// Writes records to all sinks. Dropping it writes what is queued, in the background; see [`AuditLog::finish`].
pub struct AuditLog {
    /// None without a sink: nothing is queued then, and nothing costs anything.
    queue: Option<SyncSender<Message>>,
    required: bool,
    shared: Arc<Shared>,
    health: Vec<Arc<Health>>,
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("required", &self.required).field("sinks", &self.sinks()).finish()
    }
}

impl AuditLog {
    /// A sink that does not work yet is no error: it is tried with every record.
    pub fn start(settings: &AuditSettings) -> io::Result<Self> {
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if let Some(path) = &settings.file {
            sinks.push(Box::new(FileSink::new(path.clone())));
        }
        if settings.journald {
            sinks.push(Box::new(JournaldSink::new(PathBuf::from(SOCKET))));
        }
        if settings.stderr {
            sinks.push(Box::new(StderrSink::new()));
        }
        Self::with(sinks, settings.required, QUEUE)
    }

    /// As [`AuditLog::start`], where the file can be opened.
    ///
    /// # Errors
    /// What file cannot, and why.
    pub fn start_working(settings: &AuditSettings) -> io::Result<Self> {
        if let Some(path) = &settings.file {
            FileSink::try_out(path)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        }
        Self::start(settings)
    }

    pub(super) fn with(sinks: Vec<Box<dyn Sink>>, required: bool, room: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        if sinks.is_empty() {
            return Ok(Self { queue: None, required: false, shared, health: Vec::new() });
        }
        let outlets: Vec<Outlet> = sinks.into_iter().map(Outlet::new).collect();
        let health = outlets.iter().map(Outlet::health).collect();
        let writer = Writer { outlets, required, shared: Arc::clone(&shared) };
        let (queue, messages) = mpsc::sync_channel(room);
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run(&messages))?;
        Ok(Self { queue: Some(queue), required, shared, health })
    }

    /// Is there any sink? If not, no record need be made.
    pub fn is_enabled(&self) -> bool {
        self.queue.is_some()
    }

    /// Queues the record at once; ready when it is in every sink, and by `deadline` whatever the sinks do.
    ///
    /// An error means that the read must be refused; there is none unless records are required. If they
    /// are, and the future is dropped before it is ready, the log says that the read was refused.
    ///
    /// May block the thread for 0.1 ms. To be polled within a tokio runtime.
    pub fn write(
        &self,
        record: Record,
        deadline: Instant,
    ) -> impl Future<Output = Result<(), AuditError>> + Send + 'static + use<> {
        let queued = self.enqueue(record, deadline);
        async move {
            match queued {
                Ok(Some(waiting)) => waiting.wait().await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            }
        }
    }

    /// None where nothing is to be waited for.
    fn enqueue(&self, record: Record, deadline: Instant) -> Result<Option<Waiting>, AuditError> {
        let Some(queue) = &self.queue else { return Ok(None) };
        let ack = Arc::new(Ack::default());
        let job = Job { record, ack: Arc::clone(&ack), deadline: deadline.into_std() };
        let lost = match queue.try_send(Message::Record(Box::new(job))) {
            Ok(()) => {
                let shared = Arc::clone(&self.shared);
                return Ok(Some(Waiting { ack, deadline, required: self.required, shared }));
            }
            Err(TrySendError::Full(_)) => AuditError::Full,
            Err(TrySendError::Disconnected(_)) => AuditError::Ended,
        };
        if self.shared.overflow.fetch_add(1, Relaxed) == 0 && !self.required {
            tracing::error!("an audit record is lost: {}", lost.cause());
        }
        if self.required { Err(lost) } else { Ok(None) }
    }

    /// Makes every sink look anew for what its name means, as after a rotation of the log.
    pub fn reopen(&self) {
        if let Some(queue) = &self.queue {
            // A full queue means that the writer is stuck; once it is not, it looks by itself.
            let _ = queue.try_send(Message::Reopen);
        }
    }

    /// Waits for what is queued, at most `patience`. False if records are lost that no sink tells of.
    pub fn finish(&self, patience: Duration) -> bool {
        let Some(queue) = &self.queue else { return true };
        let end = std::time::Instant::now() + patience;
        let (done, finished) = mpsc::sync_channel(1);
        let mut message = Message::Finish(done);
        loop {
            match queue.try_send(message) {
                Ok(()) => break,
                Err(TrySendError::Full(unsent)) if std::time::Instant::now() < end => {
                    message = unsent;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(_) => return false,
            }
        }
        finished.recv_timeout(end.saturating_duration_since(std::time::Instant::now())) == Ok(0)
    }

    /// How each sink is doing.
    pub fn sinks(&self) -> Vec<SinkReport> {
        self.health.iter().map(|health| health.report()).collect()
    }

    /// Why whoever asks is refused at present: the sinks that take no records, where records are required.
    pub fn hindrances(&self) -> Vec<String> {
        if !self.required {
            return Vec::new();
        }
        let why = |SinkReport { sink, failing, .. }| Some(format!("{sink}: {}", failing?));
        self.sinks().into_iter().filter_map(why).collect()
    }

    /// Records that found the queue full and have not been counted by the sinks yet.
    pub fn overflow(&self) -> u64 {
        self.shared.overflow.load(Relaxed)
    }
}

impl AuditError {
    fn cause(&self) -> &'static str {
        match self {
            Self::Failed(_) => "a sink failed",
            Self::Late => "it was not written in time",
            Self::Full => "too many others wait to be written",
            Self::Ended => "the thread that writes them has ended",
        }
    }
}

/// A caller who waits for its record.
struct Waiting {
    ack: Arc<Ack>,
    deadline: Instant,
    required: bool,
    shared: Arc<Shared>,
}

impl Waiting {
    async fn wait(self) -> Result<(), AuditError> {
        if let Some(written) = self.ack.wait(BRIEF) {
            return self.judge(written);
        }
        if !self.required && self.shared.late.load(Relaxed) {
            return Ok(());
        }
        let until = if self.required { self.deadline } else { self.deadline.min(Instant::now() + PATIENCE) };
        match timeout_at(until, poll_fn(|context| self.ack.poll(context))).await {
            Ok(written) => self.judge(written),
            Err(_) if self.required => Err(AuditError::Late),
            Err(_) => {
                self.shared.late.store(true, Relaxed);
                Ok(())
            }
        }
    }

    fn judge(&self, written: Written) -> Result<(), AuditError> {
        match written {
            Err(why) if self.required => Err(AuditError::Failed(why)),
            // The outlet has counted it.
            Err(_) | Ok(()) => Ok(()),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.ack.abandon();
    }
}

#[cfg(test)]
#[path = "log_test.rs"]
mod tests;
