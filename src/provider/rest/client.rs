//! One server, and how calls reach it.
//!
//! Proxies are those of `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, and none where the server is not spoken to by TLS:
//! it would be given the credentials. Bodies are bounded, no redirect is followed (it would take the credentials
//! along), and idle connections do not outlive a burst of reads.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{self, HeaderName};
use reqwest::{Certificate, Identity, Request};
use zeroize::Zeroizing;

use super::trouble::Trouble;
use crate::provider::connections::{Connections, IdleOnes, Kept, idle};
use crate::provider::text::{chain, reasons};
use crate::provider::{Error, ErrorKind, regular_file};

/// Far more than all certificates of a system, in bytes.
const LARGEST_BUNDLE: u64 = 16 << 20;

const USER_AGENT: &str = concat!("hushfs/", env!("CARGO_PKG_VERSION"));

/// What a client is made of.
pub struct Plan {
    /// Is the server spoken to by TLS?
    pub encrypted: bool,
    /// May it be reached through a proxy? What answers on this machine only is not.
    pub proxied: bool,
    /// PEM certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// A client certificate and its key, PEM.
    pub identity: Option<Zeroizing<Vec<u8>>>,
    /// The longest that one call may take.
    pub deadline: Duration,
    /// The longest body that is taken into memory.
    pub limit: u64,
}

/// Makes calls.
pub struct Client {
    http: Arc<Kept<reqwest::Client>>,
    setup: Arc<Setup>,
    /// Held by who makes a client; the others wait for that one.
    making: tokio::sync::Mutex<()>,
    deadline: Duration,
    limit: u64,
}

/// What a server answered, whatever its status.
pub struct Reply {
    pub status: u16,
    /// As the server wrote it.
    pub retry_after: Option<String>,
    #[cfg_attr(not(feature = "databricks"), allow(dead_code, reason = "not every build has a provider that tells it"))]
    pub location: Option<String>,
    /// `WWW-Authenticate`
    #[cfg_attr(not(feature = "azure"), allow(dead_code, reason = "not every build has a provider that needs it"))]
    pub challenge: Option<String>,
    pub body: Zeroizing<Vec<u8>>,
}

impl Reply {
    /// One that says the same wherever it can.
    #[cfg(feature = "fuzzing")]
    pub fn saying(status: u16, bytes: &[u8]) -> Self {
        let text = || Some(String::from_utf8_lossy(bytes).into_owned());
        let body = Zeroizing::new(bytes.to_vec());
        Self { status, retry_after: text(), location: text(), challenge: None, body }
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Takes a credential out of the body: servers and what is before them have quoted what they refuse.
    #[cfg_attr(
        not(any(feature = "databricks", feature = "kubernetes", feature = "vault")),
        allow(dead_code, reason = "an SDK says what it was told")
    )]
    pub fn conceal(&mut self, credential: &[u8]) {
        if credential.is_empty() {
            return;
        }
        let mut from = 0;
        while let Some(at) = self.body.get(from..).and_then(|rest| position(rest, credential)) {
            let end = from + at + credential.len();
            if let Some(found) = self.body.get_mut(from + at..end) {
                found.fill(b'*');
            }
            from = end;
        }
    }

    /// The wait that was asked for, where it was in seconds: a date is by the server's clock.
    pub fn wait(&self) -> Option<Duration> {
        let seconds = self.retry_after.as_deref()?.trim().parse::<u32>().ok()?;
        Some(Duration::from_secs(seconds.into()))
    }
}

#[cfg_attr(
    not(any(feature = "databricks", feature = "kubernetes", feature = "vault")),
    allow(dead_code, reason = "for `conceal`")
)]
fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

