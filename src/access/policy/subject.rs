//! Who asks, as far as it is known.

/// One thing that was looked for about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding<'a> {
    Is(&'a str),
    /// It is certain that there is none: the process is in no container.
    Absent,
    /// It could not be found out, or not be trusted: the process has ended, has changed, or is in a pid
    /// namespace that we cannot see. Matches no allow, and every deny that it might match.
    Unknown,
}

/// What a process is besides its user and groups. Asked for only where it decides something: it costs
/// looks into `/proc`. Two questions of one decision must be answered alike.
pub trait Evidence {
    /// The innermost systemd unit, such as `worker.service`.
    fn unit(&self) -> Finding<'_>;
    /// The control group, from the hierarchy's root: `/system.slice/worker.service`.
    fn cgroup(&self) -> Finding<'_>;
    /// The whole id of the container, or its name where it has no id.
    fn container(&self) -> Finding<'_>;
    /// The path of the executable, from the root of the daemon's file system.
    fn executable(&self) -> Finding<'_>;
}

/// Nothing is known, as of a caller with pid 0.
#[derive(Debug, Clone, Copy)]
pub struct NoEvidence;

impl Evidence for NoEvidence {
    fn unit(&self) -> Finding<'_> {
        Finding::Unknown
    }

    fn cgroup(&self) -> Finding<'_> {
        Finding::Unknown
    }

    fn container(&self) -> Finding<'_> {
        Finding::Unknown
    }

    fn executable(&self) -> Finding<'_> {
        Finding::Unknown
    }
}

/// A caller to be judged.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// `u32::MAX`, which the kernel gives for an id that it cannot map, is nobody: it matches no allow, and
    /// every deny of a user.
    pub uid: u32,
    /// The group and the supplementary groups, in any order.
    pub groups: &'a [u32],
    /// Are these all groups? If not, every deny of a group matches.
    pub groups_complete: bool,
    pub evidence: &'a dyn Evidence,
}
