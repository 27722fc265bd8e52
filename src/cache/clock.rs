//! Time, as a thing that tests can turn.

use std::time::{Duration, SystemTime};

/// Where the cache reads the time.
pub trait Clock: Send + Sync + 'static {
    /// Time since some fixed point; never goes backwards, and counts time asleep.
    fn now(&self) -> Duration;

    /// The calendar's time, for people. May jump; nothing is decided by it.
    fn wall(&self) -> SystemTime;
}

/// The machine's clocks.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        // CLOCK_BOOTTIME starts at zero, so neither part is ever negative.
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A time for people and machines: RFC 3339 in UTC, to the second. Before 1970 it is the epoch, since the
/// formatter has nothing earlier.
pub fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time.max(SystemTime::UNIX_EPOCH)).to_string()
}
