//! The process as the kernel sees it, under the names that every Prometheus client library gives.

use std::time::SystemTime;

use rustix::process::{Resource, getrlimit};

use super::family::{Family, Value, gauge};
use super::scopes::since_1970;

/// What cannot be read is left out.
pub fn families(started: SystemTime) -> Vec<Family> {
    let mut families = vec![
        Family::new("process_start_time", "When the process started, since 1970")
            .seconds()
            .only(Value::Gauge(since_1970(started))),
    ];
    if let Some(stat) = std::fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::parse) {
        let ticks = rustix::param::clock_ticks_per_second().max(1) as f64;
        let page = rustix::param::page_size() as u64;
        families.extend([
            Family::new("process_cpu", "Time on a processor, for itself and in the kernel")
                .seconds()
                .only(Value::Seconds(stat.ticks as f64 / ticks)),
            Family::new("process_virtual_memory", "Virtual memory").bytes().only(gauge(stat.virtual_bytes)),
            Family::new("process_resident_memory", "Resident memory")
                .bytes()
                .only(gauge(stat.resident_pages.saturating_mul(page))),
            Family::new("process_threads", "Threads").only(gauge(stat.threads)),
        ]);
    }
    if let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") {
        // One of them is for this look.
        let open = descriptors.count().saturating_sub(1);
        families.push(Family::new("process_open_fds", "Open descriptors").only(gauge(open)));
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        families.push(Family::new("process_max_fds", "Descriptors that may be open").only(gauge(most)));
    }
    families
}

/// What is used of `/proc/PID/stat`; proc(5) has the format.
struct Stat {
    ticks: u64,
    threads: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The program's name may hold anything, parentheses included. After it comes the third field.
        let rest = text.rsplit_once(") ")?.1;
        let fields: Vec<&str> = rest.split(' ').collect();
        let field = |number: usize| fields.get(number.checked_sub(3)?)?.trim().parse::<u64>().ok();
        Some(Self {
            ticks: field(14)?.saturating_add(field(15)?),
            threads: field(20)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_is_read_as_proc_5_says_whatever_the_program_is_called() {
        let line = "7 (a) R 1) S 1 7 7 0 -1 4194560 100 0 0 0 30 12 0 0 20 0 9 0 100 5000 42 18446744073709551615\n";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.ticks, stat.threads, stat.virtual_bytes, stat.resident_pages), (42, 9, 5000, 42));
        assert!(Stat::parse("7 (a) S 1").is_none());
        assert!(Stat::parse("").is_none());
        assert!(Stat::parse(&std::fs::read_to_string("/proc/self/stat").unwrap()).unwrap().threads > 0);
    }
}
