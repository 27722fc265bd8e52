//! "It is written", from the writer's thread to the one caller who waits for it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What the sinks that failed said; nothing where all have the record.
pub type Written = Result<(), String>;

#[derive(Default)]
pub struct Ack {
    state: Mutex<State>,
    ready: Condvar,
}

enum State {
    Waiting(Option<Waker>),
    Written(Written),
    /// Nobody waits any more.
    Abandoned,
}

impl Default for State {
    fn default() -> Self {
        Self::Waiting(None)
    }
}

impl Ack {
    /// False if the caller has not waited for it.
    pub fn deliver(&self, written: Written) -> bool {
        let mut state = self.lock();
        match &mut *state {
            State::Abandoned => return false,
            State::Written(_) => {}
            State::Waiting(waker) => {
                let waker = waker.take();
                *state = State::Written(written);
                drop(state);
                self.ready.notify_one();
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        }
        true
    }

    /// Nobody will wait any more. Harmless once it was delivered.
    pub fn abandon(&self) {
        let mut state = self.lock();
        if let State::Waiting(_) = *state {
            *state = State::Abandoned;
        }
    }

    pub fn is_abandoned(&self) -> bool {
        matches!(*self.lock(), State::Abandoned)
    }

    /// Blocks this thread for as long as `brief` at the most.
    pub fn wait(&self, brief: Duration) -> Option<Written> {
        let state = self.lock();
        let waiting = |state: &mut State| matches!(state, State::Waiting(_));
        let (state, _) = self.ready.wait_timeout_while(state, brief, waiting).unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Written(written) => Some(written.clone()),
            State::Waiting(_) | State::Abandoned => None,
        }
    }

    pub fn poll(&self, context: &mut Context<'_>) -> Poll<Written> {
        match &mut *self.lock() {
            State::Written(written) => Poll::Ready(written.clone()),
            State::Waiting(waker) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
            State::Abandoned => Poll::Pending,
        }
    }

    /// Nothing that is done under the lock can panic half-way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
