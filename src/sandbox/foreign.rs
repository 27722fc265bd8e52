//! File systems that judge by themselves who reads: to them root, or whoever has the capability to read all, is a user like
//! others, if they know of it at all.

use std::path::Path;

use rustix::fs::statfs;

/// NFS, FUSE, SMB 1 to 3, 9P, AFS, Coda and Ceph: statfs(2).
const KINDS: [u32; 8] =
    [0x6969, 0x6573_5546, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997, 0x5346_414f, 0x7375_7245, 0x00c3_6400];

/// No where it cannot be told.
pub fn judges_by_itself(path: &Path) -> bool {
    // A number of 32 bits, whatever the type.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "only these are there")]
    statfs(path).is_ok_and(|found| KINDS.contains(&(found.f_type as u32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_judges_is_not_taken_for_what_does_so_by_itself() {
        for own in ["/proc", "/no-such-file"] {
            assert!(!judges_by_itself(Path::new(own)), "{own}");
        }
    }
}
