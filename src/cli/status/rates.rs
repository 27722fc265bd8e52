//! How fast counts grow between two looks.

use std::time::Duration;

use crate::control::{ScopeStatus, Status};

/// An earlier look at the same daemon, and how long ago that was.
pub struct Before<'a> {
    status: &'a Status,
    ago: Duration,
}

impl<'a> Before<'a> {
    /// None where another daemon has begun to count meanwhile, or no time has passed.
    pub fn new(status: &'a Status, ago: Duration, now: &Status) -> Option<Self> {
        let is_same = status.pid == now.pid && status.started == now.started;
        (is_same && ago > Duration::ZERO).then_some(Self { status, ago })
    }

    /// The same scope, as the same identity for the same user.
    pub fn scope(&self, now: &ScopeStatus) -> Option<&'a ScopeStatus> {
        let is_same = |it: &&ScopeStatus| it.name == now.name && it.identity == now.identity && it.user == now.user;
        self.status.scopes.iter().find(is_same)
    }

    /// Such as ` (+3, 1.5/s)`; nothing where a count has not grown.
    pub fn growth(&self, before: u64, now: u64) -> String {
        match now.saturating_sub(before) {
            0 => String::new(),
            more => format!(" (+{more}, {:.1}/s)", more as f64 / self.ago.as_secs_f64()),
        }
    }
}

/// The share of reads that memory answered, in percent. None before the first.
pub fn hit_rate(hits: u64, misses: u64) -> Option<f64> {
    let all = hits.saturating_add(misses);
    (all > 0).then(|| hits as f64 * 100.0 / all as f64)
}
