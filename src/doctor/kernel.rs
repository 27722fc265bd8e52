//! Is the kernel one that hushfs can do all with?

use super::finding::Finding;

const NAME: &str = "kernel";
/// Speaks a FUSE that is new enough.
const LEAST: (u32, u32) = (4, 4);
/// Sends again what a dead daemon had read.
const SENDS_AGAIN: (u32, u32) = (6, 9);

pub fn check() -> Finding {
    judge(std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim())
}

fn judge(release: &str) -> Finding {
    let Some(version) = version(release) else {
        return Finding::note(NAME, format!("the kernel's release {release:?} says no version"));
    };
    if version < LEAST {
        return Finding::problem(NAME, format!("Linux {release} is too old"))
            .why("its FUSE lacks what hushfs needs, which came with Linux 4.4")
            .mend("run a newer kernel");
    }
    if version < SENDS_AGAIN {
        return Finding::note(NAME, format!("Linux {release} cannot send requests again"))
            .why("what a daemon had read and not answered when it died ends with ECONNABORTED; from Linux 6.9 on the next daemon answers it");
    }
    Finding::ok(NAME, format!("Linux {release}"))
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn what_a_kernel_is_good_for_goes_by_its_version() {
        for (release, verdict) in [
            ("3.10.0-1160.el7.x86_64", Verdict::Problem),
            ("4.3.6", Verdict::Problem),
            ("4.4.0", Verdict::Note),
            ("6.1.0-28-amd64", Verdict::Note),
            ("6.9.0-rc1", Verdict::Ok),
            ("6.10.0", Verdict::Ok),
            ("10.0", Verdict::Ok),
            ("unheard of", Verdict::Note),
            ("", Verdict::Note),
        ] {
            assert_eq!(judge(release).verdict, verdict, "{release}");
        }
    }
}
