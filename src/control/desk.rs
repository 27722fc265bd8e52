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

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::SystemTime;

    use tokio::task::JoinSet;

    use super::*;
    use crate::access::Assignment;
    use crate::access::audit::AuditLog;
    use crate::access::policy::Policy;
    use crate::cache::{Clock, Memory, Sources, SystemClock};
    use crate::config::RootPolicy;
    use crate::fs::{Judge, Operations};
    use crate::tree::Namespace;

    /// Of a daemon that has nothing.
    pub(in crate::control) fn reporter() -> Reporter {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let memory = Memory::new(1 << 20, &clock, &tokio::runtime::Handle::current(), |_| {});
        let sources = Sources::new([].into_iter(), Vec::new(), Box::new(crate::provider::registry::build));
        let namespace = Namespace::new(Arc::new(sources.ok().unwrap()), Arc::new(memory));
        let audit = AuditLog::start(&crate::config::AuditSettings::default()).unwrap();
        let judge = Judge::new(Policy::new(Vec::new(), 0, 0, RootPolicy::Allow), Assignment::default(), Arc::default());
        let operations = Operations::new(Arc::new(namespace), judge, Arc::new(audit), PathBuf::new());
        Reporter {
            operations: Arc::new(operations),
            mountpoint: PathBuf::from("/nowhere"),
            started: SystemTime::UNIX_EPOCH,
            had_predecessor: false,
            max_bytes: 1 << 20,
            allow_other: false,
        }
    }

    #[tokio::test]
    async fn of_more_requests_than_32_the_next_is_refused_until_one_of_them_is_done() {
        let (reload, mut asked) = mpsc::channel(1);
        let desk = Arc::new(Desk::new(Box::new(reporter), reload));
        let mut working = JoinSet::new();
        for _ in 0..32 {
            let desk = Arc::clone(&desk);
            working.spawn(async move { desk.answer(b"{\"command\":\"reload\"}", None).await });
        }
        let mut pending = Vec::new();
        while pending.len() < 32 {
            tokio::select! {
                asked = asked.recv() => pending.push(asked.unwrap()),
                answer = working.join_next() => panic!("not worked on: {answer:?}"),
            }
        }
        let refused = || async {
            let answer = desk.answer(b"{\"command\":\"flush\",\"names\":[]}", None).await;
            matches!(answer, Response::Refused { why } if why.starts_with("32 requests are worked on"))
        };
        assert!(refused().await && refused().await, "whoever is refused is not worked on");
        drop(pending.pop());
        assert!(working.join_next().await.is_some());
        assert!(!refused().await);
    }
}
