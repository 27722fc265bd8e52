//! What is counted while it runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Descriptions of defects that are kept; the others are only counted.
const DEFECTS_TOLD: usize = 40;

#[derive(Default)]
pub struct Tally {
    pub operations: AtomicU64,
    pub failed: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By what was done: how often, and the longest in one system call.
    by_kind: BTreeMap<&'static str, (u64, Duration)>,
    /// By errno, and whether a fault explains it.
    errors: BTreeMap<(i32, bool), u64>,
    defects: BTreeMap<&'static str, u64>,
    told: Vec<String>,
}

/// What came of it all.
pub struct Totals {
    pub by_kind: BTreeMap<&'static str, (u64, Duration)>,
    pub errors: BTreeMap<(i32, bool), u64>,
    pub defects: BTreeMap<&'static str, u64>,
    pub told: Vec<String>,
}

impl Tally {
    pub fn done(&self, kind: &'static str, longest: Duration) {
        self.operations.fetch_add(1, Ordering::Relaxed);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = inner.by_kind.entry(kind).or_default();
        *entry = (entry.0 + 1, entry.1.max(longest));
    }

    pub fn error(&self, errno: i32, is_explained: bool) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        *inner.errors.entry((errno, is_explained)).or_default() += 1;
    }

    /// Something that must never be.
    pub fn defect(&self, kind: &'static str, what: String) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        *inner.defects.entry(kind).or_default() += 1;
        if inner.told.len() < DEFECTS_TOLD {
            eprintln!("{kind}: {what}");
            inner.told.push(format!("{kind}: {what}"));
        }
    }

    pub fn totals(&self) -> Totals {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        Totals {
            by_kind: inner.by_kind.clone(),
            errors: inner.errors.clone(),
            defects: inner.defects.clone(),
            told: inner.told.clone(),
        }
    }
}
