//! What the kernel and we hold to for as long as a connection lives.

use std::time::Duration;

use fuser::InitFlags;

/// `FUSE_REQUEST_TIMEOUT` (Linux 6.15): the kernel ends a connection on which a request goes unanswered for too long.
pub const GIVES_UP: InitFlags = InitFlags::from_bits_retain(1 << 42);

/// How long a daemon that has died or hangs may take to be replaced before whoever waits for it is let go.
const REPLACEMENT: Duration = Duration::from_secs(25);
/// As much longer must the kernel's patience at least be than what a request may take.
const MARGIN: Duration = Duration::from_secs(5);

/// Agreed on at the beginning, and kept to by every daemon that goes on with the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// As FUSE numbers them.
    pub flags: u64,
    /// Seconds after which the kernel ends the connection if a request is not answered; 0 where it never does.
    pub patience: u16,
}

impl Agreed {
    /// Can a configuration that has access control lists to show, or has none, be served by it?
    pub fn can_show(self, has_lists: bool) -> bool {
        // The kernel asks for lists, or does not, for as long as the connection lives. To have none for it is an answer.
        !has_lists || InitFlags::from_bits_retain(self.flags).contains(InitFlags::FUSE_POSIX_ACL)
    }

    /// Can one that lets a request take `longest`?
    pub fn can_wait(self, longest: Duration) -> bool {
        self.patience == 0 || Duration::from_secs(self.patience.into()) >= longest.saturating_add(MARGIN)
    }
}

/// In whole seconds; 0, for ever, where a request may take longer than the kernel can count.
pub fn patience(longest: Duration) -> u16 {
    let seconds = longest.saturating_add(REPLACEMENT).as_secs().saturating_add(1);
    u16::try_from(seconds).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_kernel_waits_longer_than_any_request_and_a_replacement_together() {
        assert_eq!(patience(5 * SECOND), 31);
        assert_eq!(patience(SECOND / 2), 26);
        assert_eq!(patience(Duration::MAX), 0, "for ever");
        for longest in [SECOND / 2, 5 * SECOND, 3600 * SECOND, Duration::MAX] {
            assert!(Agreed { flags: 0, patience: patience(longest) }.can_wait(longest), "{longest:?}");
        }
    }

    #[test]
    fn a_connection_does_not_fit_a_daemon_that_takes_longer_or_shows_other_bits() {
        let agreed = Agreed { flags: 0, patience: patience(5 * SECOND) };
        assert!(agreed.can_wait(26 * SECOND) && !agreed.can_wait(27 * SECOND));
        assert!(agreed.can_show(false) && !agreed.can_show(true));
        let with_lists = Agreed { flags: InitFlags::FUSE_POSIX_ACL.bits(), patience: 0 };
        assert!(with_lists.can_show(true) && with_lists.can_show(false) && with_lists.can_wait(Duration::MAX));
    }
}
