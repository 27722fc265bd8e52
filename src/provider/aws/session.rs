//! The client in use, and when to make another.
//!
//! The SDK reads its configuration files once and remembers a profile that was not there as a failure
//! for good. So a client whose credentials were refused is given up: the next call makes a new one from
//! the files as they are then.

use std::sync::Arc;

use tokio::sync::{Mutex, OnceCell};

use super::connection::{Connection, Service};
use super::{client, iam};
use crate::provider::Error;

/// Empty until the first call, and after a failure to make a client.
pub(super) struct Sessions<S: Service>(Mutex<State<S>>);

struct State<S: Service> {
    session: Option<Session<S>>,
    /// How many there have been.
    made: u64,
}

impl<S: Service> Default for Sessions<S> {
    fn default() -> Self {
        Self(Mutex::new(State { session: None, made: 0 }))
    }
}

/// A client that one or more calls use.
pub(super) struct Session<S: Service> {
    pub(super) client: S::Client,
    pub(super) sts: aws_sdk_sts::Client,
    pub(super) iam: iam::Place,
    /// Whose credentials these are: given up with them.
    pub(super) caller: Arc<OnceCell<String>>,
    number: u64,
}

impl<S: Service> Clone for Session<S> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            sts: self.sts.clone(),
            iam: self.iam.clone(),
            caller: Arc::clone(&self.caller),
            number: self.number,
        }
    }
}

impl<S: Service> Sessions<S> {
    /// The client in use, made now if there is none; all who ask meanwhile wait for that one.
    pub(super) async fn get_or_make(&self, connection: &Connection<S>) -> Result<Session<S>, Error> {
        let mut state = self.0.lock().await;
        if let Some(session) = &state.session {
            return Ok(session.clone());
        }
        let client::Clients { service, sts, iam } = client::build(connection).await?;
        state.made += 1;
        let session = Session { client: service, sts, iam, caller: Arc::default(), number: state.made };
        state.session = Some(session.clone());
        Ok(session)
    }

    /// The next call makes another.
    pub(super) fn give_up(&self, session: &Session<S>) {
        // Locked means that somebody is at it already; the next refusal comes here again.
        if let Ok(mut state) = self.0.try_lock()
            && state.session.as_ref().is_some_and(|current| current.number == session.number)
        {
            state.session = None;
        }
    }
}
