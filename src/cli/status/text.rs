//! The status as people read it.

use std::fmt::Write;

use super::rates::{Before, hit_rate};
use crate::control::{AgeStatus, ScopeStatus, Status};
use crate::words::{counted, escaped};

/// A count of a scope, and what it counts.
type Count = (fn(&ScopeStatus) -> u64, &'static str);

const READS: &[Count] = &[
    (|scope| scope.reads.hit, "from memory"),
    (|scope| scope.reads.miss, "fetched"),
    (|scope| scope.reads.stale, "stale"),
];
const CALLS: &[Count] = &[
    (|scope| scope.calls.list, "list"),
    (|scope| scope.calls.look, "look"),
    (|scope| scope.calls.fetch, "fetch"),
    (|scope| scope.calls.iam, "about permissions"),
];

/// With how fast counts have grown since an earlier look.
pub fn for_people(status: &Status, before: Option<&Before<'_>>) -> String {
    let mut text = String::new();
    let cache = &status.cache;
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "hushfs {} at {}, pid {}, since {}",
        escaped(&status.version),
        escaped(&status.mountpoint),
        status.pid,
        escaped(&status.started)
    );
    let _ = writeln!(
        text,
        "cache: {}, {} of {} bytes; {}, {}, {} stale",
        counted(cache.values, "value"),
        cache.bytes,
        cache.max_bytes,
        counted(cache.hits, "hit"),
        counted(cache.misses, "miss"),
        cache.stale
    );
    let _ = writeln!(text, "open: {} files and directories", status.open);
    if cache.memory_unlocked > 0 {
        let _ = writeln!(text, "WARNING: {} bytes for values could not be locked in memory", cache.memory_unlocked);
    }
    for layer in &status.sandbox {
        let detail = if layer.detail.is_empty() { String::new() } else { format!(" ({})", escaped(&layer.detail)) };
        let _ = writeln!(text, "sandbox: {} {}{detail}", escaped(&layer.name), layer.state.as_str());
    }
    for sink in &status.audit.sinks {
        let name = escaped(&sink.sink);
        let _ = writeln!(text, "audit to {name}: {} written, {} lost", sink.written, sink.lost);
        if let Some(why) = &sink.failing {
            let _ = writeln!(text, "WARNING: audit records cannot be written to {name}: {}", escaped(why));
        }
    }
    if status.audit.overflow > 0 {
        let records = counted(status.audit.overflow, "audit record");
        let _ = writeln!(text, "WARNING: {records} found the queue full");
    }
    for scope in &status.scopes {
        text.push('\n');
        describe(&mut text, scope, before);
    }
    text
}

fn describe(text: &mut String, scope: &ScopeStatus, before: Option<&Before<'_>>) {
    let then = before.and_then(|before| before.scope(scope));
    let grown = |count: fn(&ScopeStatus) -> u64| match (before, then) {
        (Some(before), Some(then)) => before.growth(count(then), count(scope)),
        _ => String::new(),
    };
    let answered = escaped(scope.last_answer.as_deref().unwrap_or("never"));
    let user = scope.user.map_or_else(String::new, |uid| format!(" for uid {uid}"));
    let identity = scope.identity.as_ref().map_or_else(String::new, |name| format!(" as {}{user}", escaped(name)));
    let health = match scope.up {
        Some(true) => "up, ",
        Some(false) => "DOWN, ",
        None => "",
    };
    let (name, provider) = (escaped(&scope.name), escaped(&scope.provider));
    let _ = writeln!(text, "{name} ({provider}){identity}: {health}last answer {answered}");
    // Each count with how it has grown.
    let row = |counts: &[Count]| -> Vec<String> {
        let shown = |(count, what): &Count| format!("{} {what}{}", count(scope), grown(*count));
        counts.iter().map(shown).collect()
    };
    let share = hit_rate(scope.reads.hit, scope.reads.miss.saturating_add(scope.reads.stale));
    let share = share.map_or_else(String::new, |percent| format!("; {percent:.1}% of all fresh from memory"));
    let _ = writeln!(text, "  reads: {}{share}", row(READS).join(", "));
    let calls = row(CALLS).join(", ");
    let errors = counted(scope.calls.errors, "error") + &grown(|scope| scope.calls.errors);
    let each = scope.calls.mean_ms.map_or_else(String::new, |mean| format!("; {mean:.1} ms each"));
    let _ = writeln!(text, "  calls: {calls}; {errors}{each}");
    if !scope.failures.is_empty() {
        let failures: Vec<String> = scope.failures.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let _ = writeln!(text, "  failed: {}", escaped(&failures.join(", ")));
    }
    let budget = &scope.budget;
    if let (Some(limit), Some(left)) = (&budget.limit, budget.left) {
        let _ = writeln!(
            text,
            "  call budget: {}, {left} left at present; {} not made",
            escaped(limit),
            counted(budget.refused, "call")
        );
    }
    if let Some(until) = &budget.throttled_until {
        let _ = writeln!(text, "  WARNING: throttled by the provider, no call before {}", escaped(until));
    } else if budget.recovering {
        let _ = writeln!(text, "  throttled by the provider a moment ago: calls start again a few at a time");
    }
    let listed = scope.listed.map_or_else(|| "not listed yet".to_owned(), |count| format!("{count} listed"));
    let ages = scope.ages.as_ref().map_or_else(String::new, |AgeStatus { newest, median, oldest, past_ttl }| {
        let past = if *past_ttl > 0 { format!(", {past_ttl} past their ttl") } else { String::new() };
        format!(", {newest} to {oldest} s old, half of them up to {median} s{past}")
    });
    let values = counted(scope.values, "value");
    let _ = writeln!(text, "  secrets: {listed}, {values} in memory{ages}");
    if let Some(error) = &scope.last_error {
        let (at, kind, detail) = (escaped(&error.at), escaped(&error.kind), escaped(&error.detail));
        let _ = writeln!(text, "  last error at {at} ({kind}): {detail}");
    }
    for left_out in &scope.left_out {
        let _ = writeln!(text, "  not shown: {}: {}", escaped(&left_out.name), escaped(&left_out.why));
    }
}