impl Plan {
    /// Reads the certificates; blocks. The client's connections are among `connections`.
    #[cfg_attr(
        not(feature = "databricks"),
        allow(dead_code, reason = "a build may have none that trusts the system's")
    )]
    pub fn build(self, connections: &Connections) -> Result<Client, Error> {
        self.build_trusting(None, connections)
    }

    /// As [`Plan::build`]; where there are `authorities`, a server's own in PEM, no others are trusted.
    pub fn build_trusting(self, authorities: Option<&[u8]>, connections: &Connections) -> Result<Client, Error> {
        let mut trusted = Trusted::System(Vec::new());
        if self.encrypted {
            if let Some(pem) = authorities {
                let fail = |why| Error::new(ErrorKind::Malformed, format!("the server's certificate authority: {why}"));
                let bundle = Certificate::from_pem_bundle(pem).map_err(|_| fail("not certificates in PEM format"))?;
                if bundle.is_empty() {
                    return Err(fail("no certificate in PEM format"));
                }
                trusted = Trusted::Only(bundle);
            } else if let Some(path) = &self.ca_file {
                trusted = Trusted::System(certificates(path)?);
            }
        } else {
            // Nothing to verify, so the system's certificates need not be read, nor be there.
            trusted = Trusted::Only(Vec::new());
        }
        let identity = self.identity.as_ref().map(|pem| {
            // The parser's own error might quote the key.
            Identity::from_pem(pem).map_err(|_| {
                let text = "cert_file and key_file: not a certificate and its private key in PEM format";
                Error::new(ErrorKind::CredentialsRejected, text)
            })
        });
        let setup = Setup {
            proxied: self.proxied && self.encrypted,
            trusted,
            identity: identity.transpose()?,
            connect_timeout: self.deadline.mul_f64(0.6),
        };
        let http = connections.keep(IdleOnes::ByTheClient);
        http.put(&setup.client().map_err(|error| {
            Error::new(ErrorKind::Malformed, format!("TLS cannot be set up: {}", reasons(chain(&error.without_url()))))
        })?);
        let setup = Arc::new(setup);
        Ok(Client { http, setup, making: tokio::sync::Mutex::default(), deadline: self.deadline, limit: self.limit })
    }
}

/// What clients of one server are made of, one after the other.
struct Setup {
    proxied: bool,
    trusted: Trusted,
    identity: Option<Identity>,
    connect_timeout: Duration,
}

enum Trusted {
    /// The system's authorities, and these.
    System(Vec<Certificate>),
    /// These and no others.
    Only(Vec<Certificate>),
}

impl Setup {
    /// May read the system's certificates; blocks.
    fn client(&self) -> reqwest::Result<reqwest::Client> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_rustls()
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(idle())
            .connect_timeout(self.connect_timeout)
            .user_agent(USER_AGENT);
        if !self.proxied {
            builder = builder.no_proxy();
        }
        builder = match &self.trusted {
            Trusted::System(more) if more.is_empty() => builder,
            Trusted::System(more) => builder.tls_certs_merge(more.clone()),
            Trusted::Only(these) => builder.tls_certs_only(these.clone()),
        };
        if let Some(identity) = &self.identity {
            builder = builder.identity(identity.clone());
        }
        builder.build()
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, Error> {
    let fail = |why: &str| Error::new(ErrorKind::Malformed, format!("ca_file {}: {why}", path.display()));
    let mut pem = Vec::new();
    let file = regular_file::open(path)
        .map_err(|error| fail(&format!("{error}{}", crate::sandbox::why_withheld(path, &error))))?;
    file.take(LARGEST_BUNDLE).read_to_end(&mut pem).map_err(|error| fail(&error.to_string()))?;
    let bundle = Certificate::from_pem_bundle(&pem).map_err(|_| fail("not certificates in PEM format"))?;
    if bundle.is_empty() {
        return Err(fail("it holds no certificate in PEM format"));
    }
    Ok(bundle)
}

impl Client {
    /// Makes the call within the deadline; `call` names it in errors. A reply of any status is an answer.
    pub async fn ask(&self, call: &str, request: Request) -> Result<Reply, Error> {
        let is_read = matches!(request.method().as_str(), "GET" | "HEAD" | "LIST");
        let again = request.try_clone().filter(|_| is_read);
        self.in_time(call, request, again).await
    }

    /// As [`Client::ask`], for what has an effect although it is a read: it is never sent twice.
    #[cfg_attr(not(feature = "vault"), allow(dead_code, reason = "not every build has a provider with such reads"))]
    pub async fn ask_once(&self, call: &str, request: Request) -> Result<Reply, Error> {
        self.in_time(call, request, None).await
    }

    async fn in_time(&self, call: &str, request: Request, again: Option<Request>) -> Result<Reply, Error> {
        match tokio::time::timeout(self.deadline, self.send(request, again)).await {
            Ok(answer) => answer.map_err(|trouble| trouble.of(call)),
            Err(_) => Err(Trouble::TimedOut.of(call)),
        }
    }

