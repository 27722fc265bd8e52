//! Which changes watchers have still to be told of, and for how long that is tried.

use std::collections::HashSet;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::{Place, by_broker};
use crate::broker::{self, Broker};
use crate::tree::SecretNode;

/// How long after it went wrong the broker is asked again: to end what it may have begun, and to begin once more.
const AGAIN: Duration = Duration::from_secs(1);

/// For how long telling is tried again before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What watchers are to be told of.
#[derive(Default)]
pub(super) struct Untold {
    secrets: HashSet<SecretNode>,
    /// The first attempt that went wrong since one went well.
    failing_since: Option<Instant>,
    has_given_up: bool,
}

impl Untold {
    pub(super) fn secrets(&self) -> &HashSet<SecretNode> {
        &self.secrets
    }

    pub(super) fn clear(&mut self) {
        self.secrets.clear();
    }

    /// Waits for something to tell, or for long enough to try again. Before that, ends whatever the broker may be at after
    /// all: no answer within its time is not that nothing will happen, and a file system that stays writable makes reads
    /// slower. False once nothing comes any more.
    pub(super) fn wait(&mut self, changed: &Receiver<SecretNode>, place: &Place) -> bool {
        while broker::installed().is_some_and(Broker::owes_an_end) {
            if !self.take(changed.recv_timeout(AGAIN)) {
                return false;
            }
            match by_broker().and_then(Broker::end_touching) {
                Ok(()) => tracing::info!("{} is read-only to the kernel again", place.mountpoint.display()),
                Err(error) => tracing::debug!("the broker does not end what it has begun: {error}"),
            }
        }
        let next = if self.secrets.is_empty() {
            changed.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            changed.recv_timeout(AGAIN)
        };
        let goes_on = self.take(next);
        self.secrets.extend(changed.try_iter());
        goes_on
    }

    /// False where nothing comes any more.
    fn take(&mut self, next: Result<SecretNode, RecvTimeoutError>) -> bool {
        match next {
            Ok(secret) => {
                self.secrets.insert(secret);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        true
    }

    /// Keeps what is to be tried again.
    pub(super) fn after(&mut self, result: io::Result<()>, place: &Place) {
        let mountpoint = place.mountpoint.display();
        let Err(error) = result else {
            *self = Self::default();
            return;
        };
        if !self.has_given_up {
            let is_first = self.failing_since.is_none();
            if self.failing_since.get_or_insert_with(Instant::now).elapsed() < PATIENCE {
                if is_first {
                    tracing::info!("who watches files in {mountpoint} is told of changes later: {error}");
                }
                return;
            }
            tracing::warn!(
                "who watches files in {mountpoint} is not told of changes: {error}; root's mount needs Linux 5.12 and \
                 CAP_SYS_ADMIN for it"
            );
        }
        *self = Self { has_given_up: true, ..Self::default() };
    }
}
