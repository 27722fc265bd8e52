//! What a configuration decides, behind one pointer: a request takes it once, when it comes, and keeps it to its end.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::oneshot;

use super::Operations;

/// The operations of the configuration that holds.
pub struct Serving(RwLock<Current>);

struct Current {
    operations: Arc<Operations>,
    over: Over,
}

/// Ready when nobody uses the operations any more.
pub struct Over(oneshot::Receiver<()>);

impl Over {
    pub async fn wait(self) {
        // Nothing is ever sent: the other end goes with the operations.
        let _ = self.0.await;
    }
}

impl Current {
    fn new(mut operations: Operations) -> Self {
        let (in_use, over) = oneshot::channel();
        operations.is_in_use(in_use);
        Self { operations: Arc::new(operations), over: Over(over) }
    }
}

impl Serving {
    pub fn new(operations: Operations) -> Self {
        Self(RwLock::new(Current::new(operations)))
    }

    /// To be called once for a request.
    pub fn now(&self) -> Arc<Operations> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).operations)
    }

    /// Has every request that comes from here on answered by these. What comes back is ready when the last request is
    /// answered that had come before.
    pub fn replace(&self, operations: Operations) -> Over {
        let new = Current::new(operations);
        let old = std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), new);
        // The operations go here, after the lock is gone, if no request has them.
        old.over
    }
}
