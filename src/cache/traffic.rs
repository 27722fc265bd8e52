//! What went on between readers, a scope and its provider since the start, as numbers without names.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use crate::provider::{Error, ErrorKind};
use crate::telemetry::Histogram;

/// What a provider is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    List,
    Look,
    Fetch,
    /// What an identity may do.
    Permissions,
    /// Who it takes us for.
    Whoami,
}

impl Call {
    pub const ALL: [Self; 5] = [Self::List, Self::Look, Self::Fetch, Self::Permissions, Self::Whoami];

    /// As status and metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Look => "look",
            Self::Fetch => "fetch",
            Self::Permissions => "permissions",
            Self::Whoami => "whoami",
        }
    }
}

/// Where what a reader got came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// From memory.
    Hit,
    /// Fetched for this read.
    Miss,
    /// From memory, past its ttl: the provider cannot be reached.
    Stale,
}

impl Served {
    pub const ALL: [Self; 3] = [Self::Hit, Self::Miss, Self::Stale];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
        }
    }
}

/// Whether the last call was of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Health {
    Unknown,
    Up,
    Down,
}

/// One kind of call: how each ended, and how long it took.
#[derive(Debug, Default)]
struct Calls {
    ok: AtomicU64,
    /// In the order of [`ErrorKind::ALL`].
    failed: [AtomicU64; ErrorKind::ALL.len()],
    latency: Histogram,
}

/// Counts of one scope as one identity.
#[derive(Debug)]
pub struct Traffic {
    calls: [Calls; Call::ALL.len()],
    reads: [Histogram; Served::ALL.len()],
    health: AtomicU8,
}

impl Default for Traffic {
    fn default() -> Self {
        Self { calls: Default::default(), reads: Default::default(), health: AtomicU8::new(Health::Unknown as u8) }
    }
}

impl Traffic {
    /// A call has ended, `took` after it was to be made: waiting in line included.
    pub fn called(&self, call: Call, outcome: Result<(), &Error>, took: Duration) {
        let calls = &self.calls[call as usize];
        calls.latency.observe(took);
        match outcome {
            Ok(()) => calls.ok.fetch_add(1, Ordering::Relaxed),
            Err(error) => {
                calls.failed.get(error.kind as usize).map_or(0, |count| count.fetch_add(1, Ordering::Relaxed))
            }
        };
        let health = match outcome.map_err(|error| error.kind) {
            // What is refused or not there was answered all the same.
            Ok(()) | Err(ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::TooLarge | ErrorKind::Malformed) => {
                Health::Up
            }
            Err(
                ErrorKind::CredentialsRejected | ErrorKind::Throttled | ErrorKind::Unreachable | ErrorKind::TimedOut,
            ) => Health::Down,
            // That is of this host.
            Err(ErrorKind::NoMemory) => return,
        };
        self.health.store(health as u8, Ordering::Relaxed);
    }

    /// Somebody has opened a file and got it, `took` after they asked.
    pub fn read(&self, served: Served, took: Duration) {
        self.reads[served as usize].observe(took);
    }

    /// Calls of a kind that ended well, and those that failed for each reason.
    pub fn outcomes(&self, call: Call) -> impl Iterator<Item = (Option<ErrorKind>, u64)> {
        let calls = &self.calls[call as usize];
        let failed = ErrorKind::ALL.iter().zip(&calls.failed).map(|(kind, count)| (Some(*kind), count));
        [(None, &calls.ok)].into_iter().chain(failed).map(|(kind, count)| (kind, count.load(Ordering::Relaxed)))
    }

    /// How long calls of a kind took.
    pub fn latency(&self, call: Call) -> &Histogram {
        &self.calls[call as usize].latency
    }

    /// How long opens took, by where they were answered from.
    pub fn reads(&self, served: Served) -> &Histogram {
        &self.reads[served as usize]
    }

    /// Did the provider answer the last call and accept our credentials? None before the first.
    pub fn is_up(&self) -> Option<bool> {
        match self.health.load(Ordering::Relaxed) {
            health if health == Health::Up as u8 => Some(true),
            health if health == Health::Down as u8 => Some(false),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_where_it_is_read() {
        for (number, kind) in (1..).zip(ErrorKind::ALL) {
            let traffic = Traffic::default();
            for _ in 0..number {
                traffic.called(Call::Fetch, Err(&Error::new(kind, "")), Duration::from_millis(1));
            }
            let counted: Vec<_> = traffic.outcomes(Call::Fetch).filter(|(_, count)| *count > 0).collect();
            assert_eq!(counted, [(Some(kind), number)]);
            assert_eq!(traffic.latency(Call::Fetch).count(), number);
        }
        for call in Call::ALL {
            let traffic = Traffic::default();
            traffic.called(call, Ok(()), Duration::ZERO);
            let counted = Call::ALL.into_iter().filter(|it| traffic.latency(*it).count() > 0).collect::<Vec<_>>();
            assert_eq!(counted, [call]);
        }
        for served in Served::ALL {
            let traffic = Traffic::default();
            traffic.read(served, Duration::ZERO);
            let counted = Served::ALL.into_iter().filter(|it| traffic.reads(*it).count() > 0).collect::<Vec<_>>();
            assert_eq!(counted, [served]);
        }
    }

    #[test]
    fn a_scope_is_up_while_its_provider_answers_and_takes_our_credentials() {
        let traffic = Traffic::default();
        assert_eq!(traffic.is_up(), None);
        let after = |kind: Option<ErrorKind>| {
            let error = kind.map(|kind| Error::new(kind, ""));
            traffic.called(Call::Look, error.as_ref().map_or(Ok(()), Err), Duration::ZERO);
            traffic.is_up()
        };
        assert_eq!(after(Some(ErrorKind::Unreachable)), Some(false));
        assert_eq!(after(Some(ErrorKind::NotFound)), Some(true));
        assert_eq!(after(Some(ErrorKind::CredentialsRejected)), Some(false));
        assert_eq!(after(Some(ErrorKind::NoMemory)), Some(false), "of this host: says nothing of the provider");
        assert_eq!(after(None), Some(true));
    }
}
