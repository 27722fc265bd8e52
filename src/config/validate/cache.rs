//! `[cache]`, and its overrides in a scope.

use std::time::Duration;

use super::section::Section;
use crate::config::diagnostic::Diagnostic;
use crate::config::place::Place;
use crate::config::settings::CacheSettings;
use crate::config::size;

/// `max_bytes`, and where it was set.
#[derive(Debug, Clone)]
pub struct MaxBytes {
    pub bytes: u64,
    place: Option<Place>,
}

const DEFAULT_MAX_BYTES: u64 = 64 << 20;

/// The settings of `[cache]`.
pub fn whole(section: &Section<'_>) -> (CacheSettings, MaxBytes) {
    let max_bytes = match section.size("max_bytes") {
        Some((bytes, item)) => MaxBytes { bytes, place: Some(item.place.clone()) },
        None => MaxBytes { bytes: DEFAULT_MAX_BYTES, place: None },
    };
    let cache = read(section, &CacheSettings::default(), &max_bytes);
    // The default of one may not fit what is written for the other.
    if let (Some(place), None) = (&max_bytes.place, section.get("max_secret_bytes"))
        && cache.max_secret_bytes > max_bytes.bytes
    {
        section.add(
            Diagnostic::error("`max_bytes` in [cache] is less than `max_secret_bytes`, the largest value")
                .at(place.clone())
                .label(format!("expected at least {}", size::show(cache.max_secret_bytes)))
                .help("set `max_secret_bytes` as well"),
        );
    }
    (cache, max_bytes)
}

/// The settings that `[cache]` and scopes share; what is not written is as in `base`.
pub fn read(section: &Section<'_>, base: &CacheSettings, max_bytes: &MaxBytes) -> CacheSettings {
    let duration = |key, base| section.duration(key).map_or(base, |(duration, _)| duration);
    CacheSettings {
        ttl: duration("ttl", base.ttl),
        refresh_ahead: section.share("refresh_ahead").unwrap_or(base.refresh_ahead),
        max_stale: duration("max_stale", base.max_stale),
        negative_ttl: duration("negative_ttl", base.negative_ttl),
        list_ttl: duration("list_ttl", base.list_ttl),
        iam_ttl: duration("iam_ttl", base.iam_ttl),
        timeout: timeout(section).unwrap_or(base.timeout),
        calls: section.rate("calls").unwrap_or(base.calls),
        max_secret_bytes: max_secret_bytes(section, max_bytes).unwrap_or(base.max_secret_bytes),
    }
}

fn timeout(section: &Section<'_>) -> Option<Duration> {
    let (timeout, item) = section.duration("timeout")?;
    if timeout.is_zero() {
        section.refuse("timeout", item, "more than 0: no operation ends in no time");
        return None;
    }
    Some(timeout)
}

fn max_secret_bytes(section: &Section<'_>, max_bytes: &MaxBytes) -> Option<u64> {
    let (bytes, item) = section.size("max_secret_bytes")?;
    if bytes > max_bytes.bytes {
        let problem = Diagnostic::error(format!(
            "{} is more than `max_bytes`, the memory for all values",
            section.name("max_secret_bytes")
        ))
        .at(item.place.clone())
        .label(format!("expected at most {}", size::show(max_bytes.bytes)));
        section.add(match &max_bytes.place {
            Some(place) => problem.also(place.clone(), "`max_bytes` is set here"),
            None => problem
                .note(format!("`max_bytes` is {} by default; it is set in [cache]", size::show(DEFAULT_MAX_BYTES))),
        });
    }
    Some(bytes)
}
