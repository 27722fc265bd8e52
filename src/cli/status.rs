//! `hushfs status`: what the daemon tells of itself.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{Failure, Status as Exit, configuration, print};
use crate::config::Source;
use crate::control::{self, Request, Response, ScopeStatus, Status};

/// Show scopes, providers' health, the cache and what could not be shown
#[derive(Debug, clap::Args)]
pub struct StatusCommand {
    /// The mount to ask about, instead of the configured mountpoint
    #[arg(long, value_name = "DIR")]
    mountpoint: Option<PathBuf>,
    /// For machines
    #[arg(long)]
    json: bool,
}

impl StatusCommand {
    pub fn run(self, source: &Source) -> Result<ExitCode, Failure> {
        let mountpoint = match self.mountpoint {
            Some(mountpoint) => mountpoint,
            None => configuration(source)?.mountpoint,
        };
        let answer = control::ask(&mountpoint, &Request::Status)?;
        let Response::Status(status) = answer else {
            return Err(Failure::new(Exit::Software, "the daemon answered another question"));
        };
        let text = if self.json {
            let json = serde_json::to_string_pretty(&status);
            json.map_err(|error| Failure::new(Exit::Software, error.to_string()))? + "\n"
        } else {
            for_people(&status)
        };
        print(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn for_people(status: &Status) -> String {
    let mut text = String::new();
    let cache = &status.cache;
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "hushfs {} at {}, pid {}, since {}",
        status.version, status.mountpoint, status.pid, status.started
    );
    let _ = writeln!(
        text,
        "cache: {} values, {} of {} bytes; {} hits, {} misses, {} stale",
        cache.values, cache.bytes, cache.max_bytes, cache.hits, cache.misses, cache.stale
    );
    if cache.memory_unlocked > 0 {
        let _ = writeln!(text, "WARNING: {} bytes for values could not be locked in memory", cache.memory_unlocked);
    }
    for sink in &status.audit.sinks {
        let _ = writeln!(text, "audit to {}: {} written, {} lost", sink.sink, sink.written, sink.lost);
        if let Some(why) = &sink.failing {
            let _ = writeln!(text, "WARNING: audit records cannot be written to {}: {}", sink.sink, escaped(why));
        }
    }
    if status.audit.overflow > 0 {
        let _ = writeln!(text, "WARNING: {} audit records found the queue full", status.audit.overflow);
    }
    for scope in &status.scopes {
        text.push('\n');
        describe(&mut text, scope);
    }
    text
}

fn describe(text: &mut String, scope: &ScopeStatus) {
    let answered = scope.last_answer.as_deref().unwrap_or("never");
    let user = scope.user.map_or_else(String::new, |uid| format!(" for uid {uid}"));
    let identity = scope.identity.as_ref().map_or_else(String::new, |name| format!(" as {}{user}", escaped(name)));
    let _ = writeln!(text, "{} ({}){identity}: last answer {answered}", scope.name, scope.provider);
    let calls = &scope.calls;
    let _ = writeln!(
        text,
        "  calls: {} list, {} look, {} fetch, {} about permissions; {} errors",
        calls.list, calls.look, calls.fetch, calls.iam, calls.errors
    );
    let budget = &scope.budget;
    if let (Some(limit), Some(left)) = (&budget.limit, budget.left) {
        let _ = writeln!(text, "  call budget: {limit}, {left} left at present; {} calls not made", budget.refused);
    }
    if let Some(until) = &budget.throttled_until {
        let _ = writeln!(text, "  WARNING: throttled by the provider, no call before {until}");
    } else if budget.recovering {
        let _ = writeln!(text, "  throttled by the provider a moment ago: calls start again a few at a time");
    }
    let listed = scope.listed.map_or_else(|| "not listed yet".to_owned(), |count| format!("{count} listed"));
    let oldest = scope.oldest.map_or_else(String::new, |age| format!(", the oldest {age} s old"));
    let _ = writeln!(text, "  secrets: {listed}, {} values in memory{oldest}", scope.values);
    if let Some(error) = &scope.last_error {
        let _ = writeln!(text, "  last error at {} ({}): {}", error.at, error.kind, escaped(&error.detail));
    }
    for left_out in &scope.left_out {
        let _ = writeln!(text, "  not shown: {}: {}", escaped(&left_out.name), escaped(&left_out.why));
    }
}

/// Names come from providers and may hold what a terminal would obey.
pub(super) fn escaped(name: &str) -> String {
    name.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}
