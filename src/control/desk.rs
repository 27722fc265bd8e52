//! What is done with a request.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::protocol::{Request, Response};
use super::reload::Reloaded;
use super::report::Reporter;

/// Requests that are worked on at a time: `refresh`, `why` and `reload` may take long, and each of them holds a
/// descriptor.
const WORKED_ON: usize = 32;
/// How long the answer may take, providers asked.
const LONGEST_ANSWER: Duration = Duration::from_secs(50);

/// Makes a reporter, anew for each request: it tells of the configuration that holds, and to its end of the same.
pub type MakeReporter = Box<dyn Fn() -> Reporter + Send + Sync>;

/// Who answers.
pub struct Desk {
    reporter: MakeReporter,
    /// Who loads the configuration, and where to say what came of it.
    reload: mpsc::Sender<oneshot::Sender<Reloaded>>,
    worked_on: AtomicUsize,
}

/// One of those that are worked on.
struct Work<'a>(&'a AtomicUsize);

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Desk {
    pub fn new(reporter: MakeReporter, reload: mpsc::Sender<oneshot::Sender<Reloaded>>) -> Self {
        Self { reporter, reload, worked_on: AtomicUsize::new(0) }
    }

    /// Answers a line of the process `pid`, who may ask.
    pub async fn answer(&self, line: &[u8], pid: Option<i32>) -> Response {
        let Some(_work) = self.work() else {
            return Response::Refused {
                why: format!("{WORKED_ON} requests are worked on; ask again when one is done"),
            };
        };
        match serde_json::from_slice(line) {
            Ok(request) => self.respond(request, pid).await,
            Err(error) => Response::Refused { why: format!("not a request: {error}") },
        }
    }

    async fn respond(&self, request: Request, pid: Option<i32>) -> Response {
        let reporter = (self.reporter)();
        match request {
            Request::Status => Response::Status(Box::new(reporter.status())),
            Request::Why { names, who } => {
                let why = tokio::time::timeout(LONGEST_ANSWER, reporter.why(names, who, pid)).await;
                why.unwrap_or_else(|_| Response::NoSuch { why: "no answer in time; see hushfs status".into() })
            }
            // Bounded by the scopes' timeouts: as many values as there are may take their time.
            Request::Refresh { names } => reporter.refresh(&names).await,
            Request::Flush { names } => reporter.flush(&names),
            Request::Readers { names } => {
                // It looks at processes.
                let told = tokio::task::spawn_blocking(move || reporter.readers(&names)).await;
                told.unwrap_or_else(|_| Response::NoSuch { why: "it was broken off".into() })
            }
            Request::Reload => {
                // What holds now is not to be held by who asks for another.
                drop(reporter);
                self.reload().await
            }
        }
    }

    async fn reload(&self) -> Response {
        let (answer, reloaded) = oneshot::channel();
        let is_asked = self.reload.send(answer).await.is_ok();
        match reloaded.await {
            Ok(reloaded) if is_asked => Response::Reloaded(Box::new(reloaded)),
            Ok(_) | Err(_) => Response::NoSuch { why: "the daemon is about to end, and reloads nothing".into() },
        }
    }

    fn work(&self) -> Option<Work<'_>> {
        let more = |count| (count < WORKED_ON).then_some(count + 1);
        self.worked_on.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Work(&self.worked_on))
    }
}
