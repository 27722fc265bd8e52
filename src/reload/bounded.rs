//! Work that may hang: it is waited for so long, and done once at a time.

use std::time::Duration;

use thiserror::Error;
use tokio::task::JoinHandle;

/// Why there is no result.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NoResult {
    #[error("takes longer than {0:?}: the host's name service (nsswitch.conf), or a file system, does not answer")]
    TooLong(Duration),
    #[error(
        "hangs since an earlier reload: the host's name service (nsswitch.conf), or a file system, does not answer"
    )]
    Hangs,
    #[error("was broken off")]
    BrokenOff,
}

/// Nothing ends a thread that hangs, so there is one of them at the most.
pub struct Bounded<T> {
    hanging: Option<JoinHandle<T>>,
}

impl<T> Default for Bounded<T> {
    fn default() -> Self {
        Self { hanging: None }
    }
}

impl<T: Send + 'static> Bounded<T> {
    /// # Errors
    /// Where it takes longer than `patience`, and for as long after that as it goes on.
    pub async fn run(&mut self, work: impl FnOnce() -> T + Send + 'static, patience: Duration) -> Result<T, NoResult> {
        if self.hanging.as_ref().is_some_and(|hanging| !hanging.is_finished()) {
            return Err(NoResult::Hangs);
        }
        let mut task = tokio::task::spawn_blocking(work);
        match tokio::time::timeout(patience, &mut task).await {
            Ok(result) => result.map_err(|_| NoResult::BrokenOff),
            Err(_) => {
                self.hanging = Some(task);
                Err(NoResult::TooLong(patience))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn work_that_hangs_is_given_up_and_not_begun_again_before_it_has_ended() {
        let mut bounded = Bounded::default();
        let (end, ended) = mpsc::channel::<()>();
        let patience = Duration::from_millis(1);
        assert_eq!(bounded.run(move || ended.recv().is_err(), patience).await, Err(NoResult::TooLong(patience)));
        let again = || -> bool { unreachable!("the first one is under way") };
        assert_eq!(bounded.run(again, Duration::MAX).await, Err(NoResult::Hangs));
        drop(end);
        while bounded.hanging.as_ref().is_some_and(|hanging| !hanging.is_finished()) {
            tokio::task::yield_now().await;
        }
        assert_eq!(bounded.run(|| true, Duration::MAX).await, Ok(true));
    }
}
