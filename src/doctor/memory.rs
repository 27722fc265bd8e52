//! Can memory for values be locked, so that it is never swapped out?

use rustix::process::{Resource, getrlimit};

use super::finding::Finding;
use super::swap;
use crate::config::Config;
use crate::control::{self, Request, Response};
use crate::fs::mount::{self, State};

const NAME: &str = "memory";
/// `CAP_IPC_LOCK`: locks without a limit.
const IPC_LOCK: u32 = 14;

pub fn check(config: &Config) -> Vec<Finding> {
    let mut findings: Vec<Finding> = of_daemon(config).into_iter().collect();
    findings.push(of_limit(getrlimit(Resource::Memlock).maximum, config.max_bytes, may_lock_all(), swap::is_on()));
    findings
}

/// What the daemon that runs could not lock; nothing where there is none, or it does not answer us.
fn of_daemon(config: &Config) -> Option<Finding> {
    // A mount that hangs would keep us.
    let place = mount::canonical(&config.mountpoint).ok()?;
    let State::Alive = mount::state(&place).ok()? else { return None };
    let Ok(Response::Status(status)) = control::ask(&place, &Request::Status) else { return None };
    let unlocked = status.cache.memory_unlocked;
    (unlocked > 0).then(|| {
        Finding::problem(NAME, format!("the daemon could not lock {unlocked} bytes for values"))
            .why("they could be written to swap")
            .mend("LimitMEMLOCK=infinity in the unit, and: systemctl restart hushfs")
    })
}

/// `limit` is that of this process, in bytes; None is none.
fn of_limit(limit: Option<u64>, max_bytes: u64, may_lock_all: bool, swap_is_on: bool) -> Finding {
    let Some(limit) = limit.filter(|limit| *limit < max_bytes && !may_lock_all) else {
        return Finding::ok(NAME, format!("max_bytes = {max_bytes} can be locked"));
    };
    let what = format!("only {limit} bytes can be locked, and max_bytes is {max_bytes}");
    let mend = format!(
        "LimitMEMLOCK=infinity in the unit; for a login, `hard memlock unlimited` in /etc/security/limits.conf; \
         or max_bytes = {limit}"
    );
    if swap_is_on {
        Finding::problem(NAME, what).why("values beyond that could be written to swap, which is on").mend(mend)
    } else {
        Finding::note(NAME, what).why("as long as no swap is on, nothing follows from it").mend(mend)
    }
}

fn may_lock_all() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hexadecimal| u64::from_str_radix(hexadecimal.trim(), 16).ok());
    effective.is_some_and(|capabilities| capabilities & (1 << IPC_LOCK) != 0)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn a_low_limit_matters_where_it_holds_and_there_is_swap() {
        for (limit, may_lock_all, swap, verdict) in [
            (None, false, true, Verdict::Ok),
            (Some(64), false, true, Verdict::Ok),
            (Some(63), false, true, Verdict::Problem),
            (Some(63), false, false, Verdict::Note),
            (Some(63), true, true, Verdict::Ok),
        ] {
            assert_eq!(of_limit(limit, 64, may_lock_all, swap).verdict, verdict, "{limit:?} {may_lock_all} {swap}");
        }
    }
}
