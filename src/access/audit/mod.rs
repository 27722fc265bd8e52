//! Who asked for what, and what was answered: one line of JSON per decision, written before the bytes leave.
//!
//! 1. [`Record`] is what is known of one decision; `json` makes a line of it. The fields are documented in
//!    `docs/audit.md` and promised by `docs/audit.schema.json`.
//! 2. [`AuditLog::write`] queues it and waits, never beyond the caller's deadline, until it is written (`ack`).
//! 3. One thread (`writer`) writes to every sink (`file`, `journald`, `stderr`) and keeps count, sink by sink
//!    (`outlet`), of what could not be written.
//!
//! What must stay true: no sink, however slow, holds a thread that serves the kernel; a record that a sink did
//! not get is counted, and the sink is told of the count as soon as it works again; with `required` nobody
//! gets a value whose record is not in every sink, and no sink is left saying otherwise.

mod ack;
mod file;
mod journald;
mod json;
mod log;
mod outlet;
mod put;
mod record;
#[cfg(test)]
mod schema_test;
mod sink;
mod stderr;
#[cfg(test)]
mod test_sinks;
mod writer;

pub use file::open as open_file;
pub use log::{AuditError, AuditLog};
pub use outlet::SinkReport;
pub use record::{Action, Cache, Outcome, Record, text};
