//! Does /proc show what grants go by?

use super::finding::Finding;
use crate::access::policy::Principal;
use crate::config::Config;

const NAME: &str = "proc";

/// Nothing to say where no grant goes by what only /proc knows.
pub fn check(config: &Config) -> Vec<Finding> {
    let principals = config.grants.iter().flat_map(|grant| &grant.principals);
    let principals = principals.chain(config.identities.iter().flat_map(|identity| &identity.principals));
    let needs_proc = |principal: &Principal| match principal {
        Principal::Everyone | Principal::User(_) => false,
        // Supplementary groups are not in a request.
        Principal::Group(_)
        | Principal::Unit(_)
        | Principal::Cgroup(_)
        | Principal::Container(_)
        | Principal::Executable(_) => true,
    };
    if !principals.into_iter().any(needs_proc) {
        return Vec::new();
    }
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if !super::is_root() && hides_processes(&table) {
        return vec![
            Finding::problem(NAME, "/proc hides other users' processes (hidepid)")
                .why("grants to groups, units, control groups, containers and executables then never hold: hushfs cannot see who asks")
                .mend("mount -o remount,hidepid=0 /proc; or run hushfs as root; or grant to users"),
        ];
    }
    let mut findings = vec![Finding::ok(NAME, "/proc shows who asks")];
    let contained: Vec<&str> =
        INITIAL.iter().filter(|(kind, initial)| is_another(kind, *initial)).map(|it| it.0).collect();
    if !contained.is_empty() {
        findings.push(
            Finding::note(
                NAME,
                format!("this is a container: the {} namespace is its own", contained.join(" and the ")),
            )
            .why("callers from outside of it are not known by group, unit, control group, container or executable")
            .mend("run hushfs on the host, or the container with: --pid=host --cgroupns=host"),
        );
    }
    findings
}

/// The numbers of a host's own namespaces, the same on every Linux.
const INITIAL: [(&str, u64); 2] = [("pid", 0xEFFF_FFFC), ("cgroup", 0xEFFF_FFFB)];

/// False where it cannot be told.
fn is_another(kind: &str, initial: u64) -> bool {
    let link = std::fs::read_link(format!("/proc/self/ns/{kind}"));
    link.is_ok_and(|link| link.as_os_str() != format!("{kind}:[{initial}]").as_str())
}

/// By the options of the topmost /proc in a table of mounts.
fn hides_processes(table: &str) -> bool {
    let proc = table.lines().rfind(|line| line.split(' ').nth(4) == Some("/proc"));
    let options = proc.and_then(|line| line.rsplit(' ').next()).unwrap_or_default();
    let hidepid = options.split(',').find_map(|option| option.strip_prefix("hidepid="));
    hidepid.is_some_and(|hidepid| !matches!(hidepid, "0" | "off"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topmost_proc_says_what_it_hides() {
        let open = "22 26 0:20 / /proc rw,nosuid - proc proc rw\n";
        let hiding = "22 26 0:20 / /proc rw,nosuid - proc proc rw,hidepid=invisible,gid=4\n";
        assert!(!hides_processes(open) && hides_processes(hiding));
        assert!(hides_processes(&format!("{open}{hiding}")) && !hides_processes(&format!("{hiding}{open}")));
        assert!(!hides_processes("22 26 0:20 / /proc rw - proc proc rw,hidepid=off\n") && !hides_processes(""));
    }
}
