//! How calls reach the server: vaultrs' requests over a reqwest client of our own.
//!
//! Bodies are bounded, no redirect is followed (it would take the token along), idle connections do not outlive
//! a burst of reads, and nothing is taken from vaultrs' environment variables.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Certificate, Identity};
use rustify::Endpoint;
use rustify::client::Client;
use rustify::errors::ClientError;
use vaultrs::api::EndpointMiddleware;
use zeroize::Zeroizing;

use super::error::{self, Trouble};
use crate::provider::{Error, ErrorKind};
use crate::secret::Secret;

/// An idle connection keeps a buffer with the last answer, so idle ones go soon.
const IDLE: Duration = Duration::from_secs(5);

/// What a server answered, whatever its status.
pub(super) struct Reply {
    pub(super) status: u16,
    /// Seconds, as the server wrote them.
    pub(super) retry_after: Option<String>,
    pub(super) location: Option<String>,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// One server and how it is reached.
pub(super) struct Transport {
    http: reqwest::Client,
    address: String,
    namespace: Option<String>,
    /// The longest that one call may take.
    deadline: Duration,
    /// The longest body that is taken into memory.
    limit: u64,
}

/// What a transport is made of.
pub(super) struct Plan {
    pub(super) address: String,
    pub(super) namespace: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
    /// A client certificate and its key, PEM.
    pub(super) identity: Option<Zeroizing<Vec<u8>>>,
    pub(super) deadline: Duration,
    pub(super) max_secret_bytes: u64,
}

impl Plan {
    /// Reads the certificates; blocks.
    pub(super) fn build(self) -> Result<Transport, Error> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_rustls()
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(IDLE)
            .connect_timeout(self.deadline.mul_f64(0.6))
            .user_agent("hushfs");
        if self.address.starts_with("https://") {
            if let Some(path) = &self.ca_file {
                builder = builder.tls_certs_merge(certificates(path)?);
            }
        } else {
            // Nothing to verify, so the system's certificates need not be read, nor be there.
            builder = builder.tls_certs_only(Vec::new());
        }
        if let Some(pem) = &self.identity {
            // The parser's own error might quote the key.
            let identity = Identity::from_pem(pem).map_err(|_| {
                let text = "cert_file and key_file: not a certificate and its private key in PEM format";
                Error::new(ErrorKind::CredentialsRejected, text)
            })?;
            builder = builder.identity(identity);
        }
        let http = builder.build().map_err(|error| {
            Error::new(ErrorKind::Malformed, format!("TLS cannot be set up: {}", error::reasons(&error.without_url())))
        })?;
        Ok(Transport {
            http,
            address: self.address,
            namespace: self.namespace,
            deadline: self.deadline,
            // Room for one value, each byte escaped as `\u00XX` at worst, and for the listing of a large folder.
            limit: self.max_secret_bytes.saturating_mul(6).saturating_add(8 << 20),
        })
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, Error> {
    let fail = |why: &str| Error::new(ErrorKind::Malformed, format!("ca_file {}: {why}", path.display()));
    let pem = std::fs::read(path).map_err(|error| fail(&error.to_string()))?;
    let bundle = Certificate::from_pem_bundle(&pem).map_err(|_| fail("not certificates in PEM format"))?;
    if bundle.is_empty() {
        return Err(fail("it holds no certificate in PEM format"));
    }
    Ok(bundle)
}

impl Transport {
    /// Makes the call; `call` names it in errors. A reply of any status is an answer.
    pub(super) async fn ask(
        &self,
        call: &str,
        token: Option<&Secret>,
        endpoint: impl Endpoint,
    ) -> Result<Reply, Error> {
        let middleware = EndpointMiddleware {
            // Visible ASCII, see `files`: anything else would be a panic in there.
            token: token.map(|token| String::from_utf8_lossy(token.expose()).into_owned()).unwrap_or_default(),
            version: "v1".into(),
            wrap: None,
            namespace: self.namespace.clone(),
        };
        let endpoint = endpoint.with_middleware(&middleware);
        let work = endpoint.exec(self);
        let done = tokio::time::timeout(self.deadline, work).await;
        let answer = match done {
            Ok(answer) => answer.map_err(|error| error::from_client(call, &error))?,
            Err(_) => return Err(error::from_trouble(call, &Trouble::TimedOut)),
        };
        let header = |name| answer.response.headers().get(name).and_then(|it| it.to_str().ok()).map(str::to_owned);
        Ok(Reply {
            status: answer.response.status().as_u16(),
            retry_after: header("retry-after"),
            location: header("location"),
            body: Zeroizing::new(answer.response.into_body()),
        })
    }
}

#[async_trait]
impl Client for Transport {
    fn base(&self) -> &str {
        &self.address
    }

    async fn send(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, ClientError> {
        let request =
            reqwest::Request::try_from(request).map_err(|source| ClientError::ReqwestBuildError { source })?;
        let is_read = !matches!(*request.method(), reqwest::Method::POST | reqwest::Method::PUT);
        let again = request.try_clone().filter(|_| is_read);
        let mut answer = self.http.execute(request).await;
        // One more try where a connection went stale; a request that may have had an effect is not repeated.
        if let (Err(error), Some(again)) = (&answer, again)
            && error.is_request()
            && !error.is_connect()
            && !error.is_timeout()
        {
            answer = self.http.execute(again).await;
        }
        let mut answer = answer.map_err(|error| trouble(Trouble::NoAnswer(error.without_url())))?;
        let mut response = http::Response::new(Vec::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        if answer.content_length().is_some_and(|length| length > self.limit) {
            return Err(trouble(Trouble::TooLong(self.limit)));
        }
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(|_| trouble(Trouble::Broken))? {
            if (body.len() as u64).saturating_add(chunk.len() as u64) > self.limit {
                return Err(trouble(Trouble::TooLong(self.limit)));
            }
            body.extend_from_slice(&chunk);
        }
        *response.body_mut() = std::mem::take(&mut *body);
        Ok(response)
    }

    /// As it came: what a status means is ours to say, and needs the headers.
    async fn execute(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, ClientError> {
        self.send(request).await
    }
}

fn trouble(trouble: Trouble) -> ClientError {
    ClientError::GenericError { source: anyhow::Error::new(trouble) }
}
