//! Does /proc show what grants go by?

use super::finding::Finding;
use crate::access::policy::Principal;
use crate::config::{Config, Source};
use crate::sandbox;

const NAME: &str = "proc";

/// Nothing to say where it hides nothing and no grant goes by what only /proc knows.
pub fn check(config: &Config, source: &Source) -> Vec<Finding> {
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
    let is_needed = principals.into_iter().any(needs_proc);
    if sandbox::proc_hides_processes(config, source) && (is_needed || config.sandbox.landlock) {
        return vec![hidden(config.sandbox.landlock)];
    }
    if !is_needed {
        return Vec::new();
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

/// As root, too: what root could see more by is given up.
fn hidden(is_confined: bool) -> Finding {
    Finding::problem(NAME, "/proc hides other users' processes (hidepid)")
        .why(if is_confined {
            "the daemon does not start: in its sandbox it could not tell callers apart"
        } else {
            "grants to groups, units, control groups, containers and executables never hold: hushfs cannot see who asks"
        })
        .mend(
            "mount -o remount,hidepid=0 /proc; or hidepid=invisible with the gid= of a group that the daemon is in, which \
             may then see all processes",
        )
}
