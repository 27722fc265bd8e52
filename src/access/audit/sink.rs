//! A place for lines.

use std::io;
use std::time::Instant;

use super::record::Event;

/// An event, and the line that says it.
pub struct Entry<'a> {
    pub event: &'a Event,
    /// The line with its end.
    pub line: &'a [u8],
}

/// Where the writer's thread puts lines. Nothing in it waits past `until`, unless the kernel itself does.
pub trait Sink: Send {
    /// For messages and counts.
    fn name(&self) -> &'static str;

    /// Puts the whole entry there or fails. With an `until` that is over it is tried once.
    fn write(&mut self, entry: &Entry<'_>, until: Instant) -> io::Result<()>;

    /// Looks anew for the place that the sink's name means.
    fn reopen(&mut self) {}
}
