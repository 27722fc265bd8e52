//! What the daemon tells of itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::protocol::{
    AgeStatus, AuditStatus, BudgetStatus, CacheStatus, CallStatus, ErrorStatus, LeftOut, ReadStatus, Response,
    ScopeStatus, SinkStatus, Status, Who,
};
use super::who;
use crate::access::audit::SinkReport;
use crate::cache::{BudgetReport, Call, Good, Remembered, Served, Source, Traffic, ValueKey, rfc3339};
use crate::fs::Operations;
use crate::provider::{Identity, VersionSelector};
use crate::tree::Document;

/// Where `hushfs status` gets its answers.
pub struct Reporter {
    pub operations: Arc<Operations>,
    pub mountpoint: PathBuf,
    pub started: SystemTime,
    /// It goes on with the mount of an earlier daemon.
    pub had_predecessor: bool,
    pub max_bytes: u64,
    pub allow_other: bool,
}

impl Reporter {
    pub fn status(&self) -> Status {
        let namespace = self.operations.namespace();
        let memory = namespace.memory();
        let values = memory.values();
        let scopes: Vec<_> = namespace.sources().all().iter().map(|source| self.scope(source, &values)).collect();
        let bytes = values.iter().map(|(_, good)| good.value.weight() as u64).sum();
        let counters = memory.counters();
        let locked = crate::secret::usage();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            mountpoint: self.mountpoint.display().to_string(),
            started: rfc3339(self.started),
            open: self.operations.open_handles(),
            inodes: self.operations.inodes.count(),
            tasks: tokio::runtime::Handle::try_current().map_or(0, |runtime| runtime.metrics().num_alive_tasks()),
            cache: CacheStatus {
                values: values.len() as u64,
                bytes,
                max_bytes: self.max_bytes,
                hits: load(&counters.hits),
                misses: load(&counters.misses),
                stale: load(&counters.stale),
                memory_mapped: locked.mapped,
                memory_unlocked: locked.unlocked,
                memory_all_locked: crate::sandbox::is_never_swapped(),
            },
            audit: self.audit(),
            sandbox: crate::sandbox::layers().to_vec(),
            scopes,
        }
    }

    /// Why somebody may or may not have something.
    pub async fn why(&self, names: Vec<String>, who: Who, peer: Option<i32>) -> Response {
        let evidence = match tokio::task::spawn_blocking(move || who::evidence(&who, peer)).await {
            Ok(Ok(evidence)) => evidence,
            Ok(Err(why)) => return Response::NoSuch { why },
            Err(_) => return Response::NoSuch { why: "looking the caller up was broken off".to_owned() },
        };
        let path = names.join("/");
        let names: Vec<OsString> = names.into_iter().map(OsString::from).collect();
        match self.operations.why(evidence, &names, self.allow_other).await {
            Some(explanation) => Response::Why(Box::new(explanation)),
            None => Response::NoSuch { why: format!("no file is ever called {path:?} in this mount") },
        }
    }

    fn audit(&self) -> AuditStatus {
        let log = self.operations.audit();
        let sinks = log.sinks().into_iter().map(|SinkReport { sink, written, lost, failing }| SinkStatus {
            sink: sink.to_owned(),
            written,
            lost,
            failing,
        });
        AuditStatus { sinks: sinks.collect(), overflow: log.overflow() }
    }

    fn scope(&self, source: &Source, values: &[(ValueKey, Good<Document>)]) -> ScopeStatus {
        let memory = self.operations.namespace().memory();
        let name = &source.scope.name;
        let mine = || {
            let is_mine = |key: &ValueKey| {
                (key.generation, &key.at.scope, key.at.identity) == (source.generation, name, source.identity)
            };
            values.iter().filter(move |(key, _)| is_mine(key))
        };
        let listing = memory.known_listing(source);
        let mut left_out = Vec::new();
        if let Some(listing) = &listing {
            left_out.extend(listing.value.left_out.iter().map(|(name, why)| entry(name.clone(), why)));
        }
        for (key, good) in mine().filter(|(key, _)| key.version == VersionSelector::Current) {
            let of = key.at.path.name();
            left_out.extend(good.value.keys.left_out().iter().map(|(key, why)| entry(format!("{of}: {key}"), why)));
        }
        let mut seconds: Vec<u64> = mine().map(|(_, good)| memory.age(good).as_secs()).collect();
        seconds.sort_unstable();
        let (policy, now) = (source.values(), memory.now());
        let ages = match (seconds.first(), seconds.get(seconds.len().saturating_sub(1) / 2), seconds.last()) {
            (Some(newest), Some(median), Some(oldest)) => Some(AgeStatus {
                newest: *newest,
                median: *median,
                oldest: *oldest,
                past_ttl: mine().filter(|(_, good)| good.outdated || good.fresh_until(&policy) <= now).count(),
            }),
            _ => None,
        };
        ScopeStatus {
            name: name.to_string(),
            identity: self.operations.namespace().sources().label(source.identity).map(str::to_owned),
            user: match source.identity {
                Identity::Own => None,
                Identity::Other { user, .. } => user,
            },
            provider: source.kind().to_owned(),
            last_answer: source.last_answer().map(rfc3339),
            last_error: source.last_error().map(|last| ErrorStatus {
                kind: last.error.kind.as_str().to_owned(),
                detail: last.error.detail,
                at: rfc3339(last.at),
            }),
            calls: CallStatus {
                list: load(&source.calls.list),
                look: load(&source.calls.look),
                fetch: load(&source.calls.fetch),
                iam: load(&source.calls.iam),
                errors: load(&source.calls.errors),
                mean_ms: mean_ms(&source.traffic),
            },
            budget: budget(source.budget.report()),
            up: source.traffic.is_up(),
            reads: ReadStatus {
                hit: source.traffic.reads(Served::Hit).count(),
                miss: source.traffic.reads(Served::Miss).count(),
                stale: source.traffic.reads(Served::Stale).count(),
            },
            failures: failures(&source.traffic),
            listed: listing.map(|listing| listing.value.secrets),
            values: mine().count(),
            oldest: ages.as_ref().map(|ages| ages.oldest),
            ages,
            left_out,
        }
    }
}

fn entry(name: String, why: &str) -> LeftOut {
    LeftOut { name, why: why.to_owned() }
}

fn budget(report: BudgetReport) -> BudgetStatus {
    BudgetStatus {
        limit: report.rate.map(|rate| rate.to_string()),
        left: report.left,
        refused: report.refused,
        throttled_until: report.throttled_until.map(rfc3339),
        recovering: report.is_careful,
    }
}

fn failures(traffic: &Traffic) -> BTreeMap<String, u64> {
    let mut failures = BTreeMap::new();
    for (kind, count) in Call::ALL.into_iter().flat_map(|call| traffic.outcomes(call)) {
        if let Some(kind) = kind
            && count > 0
        {
            *failures.entry(kind.as_str().to_owned()).or_default() += count;
        }
    }
    failures
}

fn mean_ms(traffic: &Traffic) -> Option<f64> {
    let readings = Call::ALL.map(|call| traffic.latency(call).read());
    let count: u64 = readings.iter().map(|reading| reading.count).sum();
    let seconds: f64 = readings.iter().map(|reading| reading.sum).sum();
    (count > 0).then(|| seconds * 1000.0 / count as f64)
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
