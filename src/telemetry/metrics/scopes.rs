//! Each scope as each identity: reads, calls to the provider, and what is in memory.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::family::{Family, Labels, Value, gauge};
use crate::cache::{Call, Good, Served, ValueKey};
use crate::config::ScopeName;
use crate::tree::{Document, Namespace};

pub fn families(namespace: &Namespace, values: &[(ValueKey, Good<Document>)]) -> Vec<Family> {
    let (sources, memory) = (namespace.sources(), namespace.memory());
    let mut reads =
        Family::new("hushfs_read", "How long opens of files took that were granted, by where the value came from")
            .seconds();
    let mut calls = Family::new("hushfs_provider_calls", "Calls to the provider that have ended, by how");
    let mut latency = Family::new("hushfs_provider_call", "How long calls to the provider took").seconds();
    let mut up = Family::new("hushfs_scope_up", "Did the provider answer the last call, and take our credentials?");
    for (scope, identity, traffic) in sources.traffic() {
        let labels = labels(&scope, identity.as_deref());
        for served in Served::ALL {
            let reading = traffic.reads(served).read();
            if reading.count > 0 || served == Served::Hit {
                reads.add(with(&labels, "cache", served.as_str()), Value::Histogram(reading));
            }
        }
        for call in Call::ALL {
            let labels = with(&labels, "call", call.as_str());
            let taken = traffic.latency(call).read();
            if taken.count == 0 {
                continue;
            }
            latency.add(labels.clone(), Value::Histogram(taken));
            for (failure, count) in traffic.outcomes(call).filter(|(failure, count)| *count > 0 || failure.is_none()) {
                let outcome = failure.map_or("ok", |kind| kind.as_str());
                calls.add(with(&labels, "outcome", outcome), Value::Counter(count));
            }
        }
        if let Some(is_up) = traffic.is_up() {
            up.add(labels, gauge(u64::from(is_up)));
        }
    }

    let mut answered =
        Family::new("hushfs_scope_last_answer_timestamp", "When the provider last answered anything, since 1970")
            .seconds();
    let mut latest: BTreeMap<Labels, SystemTime> = BTreeMap::new();
    for source in sources.all() {
        let Some(answer) = source.last_answer() else { continue };
        let known = latest.entry(labels(&source.scope.name, sources.label(source.identity))).or_insert(answer);
        *known = answer.max(*known);
    }
    for (labels, time) in latest {
        answered.add(labels, Value::Gauge(since_1970(time)));
    }

    let mut held: BTreeMap<Labels, (u64, Duration)> = BTreeMap::new();
    for scope in sources.own().keys() {
        held.insert(labels(scope, None), (0, Duration::ZERO));
    }
    for (key, good) in values {
        let (count, oldest) = held.entry(labels(&key.at.scope, sources.label(key.at.identity))).or_default();
        *count += 1;
        *oldest = memory.age(good).max(*oldest);
    }
    let mut count = Family::new("hushfs_cached_values", "Values in memory");
    let mut age =
        Family::new("hushfs_oldest_value_age", "How long ago the oldest value in memory was fetched").seconds();
    for (labels, (values, oldest)) in held {
        if values > 0 {
            age.add(labels.clone(), Value::Gauge(oldest.as_secs_f64()));
        }
        count.add(labels, gauge(values));
    }
    vec![reads, calls, latency, up, answered, count, age]
}

/// `identity` is empty, which is as if it were not there, for the scope's own.
pub fn labels(scope: &ScopeName, identity: Option<&str>) -> Labels {
    vec![("scope", scope.to_string()), ("identity", identity.unwrap_or_default().to_owned())]
}

fn with(labels: &Labels, name: &'static str, value: &str) -> Labels {
    labels.iter().cloned().chain([(name, value.to_owned())]).collect()
}

/// In seconds; 0 for what was before.
pub fn since_1970(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
