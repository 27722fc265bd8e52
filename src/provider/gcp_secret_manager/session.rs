//! The client in use, and when to make another.
//!
//! The credentials library reads its files once, and remembers a permanent failure for good. So a client whose
//! credentials failed is given up: the next call makes a new one from the files as they are then.

use std::sync::Arc;

use google_cloud_auth::credentials::Credentials;
use google_cloud_secretmanager_v1::client::SecretManagerService;
use tokio::sync::Mutex;

use super::{Shared, client, error};
use crate::provider::connections::Kept;
use crate::provider::{Error, ErrorKind};

/// Empty until the first call, and after a failure to make a client.
pub(super) struct Sessions {
    state: Mutex<State>,
    /// Gone each time that connections are closed; the credentials stay.
    client: Arc<Kept<SecretManagerService>>,
}

#[derive(Default)]
struct State {
    credentials: Option<Credentials>,
    /// How many there have been.
    made: u64,
}

/// A client that one or more calls use.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) client: SecretManagerService,
    credentials: Credentials,
    number: u64,
}

impl Sessions {
    pub(super) fn new(client: Arc<Kept<SecretManagerService>>) -> Self {
        Self { state: Mutex::default(), client }
    }

    /// The client in use with credentials that are there, made now if there is none; all who ask meanwhile wait
    /// for that one.
    pub(super) async fn get(&self, shared: &Shared) -> Result<Session, Error> {
        // Before the operation's own deadline, so that the error says that it was the credentials.
        let limit = shared.deadline.mul_f64(0.9);
        tokio::time::timeout(limit, self.ready(shared)).await.unwrap_or_else(|_| {
            let text = "Google credentials: the service that gives them did not answer within the timeout";
            Err(Error::new(ErrorKind::TimedOut, text))
        })
    }

    async fn ready(&self, shared: &Shared) -> Result<Session, Error> {
        let session = self.get_or_make(shared).await?;
        if let Err(error) = session.credentials.headers(http::Extensions::new()).await {
            self.give_up(&session);
            return Err(error::from_credentials(&error));
        }
        Ok(session)
    }

    async fn get_or_make(&self, shared: &Shared) -> Result<Session, Error> {
        let mut state = self.state.lock().await;
        let credentials = match &state.credentials {
            Some(credentials) => credentials.clone(),
            None => {
                let credentials = client::credentials(shared).await?;
                self.make(shared, &credentials).await?;
                state.made += 1;
                state.credentials.insert(credentials).clone()
            }
        };
        let client = match self.client.get() {
            Some(client) => client,
            None => self.make(shared, &credentials).await?,
        };
        Ok(Session { client, credentials, number: state.made })
    }

    async fn make(&self, shared: &Shared, credentials: &Credentials) -> Result<SecretManagerService, Error> {
        let client = client::build(shared, credentials.clone()).await?;
        self.client.put(&client);
        Ok(client)
    }

    fn give_up(&self, session: &Session) {
        // Locked means that somebody is at it already; the next refusal comes here again.
        if let Ok(mut state) = self.state.try_lock()
            && state.made == session.number
        {
            state.credentials = None;
        }
    }

    /// What a call's failure means, for us and for the session that it used.
    pub(super) fn failed(&self, session: &Session, call: &str, error: &google_cloud_gax::error::Error) -> Error {
        let error = error::from_call(call, error);
        if error.kind == ErrorKind::CredentialsRejected {
            self.give_up(session);
        }
        error
    }
}
