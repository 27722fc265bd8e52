//! The time that one answer may take.

use std::time::Duration;

use crate::provider::{Answer, Error, ErrorKind};

/// `work`, given up after `deadline`; `who` did not answer then.
pub fn within<'a, T>(
    deadline: Duration,
    who: &'a str,
    work: impl Future<Output = Result<T, Error>> + Send + 'a,
) -> Answer<'a, T> {
    Box::pin(async move {
        tokio::time::timeout(deadline, work).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::TimedOut, format!("{who}: no whole answer within the timeout")))
        })
    })
}
