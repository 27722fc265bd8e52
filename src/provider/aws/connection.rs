//! A scope's way to one service of AWS.

use std::error::Error as StdError;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::http::Response;

use super::body_limit::BodyLimit;
use super::role::Role;
use super::session::{Session, Sessions};
use super::{client, error};
use crate::config::AwsSettings;
use crate::provider::connections::Connections;
use crate::provider::{Acting, Error, ErrorKind};

/// A service, by its client in the SDK.
pub(super) trait Service: Send + Sync + 'static {
    type Client: Clone + Send + Sync + 'static;
    /// What the environment and profiles call it where they name its endpoint.
    const ID: &'static str;

    /// `endpoint_url` is the scope's own: for this service alone, others have theirs.
    fn client(config: &SdkConfig, endpoint_url: Option<&str>, limit: BodyLimit) -> Self::Client;
}

/// As whom a service is asked, where, and for how long.
pub(super) struct Connection<S: Service> {
    pub(super) settings: AwsSettings,
    /// The role of the `[[identity]]` that this is for.
    pub(super) role: Option<Role>,
    /// The longest that one operation may take, retries included.
    pub(super) deadline: Duration,
    pub(super) max_secret_bytes: u64,
    pub(super) connections: Connections,
    sessions: Sessions<S>,
}

impl<S: Service> Connection<S> {
    /// Checks what can be checked without reaching out. With `acting` the service is asked as that identity.
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) if the region or the endpoint can never work.
    pub(super) fn new(
        settings: AwsSettings,
        acting: Option<Acting<'_>>,
        timeout: Duration,
        max_secret_bytes: u64,
    ) -> Result<Self, Error> {
        client::check(&settings)?;
        Ok(Self {
            settings,
            role: acting.map(Role::of).transpose()?,
            // Room for the caller to turn the error into a reply before its own deadline passes.
            deadline: timeout.mul_f64(0.9),
            max_secret_bytes,
            connections: Connections::default(),
            sessions: Sessions::default(),
        })
    }

    /// The session in use, made now if there is none; nobody waits for it longer than the deadline.
    pub(super) async fn session(&self) -> Result<Session<S>, Error> {
        tokio::time::timeout(self.deadline, self.sessions.get_or_make(self)).await.unwrap_or_else(|_| {
            let text = "AWS configuration: not complete within the timeout; set `region` if only the instance \
                        metadata service could tell it";
            Err(Error::new(ErrorKind::TimedOut, text))
        })
    }

    /// What a call's failure means, for us and for the session that it used.
    pub(super) fn failed<E>(&self, session: &Session<S>, call: &str, error: &SdkError<E, Response>) -> Error
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let error = error::from_sdk(call, error);
        if error.kind == ErrorKind::CredentialsRejected {
            self.sessions.give_up(session);
        }
        error
    }
}
