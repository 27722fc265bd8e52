//! The client in use, and when to make another.
//!
//! The SDK reads its configuration files once and remembers a profile that was not there as a failure
//! for good. So a client whose credentials were refused is given up: the next call makes a new one from
//! the files as they are then.

use std::error::Error as StdError;
use std::sync::Arc;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::http::Response;
use tokio::sync::{Mutex, OnceCell};

use super::{Shared, client, error, iam};
use crate::provider::{Error, ErrorKind};

/// Empty until the first call, and after a failure to make a client.
#[derive(Default)]
pub(super) struct Sessions(Mutex<State>);

#[derive(Default)]
struct State {
    session: Option<Session>,
    /// How many there have been.
    made: u64,
}

/// A client that one or more calls use.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) sts: aws_sdk_sts::Client,
    pub(super) iam: iam::Place,
    /// Whose credentials these are: given up with them.
    pub(super) caller: Arc<OnceCell<String>>,
    number: u64,
}

impl Sessions {
    /// The client in use, made now if there is none; all who ask meanwhile wait for that one, none of
    /// them longer than the deadline.
    pub(super) async fn get(&self, shared: &Shared) -> Result<Session, Error> {
        tokio::time::timeout(shared.deadline, self.get_or_make(shared)).await.unwrap_or_else(|_| {
            let text = "AWS configuration: not complete within the timeout; set `region` if only the instance \
                        metadata service could tell it";
            Err(Error::new(ErrorKind::TimedOut, text))
        })
    }

    async fn get_or_make(&self, shared: &Shared) -> Result<Session, Error> {
        let mut state = self.0.lock().await;
        if let Some(session) = &state.session {
            return Ok(session.clone());
        }
        let client::Clients { secrets, sts, iam } =
            client::build(&shared.settings, shared.role.as_ref(), shared.deadline, shared.max_secret_bytes).await?;
        state.made += 1;
        let session = Session { client: secrets, sts, iam, caller: Arc::default(), number: state.made };
        state.session = Some(session.clone());
        Ok(session)
    }

    /// What a call's failure means, for us and for the session that it used.
    pub(super) fn failed<E>(&self, session: &Session, call: &str, error: &SdkError<E, Response>) -> Error
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let error = error::from_sdk(call, error);
        // Locked means that somebody is at it already; the next refusal comes here again.
        if error.kind == ErrorKind::CredentialsRejected
            && let Ok(mut state) = self.0.try_lock()
            && state.session.as_ref().is_some_and(|current| current.number == session.number)
        {
            state.session = None;
        }
        error
    }
}