    /// Opens an answer without end. `Err` in the answer: it ended before it began, with this reply.
    #[cfg_attr(not(feature = "kubernetes"), allow(dead_code, reason = "nobody else has such answers"))]
    pub async fn open(&self, call: &str, request: Request) -> Result<Result<Stream, Reply>, Error> {
        let opened = async {
            // A connection of its own: one that a value came through would keep it in its buffers for as long.
            let sent = self.make().await?.execute(request).await;
            let answer = sent.map_err(|error| Trouble::NoAnswer(error.without_url()))?;
            if answer.status().is_success() { Ok(Ok(Stream { answer })) } else { self.take(answer).await.map(Err) }
        };
        match tokio::time::timeout(self.deadline, opened).await {
            Ok(answer) => answer.map_err(|trouble| trouble.of(call)),
            Err(_) => Err(Trouble::TimedOut.of(call)),
        }
    }

    /// The client in use, or another if its connections have been closed.
    async fn http(&self) -> Result<reqwest::Client, Trouble> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let _making = self.making.lock().await;
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = self.make().await?;
        self.http.put(&http);
        Ok(http)
    }

    /// A client without connections.
    async fn make(&self) -> Result<reqwest::Client, Trouble> {
        let setup = Arc::clone(&self.setup);
        let made = tokio::task::spawn_blocking(move || setup.client()).await;
        let made = made.map_err(|_| Trouble::NotSetUp("it was broken off".into()))?;
        made.map_err(|error| Trouble::NotSetUp(reasons(chain(&error.without_url()))))
    }

    async fn send(&self, request: Request, again: Option<Request>) -> Result<Reply, Trouble> {
        let http = self.http().await?;
        let mut answer = http.execute(request).await;
        // One more try where a connection went stale; a request that may have had an effect is not repeated.
        if let (Err(error), Some(again)) = (&answer, again)
            && error.is_request()
            && !error.is_connect()
            && !error.is_timeout()
        {
            answer = http.execute(again).await;
        }
        self.take(answer.map_err(|error| Trouble::NoAnswer(error.without_url()))?).await
    }

    async fn take(&self, mut answer: reqwest::Response) -> Result<Reply, Trouble> {
        let text = |name: HeaderName| answer.headers().get(name).and_then(|it| it.to_str().ok()).map(str::to_owned);
        let mut reply = Reply {
            status: answer.status().as_u16(),
            retry_after: text(header::RETRY_AFTER),
            location: text(header::LOCATION),
            challenge: text(header::WWW_AUTHENTICATE),
            body: Zeroizing::new(Vec::new()),
        };
        if answer.content_length().is_some_and(|length| length > self.limit) {
            return Err(Trouble::TooLong(self.limit));
        }
        while let Some(chunk) = answer.chunk().await.map_err(|_| Trouble::Broken)? {
            if (reply.body.len() as u64).saturating_add(chunk.len() as u64) > self.limit {
                return Err(Trouble::TooLong(self.limit));
            }
            reply.body.extend_from_slice(&chunk);
        }
        Ok(reply)
    }
}

/// An answer that goes on for as long as the server likes.
#[cfg_attr(not(feature = "kubernetes"), allow(dead_code, reason = "nobody else has such answers"))]
pub struct Stream {
    answer: reqwest::Response,
}

#[cfg_attr(not(feature = "kubernetes"), allow(dead_code, reason = "nobody else has such answers"))]
impl Stream {
    /// What comes next, whole or not; None at the end. Silence for longer than `patience` is an error.
    pub async fn next(&mut self, call: &str, patience: Duration) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        match tokio::time::timeout(patience, self.answer.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk.map(|chunk| Zeroizing::new(chunk.to_vec()))),
            Ok(Err(_)) => Err(Trouble::Broken.of(call)),
            Err(_) => Err(Trouble::TimedOut.of(call)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(text: &str) -> Option<Duration> {
        let body = Zeroizing::new(Vec::new());
        Reply { status: 429, retry_after: Some(text.to_owned()), location: None, challenge: None, body }.wait()
    }

    #[test]
    fn a_credential_is_taken_out_of_an_answer_wherever_it_is() {
        let body = Zeroizing::new(b"dapi1 is no token: dapi1dapi1, dapi".to_vec());
        let mut reply = Reply { status: 403, retry_after: None, location: None, challenge: None, body };
        reply.conceal(b"");
        reply.conceal(b"none");
        reply.conceal(b"dapi1");
        assert_eq!(&*reply.body, b"***** is no token: **********, dapi");
    }

    #[test]
    fn a_wait_is_taken_in_seconds_and_nothing_else() {
        assert_eq!(wait(" 7 "), Some(Duration::from_secs(7)));
        for text in ["", "-1", "1.5", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", "99999999999"] {
            assert_eq!(wait(text), None, "{text}");
        }
    }
}
