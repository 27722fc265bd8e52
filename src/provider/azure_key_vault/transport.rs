//! How Azure's clients make their calls: through the same connections as other providers, bounded, and never with
//! a token to another host than it is meant for.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::error::{Error as AzureError, ErrorKind as AzureKind};
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::{
    AsyncRawResponse, Body, ClientOptions, HttpClient, Method, RetryOptions, StatusCode, Transport,
};
use reqwest::header::{AUTHORIZATION, HeaderValue};

use super::error;
use crate::provider::rest::{Client, Reply, clean};
use crate::provider::{Error, ErrorKind};

pub(super) struct Calls {
    client: Client,
    /// For what is not encrypted: Azure's own services on this machine, which no proxy knows.
    direct: Option<Client>,
    what: What,
}

pub(super) enum What {
    /// The vault at this address, and nothing else.
    Vault(String),
    /// Whatever gives tokens.
    Tokens,
}

impl Calls {
    pub(super) fn new(client: Client, direct: Option<Client>, what: What) -> Self {
        Self { client, direct, what }
    }

    /// Options for one of Azure's clients that calls like that, and once.
    pub(super) fn options(self: Arc<Self>) -> ClientOptions {
        ClientOptions { retry: RetryOptions::none(), transport: Some(Transport::new(self)), ..ClientOptions::default() }
    }

    async fn call(&self, request: &azure_core::http::Request) -> Result<Reply, Error> {
        let url = request.url();
        let place = clean(url.host_str().unwrap_or_default());
        if let What::Vault(vault) = &self.what
            && url.origin().ascii_serialization() != *vault
        {
            let text = format!("{place}: the vault's answer leads to another host, where the token does not follow");
            return Err(Error::new(ErrorKind::Malformed, text));
        }
        let client = if url.scheme() == "https" { Some(&self.client) } else { self.direct.as_ref() };
        let reply = client.ok_or_else(not_sent)?.ask(&place, ours(request)?).await?;
        match &self.what {
            What::Tokens if !reply.is_success() => Err(error::no_token(&place, &reply)),
            what if reply.is_success() && !is_answer(what, &reply.body) => Err(error::not_understood(&place)),
            _ => Ok(reply),
        }
    }
}

/// Azure's clients take a list, or an object without a listing, for an empty listing, and every secret would vanish.
pub(super) fn is_answer(what: &What, body: &[u8]) -> bool {
    const VALUE: &[u8] = br#""value""#;
    let has_value = || body.windows(VALUE.len()).any(|part| part == VALUE);
    body.trim_ascii_start().first() == Some(&b'{')
        && match what {
            What::Vault(_) => has_value(),
            What::Tokens => true,
        }
}

fn not_sent() -> Error {
    Error::new(ErrorKind::Malformed, "the request cannot be sent")
}

/// The request in reqwest's terms. `User-Agent` is ours.
fn ours(request: &azure_core::http::Request) -> Result<reqwest::Request, Error> {
    let method = match request.method() {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        // Nothing here changes a vault.
        _ => return Err(not_sent()),
    };
    let mut ours = reqwest::Request::new(method, request.url().clone());
    for (name, value) in request.headers().iter().filter(|(name, _)| name.as_str() != "user-agent") {
        let name = reqwest::header::HeaderName::from_bytes(name.as_str().as_bytes()).map_err(|_| not_sent())?;
        let mut value = HeaderValue::from_str(value.as_str()).map_err(|_| not_sent())?;
        value.set_sensitive(name == AUTHORIZATION || name.as_str().contains("secret"));
        ours.headers_mut().insert(name, value);
    }
    match request.body() {
        Body::Bytes(bytes) if bytes.is_empty() => {}
        Body::Bytes(bytes) => *ours.body_mut() = Some(bytes.clone().into()),
        Body::SeekableStream(_) => return Err(not_sent()),
    }
    Ok(ours)
}

/// Says nothing of what is called with.
impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Calls")
    }
}

#[async_trait]
impl HttpClient for Calls {
    async fn execute_request(&self, request: &azure_core::http::Request) -> azure_core::Result<AsyncRawResponse> {
        // `Other`, so that nobody between us and the caller repeats it.
        let mut reply = self.call(request).await.map_err(|error| AzureError::new(AzureKind::Other, error))?;
        let mut headers = Headers::new();
        for (name, value) in [("retry-after", &reply.retry_after), ("www-authenticate", &reply.challenge)] {
            if let Some(value) = value {
                headers.insert(HeaderName::from_static(name), value.clone());
            }
        }
        let body = std::mem::take(&mut *reply.body);
        Ok(AsyncRawResponse::from_bytes(StatusCode::from(reply.status), headers, body))
    }
}
