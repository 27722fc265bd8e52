//! What is there, and the rules for what readers may be told of it.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::faults::{Faults, felt_since};
use super::history::{Secret, before};
use super::tally::Tally;

pub const TTL: Duration = Duration::from_secs(2);
pub const MAX_STALE: Duration = Duration::from_secs(15);
pub const NEGATIVE_TTL: Duration = Duration::from_secs(1);
pub const LIST_TTL: Duration = Duration::from_secs(3);
pub const TIMEOUT: Duration = Duration::from_secs(3);
/// For a machine that has other things to do.
pub const SLACK: Duration = Duration::from_secs(3);
/// So long after a fault has gone it may still be felt where a value is asked for.
const AFTER_A_FAULT: Duration = TIMEOUT.saturating_add(NEGATIVE_TTL).saturating_add(SLACK);
/// A listing may take many calls, and so is given more time; readers wait for `TIMEOUT` all the same.
const AFTER_A_FAULT_OF_LISTINGS: Duration = TIMEOUT.saturating_mul(12).saturating_add(SLACK);

pub struct World {
    pub mnt: PathBuf,
    pub secrets: Vec<Secret>,
    pub faults: Faults,
    pub tally: Tally,
    pub stop: AtomicBool,
    pub began: Instant,
}

/// What was asked, for the rules about its failure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Value,
    /// A version by its name: the provider need not keep it.
    Version,
    Listing,
}

impl World {
    /// Is a version one that a reader may get who came and was answered at these moments?
    pub fn judge_version(&self, what: &str, secret: &Secret, version: u64, came: Instant, answered: Instant) {
        let oldest = self.oldest(secret, came, answered);
        if version < oldest {
            let late = format!("{what} of {}: version {version}, and {oldest} is the oldest allowed", secret.place());
            self.tally.defect("too old", late);
        }
        if version > secret.newest_begun(answered) {
            self.tally.defect("wrong bytes", format!("{what} of {}: {version} is not written yet", secret.place()));
        }
    }

    /// The oldest version that a reader may get.
    pub fn oldest(&self, secret: &Secret, came: Instant, answered: Instant) -> u64 {
        let fresh = TTL + TIMEOUT + SLACK;
        let is_outage = self.faults.any(secret.scope, felt_since(came, fresh + NEGATIVE_TTL), answered);
        let age = if is_outage { fresh + MAX_STALE } else { fresh };
        secret.newest_done(before(came, age))
    }

    /// Is there a fault, or was there one so shortly before that what is stale may be served?
    pub fn may_be_stale(&self, secret: &Secret, came: Instant, answered: Instant) -> bool {
        self.faults.any(secret.scope, felt_since(came, AFTER_A_FAULT), answered)
    }

    /// Was it gone, or so shortly before that whoever came may still be told so?
    pub fn may_miss(&self, secret: &Secret, came: Instant) -> bool {
        let known_for = TTL + LIST_TTL + TIMEOUT + NEGATIVE_TTL + SLACK + MAX_STALE;
        secret.may_be_gone(before(came, known_for), Instant::now())
    }

    /// Counts a failure, and whether what is known of that time explains it.
    pub fn judge_error(&self, what: &str, asked: Asked, secret: &Secret, error: &io::Error, came: Instant) {
        let now = Instant::now();
        let Some(errno) = error.raw_os_error() else {
            return self.tally.defect("wrong bytes", format!("{what} of {}: {error}", secret.place()));
        };
        let margin = match asked {
            Asked::Value | Asked::Version => AFTER_A_FAULT,
            Asked::Listing => AFTER_A_FAULT_OF_LISTINGS,
        };
        let from = felt_since(came, margin);
        let is_missing = errno == libc::ENOENT && (asked == Asked::Version || self.may_miss(secret, came));
        let is_explained = is_missing || self.faults.explain(secret.scope, errno, from, now);
        self.tally.error(errno, is_explained);
        if !is_explained {
            let at = self.began.elapsed().as_secs_f64();
            self.tally.defect("unexplained error", format!("{what} of {} at {at:.1} s: {error}", secret.place()));
        }
    }
}
