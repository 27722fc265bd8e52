//! The one thread that writes to the sinks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use super::ack::Ack;
use super::json;
use super::outlet::Outlet;
use super::record::{Event, Outcome, Record};

/// How long a sink that works is waited for when its record is not required. One that fails is not.
const PATIENCE: Duration = Duration::from_millis(200);

/// How often a sink that lacks records is tried while there is nothing to write.
const TRY_AGAIN: Duration = Duration::from_secs(1);

pub enum Message {
    Record(Box<Job>),
    /// Look anew for what the sinks' names mean.
    Reopen,
    /// Everything before this is written, or lost. Answers how many lost records the sinks do not know of.
    Finish(SyncSender<u64>),
}

pub struct Job {
    pub record: Record,
    pub ack: Arc<Ack>,
    pub deadline: Instant,
}

/// What the callers' side and the writer's thread share.
#[derive(Default)]
pub struct Shared {
    /// Records that found the queue full.
    pub overflow: AtomicU64,
    /// The writer has not been heard of for longer than a caller would wait.
    pub late: AtomicBool,
}

pub struct Writer {
    pub outlets: Vec<Outlet>,
    pub required: bool,
    pub shared: Arc<Shared>,
}

impl Writer {
    /// Ends when the log is dropped and the queue is empty.
    pub fn run(mut self, queue: &Receiver<Message>) {
        loop {
            let message = match queue.recv_timeout(TRY_AGAIN) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => {
                    self.report_gaps(Instant::now());
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            self.take_overflow();
            match message {
                Message::Record(job) => self.write(*job),
                Message::Reopen => self.outlets.iter_mut().for_each(Outlet::reopen),
                Message::Finish(done) => {
                    self.report_gaps(Instant::now() + PATIENCE);
                    let _ = done.try_send(self.outlets.iter().map(Outlet::unreported).sum());
                }
            }
            self.shared.late.store(false, Relaxed);
        }
        self.report_gaps(Instant::now());
    }

    fn write(&mut self, Job { record, ack, deadline }: Job) {
        if self.required && ack.is_abandoned() {
            // The read was refused long ago; the record must not say otherwise.
            let refused = Event::Decision(Box::new(record.refused("the record could not be written in time")));
            let _ = self.put(&refused, Instant::now());
            return;
        }
        let was_allowed = record.outcome == Outcome::Allow;
        let event = Event::Decision(Box::new(record));
        let written = self.put(&event, deadline);
        let failed = written.as_ref().err().cloned();
        let heard = ack.deliver(written);

        let Event::Decision(record) = event else { return };
        if self.required && was_allowed && !(heard && failed.is_none()) {
            // Some sinks say that the caller got it.
            let why = failed.unwrap_or_else(|| "the record could not be written in time".to_owned());
            let _ = self.put(&Event::Decision(Box::new(record.refused(&why))), Instant::now());
        }
    }

    /// Writes to every sink, whatever the others do.
    fn put(&mut self, event: &Event, deadline: Instant) -> Result<(), String> {
        let mut line = json::of(event);
        line.push(b'\n');
        let mut failures = Vec::new();
        for outlet in &mut self.outlets {
            let until = match (self.required, outlet.is_failing()) {
                (true, _) => deadline,
                (false, true) => Instant::now(),
                (false, false) => deadline.min(Instant::now() + PATIENCE),
            };
            failures.extend(outlet.write(event, &line, until).err());
        }
        if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
    }

    fn take_overflow(&mut self) {
        let count = self.shared.overflow.swap(0, Relaxed);
        if count > 0 {
            for outlet in &mut self.outlets {
                outlet.lose(count, "the queue of records was full");
            }
        }
    }

    fn report_gaps(&mut self, until: Instant) {
        self.take_overflow();
        for outlet in &mut self.outlets {
            // It stays counted, and is tried again.
            let _ = outlet.report_gap(until);
        }
    }
}
