//! The daemon as a whole: requests, the cache, memory, the audit log.

use std::sync::atomic::Ordering;

use super::family::{Family, Value, gauge};
use crate::access::audit::SinkReport;
use crate::cache::{Good, Remembered, ValueKey};
use crate::fs::Operations;
use crate::tree::Document;

pub fn families(operations: &Operations, values: &[(ValueKey, Good<Document>)]) -> Vec<Family> {
    let mut built = Family::new("hushfs_build_info", "The version that runs; always 1");
    built.add(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], gauge(1_u64));

    let mut requests = Family::new("hushfs_requests", "Requests of the kernel that were answered, by their answer");
    for (request, errno, count) in operations.tally.all() {
        let errno = errno.unwrap_or("OK").to_owned();
        requests.add(vec![("request", request.as_str().to_owned()), ("errno", errno)], Value::Counter(count));
    }

    let counters = operations.namespace().memory().counters();
    let mut lookups = Family::new(
        "hushfs_cache_lookups",
        "How often memory was asked for a value, by what it had; one read of a file asks several times",
    );
    for (result, count) in [("hit", &counters.hits), ("miss", &counters.misses), ("stale", &counters.stale)] {
        lookups.add(vec![("result", result.to_owned())], Value::Counter(count.load(Ordering::Relaxed)));
    }
    let bytes: u64 = values.iter().map(|(_, good)| good.value.weight() as u64).sum();
    let locked = crate::secret::usage();

    let mut written = Family::new("hushfs_audit_records", "Audit records that were written");
    let mut lost = Family::new("hushfs_audit_lost_records", "Audit records that this sink did not get");
    for SinkReport { sink, written: count, lost: missing, .. } in operations.audit().sinks() {
        written.add(vec![("sink", sink.to_owned())], Value::Counter(count));
        lost.add(vec![("sink", sink.to_owned())], Value::Counter(missing));
    }

    vec![
        built,
        requests,
        lookups,
        Family::new("hushfs_cache_size", "Memory that values take").bytes().only(gauge(bytes)),
        Family::new("hushfs_cache_limit", "Memory that values may take: max_bytes, or less where less can be locked")
            .bytes()
            .only(gauge(operations.namespace().memory().max_bytes())),
        Family::new("hushfs_locked_memory", "Memory set aside for values, which the kernel was asked to lock")
            .bytes()
            .only(gauge(locked.mapped)),
        Family::new("hushfs_unlocked_memory", "Of that, what the kernel refused to lock: it could be swapped out")
            .bytes()
            .only(gauge(locked.unlocked)),
        Family::new("hushfs_open_handles", "Files and directories that are open")
            .only(gauge(operations.open_handles())),
        Family::new("hushfs_inodes", "Files and directories that the kernel remembers")
            .only(gauge(operations.inodes.count())),
        written,
        lost,
        Family::new(
            "hushfs_audit_overflow_records",
            "Audit records that found the queue full and are in no sink's count yet",
        )
        .only(gauge(operations.audit().overflow())),
    ]
}
