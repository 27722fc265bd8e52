//! When a call is tried again. The client's own policy, ten attempts in a minute, is longer than any read waits.

use google_cloud_gax::error::Error;
use google_cloud_gax::error::rpc::Code;
use google_cloud_gax::retry_policy::RetryPolicy;
use google_cloud_gax::retry_result::RetryResult;
use google_cloud_gax::retry_state::RetryState;
use google_cloud_gax::retry_throttler::RetryThrottler;
use google_cloud_gax::throttle_result::ThrottleResult;

/// One retry covers a connection that went stale; whoever asked decides about more.
const ATTEMPTS: u32 = 2;

/// Every call of ours only reads, so each may be repeated.
#[derive(Debug)]
pub(super) struct Once;

impl RetryPolicy for Once {
    fn on_error(&self, state: &RetryState, error: Error) -> RetryResult {
        if state.attempt_count < ATTEMPTS && may_pass(&error) {
            RetryResult::Continue(error)
        } else {
            RetryResult::Permanent(error)
        }
    }

    fn on_throttle(&self, _state: &RetryState, error: Error) -> ThrottleResult {
        ThrottleResult::Exhausted(error)
    }
}

/// The client's own throttler holds retries back by chance while calls fail, which one retry has no need of.
#[derive(Debug)]
pub(super) struct Never;

impl RetryThrottler for Never {
    fn throttle_retry_attempt(&self) -> bool {
        false
    }

    fn on_retry_failure(&mut self, _flow: &RetryResult) {}

    fn on_success(&mut self) {}
}

fn may_pass(error: &Error) -> bool {
    let is_theirs = match error.status() {
        Some(status) => matches!(status.code, Code::Unavailable | Code::Internal),
        None => error.http_status_code().is_some_and(|status| status >= 500),
    };
    error.is_connect() || error.is_io() || is_theirs
}
