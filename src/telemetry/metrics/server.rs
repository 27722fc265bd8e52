//! HTTP, as far as a scraper needs it: `GET /metrics`, one answer for a connection.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use super::Subject;
use super::family::{self, Format};
use super::listener::{Bound, Listener, Stream};
use crate::control::socket::SocketFile;

/// Clients served at a time. Whoever comes then takes the place of the one that has been there longest.
const CLIENTS: usize = 8;
/// How long a client may take to ask, and to take its answer: less than the time between two scrapes.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest request, headers included, in bytes: the least that hyper takes.
const LONGEST: usize = 8192;

/// Metrics are answered until this is dropped, and a socket is then gone.
pub struct Server {
    serving: JoinHandle<()>,
    /// Goes with this, and not where the task ends: the process may be gone before that does.
    _socket: Option<SocketFile>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answers. To be called within a tokio runtime.
///
/// # Errors
/// Where the runtime cannot wait for it.
pub fn start(bound: Bound, subject: Subject) -> io::Result<Server> {
    let (listener, socket) = Listener::of(bound)?;
    Ok(Server { serving: tokio::spawn(serve(listener, Arc::new(subject))), _socket: socket })
}

async fn serve(listener: Listener, subject: Arc<Subject>) {
    // Ends with this, and its clients with it.
    let mut conversations = JoinSet::new();
    let mut clients = VecDeque::<AbortHandle>::new();
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok(client) => {
                failing = false;
                while conversations.try_join_next().is_some() {}
                clients.retain(|client| !client.is_finished());
                if clients.len() >= CLIENTS
                    && let Some(longest) = clients.pop_front()
                {
                    longest.abort();
                }
                clients.push_back(conversations.spawn(converse(client, Arc::clone(&subject))));
            }
            Err(error) => {
                // Out of descriptors, most likely; they come back. Said once, not ten times a second.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!("metrics: {error}");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// A client that is slow, breaks off or does not speak HTTP is its own affair.
async fn converse(client: Box<dyn Stream>, subject: Arc<Subject>) {
    let answer = service_fn(|request| {
        let subject = Arc::clone(&subject);
        async move { Ok::<_, Infallible>(answer(request, subject).await) }
    });
    let mut http = http1::Builder::new();
    // The patience below is for all of it.
    http.keep_alive(false).max_buf_size(LONGEST).max_headers(64).header_read_timeout(None);
    let _ = tokio::time::timeout(PATIENCE, http.serve_connection(TokioIo::new(client), answer)).await;
}

async fn answer(request: Request<Incoming>, subject: Arc<Subject>) -> Response<String> {
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "here is /metrics and nothing else\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "metrics are there to be read: GET\n");
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let accepted = request.headers().get_all(ACCEPT).iter().filter_map(|header| header.to_str().ok());
    let format = Format::accepted(&accepted.collect::<Vec<_>>().join(","));
    // There may be very many values to look at: not on a thread that answers requests.
    let text = tokio::task::spawn_blocking(move || family::to_text(subject.families(), format)).await;
    let Ok(Ok(text)) = text else { return plain(StatusCode::INTERNAL_SERVER_ERROR, "a defect; see the log\n") };
    let mut response = plain(StatusCode::OK, &text);
    let kind = hyper::header::HeaderValue::from_static(format.content_type());
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn plain(status: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(text.to_owned());
    *response.status_mut() = status;
    response
}
