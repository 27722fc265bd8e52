//! vaultrs' requests, made by the client that our providers share. Nothing is taken from vaultrs' environment
//! variables.

use reqwest::Request;
use rustify::Endpoint;
use rustify::errors::ClientError;
use vaultrs::api::EndpointMiddleware;

use super::error;
use crate::provider::Error;
use crate::provider::rest::{Client, Reply};
use crate::secret::Secret;

/// One server, or one namespace of it.
pub(super) struct Transport {
    pub(super) client: Client,
    pub(super) address: String,
    pub(super) namespace: Option<String>,
}

/// Is a read sent a second time where its connection was stale?
#[derive(Clone, Copy)]
pub(super) enum Repeat {
    IfStale,
    /// It has an effect although it is a read.
    Never,
}

impl Transport {
    /// Makes the call; `call` names it in errors. A reply of any status is an answer.
    pub(super) async fn ask(
        &self,
        call: &str,
        token: Option<&Secret>,
        endpoint: impl Endpoint,
    ) -> Result<Reply, Error> {
        self.ask_as(call, Repeat::IfStale, token, endpoint).await
    }

    pub(super) async fn ask_as(
        &self,
        call: &str,
        repeat: Repeat,
        token: Option<&Secret>,
        endpoint: impl Endpoint,
    ) -> Result<Reply, Error> {
        let request = self.request(token, endpoint).map_err(|error| error::unmade(call, &error))?;
        let mut reply = match repeat {
            Repeat::IfStale => self.client.ask(call, request).await,
            Repeat::Never => self.client.ask_once(call, request).await,
        }?;
        if let (false, Some(token)) = (reply.is_success(), token) {
            reply.conceal(token.expose());
        }
        Ok(reply)
    }

    fn request(&self, token: Option<&Secret>, endpoint: impl Endpoint) -> Result<Request, ClientError> {
        let middleware = EndpointMiddleware {
            // Visible ASCII, see `rest::word`: anything else would be a panic in there.
            token: token.map(|token| String::from_utf8_lossy(token.expose()).into_owned()).unwrap_or_default(),
            version: "v1".into(),
            wrap: None,
            namespace: self.namespace.clone(),
        };
        let request = endpoint.with_middleware(&middleware).request(&self.address)?;
        Request::try_from(request).map_err(|source| ClientError::ReqwestBuildError { source })
    }
}
