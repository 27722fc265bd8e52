//! Can memory for values be locked, so that it is never swapped out?

use super::finding::Finding;
use super::swap;
use crate::cache::room_for_values;
use crate::config::Config;
use crate::control::{self, Request, Response, Status};
use crate::fs::mount::{self, State};
use crate::secret;

const NAME: &str = "memory";

pub fn check(config: &Config) -> Vec<Finding> {
    // What it may lock need not be what we may.
    if let Some(status) = status_of_daemon(config) {
        return of_status(status.cache.memory_unlocked, status.cache.max_bytes, config.max_bytes);
    }
    let lockable = secret::lockable();
    vec![of_limit(lockable, room_for_values(config, lockable), config.max_bytes, swap::is_on())]
}

/// Is all memory of the daemon locked, and not that for values alone? Where none runs, of one that we start.
pub fn is_all_locked(config: Option<&Config>) -> bool {
    let status = config.and_then(status_of_daemon);
    status.map_or_else(|| secret::lockable().is_none(), |status| status.cache.memory_all_locked)
}

/// What the daemon that runs says; None where there is none, or it does not answer us.
fn status_of_daemon(config: &Config) -> Option<Box<Status>> {
    // A mount that hangs would keep us.
    let place = mount::canonical(&config.mountpoint).ok()?;
    let State::Alive = mount::state(&place).ok()? else { return None };
    let Ok(Response::Status(status)) = control::ask(&place, &Request::Status) else { return None };
    Some(status)
}

/// `room` is for values, of `max_bytes` in the configuration.
fn of_status(unlocked: usize, room: u64, max_bytes: u64) -> Vec<Finding> {
    let mend = "LimitMEMLOCK=infinity in the unit, and: systemctl restart hushfs";
    let mut findings = Vec::new();
    if unlocked > 0 {
        findings.push(
            Finding::problem(NAME, format!("the daemon could not lock {unlocked} bytes for values"))
                .why("they could be written to swap")
                .mend(mend),
        );
    }
    if room < max_bytes {
        findings.push(
            Finding::note(NAME, format!("the daemon keeps {room} bytes of values, and not max_bytes = {max_bytes}"))
                .why("it may lock no more, or has not been told of another max_bytes; what is more is fetched anew when it is read")
                .mend(format!("{mend}; or: hushfs reload")),
        );
    }
    if findings.is_empty() {
        findings.push(Finding::ok(NAME, format!("the daemon can lock max_bytes = {max_bytes}")));
    }
    findings
}

/// `lockable` is what this process may lock, in bytes, None without a limit; so much that values may take `room`.
fn of_limit(lockable: Option<u64>, room: u64, max_bytes: u64, swap_is_on: bool) -> Finding {
    let Some(lockable) = lockable.filter(|lockable| secret::room_in(*lockable, 0).is_none_or(|fits| fits < max_bytes))
    else {
        return Finding::ok(NAME, format!("max_bytes = {max_bytes} can be locked"));
    };
    let mend = "LimitMEMLOCK=infinity in the unit; for a login, `hard memlock unlimited` in /etc/security/limits.conf";
    if room < max_bytes {
        let what = format!(
            "{lockable} bytes can be locked, so {room} bytes of values are kept, and not max_bytes = {max_bytes}"
        );
        return Finding::note(NAME, what).why("what is more is fetched anew when it is read").mend(mend);
    }
    let what = format!("only {lockable} bytes can be locked, and max_bytes is {max_bytes}");
    let mend = format!("{mend}; or smaller max_bytes and max_secret_bytes");
    if swap_is_on {
        Finding::problem(NAME, what).why("values beyond that could be written to swap, which is on").mend(mend)
    } else {
        Finding::note(NAME, what).why("as long as no swap is on, nothing follows from it").mend(mend)
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn a_daemon_that_runs_tells_what_it_could_not_lock_and_how_much_less_it_keeps() {
        for (unlocked, room, verdicts) in [
            (0, 64, &[Verdict::Ok][..]),
            (0, 3, &[Verdict::Note]),
            (4096, 64, &[Verdict::Problem]),
            (4096, 3, &[Verdict::Problem, Verdict::Note]),
        ] {
            let found: Vec<Verdict> = of_status(unlocked, room, 64).iter().map(|it| it.verdict).collect();
            assert_eq!(found, verdicts, "{unlocked} {room}");
        }
    }

    #[test]
    fn a_low_limit_matters_where_it_holds_and_there_is_swap() {
        const MIB: u64 = 1 << 20;
        for (lockable, room, swap, verdict) in [
            (None, 64, true, Verdict::Ok),
            (Some(129 * MIB), 64, true, Verdict::Ok),
            (Some(8 * MIB), 3, true, Verdict::Note),
            (Some(MIB), 64, true, Verdict::Problem),
            (Some(MIB), 64, false, Verdict::Note),
            (Some(0), 64, true, Verdict::Problem),
        ] {
            assert_eq!(of_limit(lockable, room * MIB, 64 * MIB, swap).verdict, verdict, "{lockable:?} {room} {swap}");
        }
    }
}
