//! From a request and its outcome to a line of the audit log.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::errno;
use crate::access::Caller;
use crate::access::audit::{Action, AuditLog, Cache, Outcome, Record, text};
use crate::access::evidence::Evidence;
use crate::cache::Failure;
use crate::provider::ErrorKind;
use crate::tree::Refusal;

/// Writes one record per decision. Without a sink nothing is looked at and nothing is made.
pub struct Recorder {
    log: Arc<AuditLog>,
}

/// A request.
pub struct Asked {
    pub evidence: Evidence,
    /// As whom the provider is asked, if not as the scope's own identity.
    identity: OnceLock<String>,
    since: Instant,
}

/// What was asked of what.
pub struct Question {
    /// Below the mountpoint.
    pub path: String,
    pub action: Action,
    /// The version that the path names, if it names one.
    pub version: Option<String>,
}

/// Why a request is granted, and what its caller gets.
pub struct Granted {
    /// The statement, in words.
    pub why: String,
    pub version: Option<String>,
    pub cache: Option<Cache>,
    /// Of a value.
    pub age: Option<Duration>,
}

impl Recorder {
    pub fn new(log: Arc<AuditLog>) -> Self {
        Self { log }
    }

    pub fn log(&self) -> &AuditLog {
        &self.log
    }

    /// To be called when the request is there: its caller is older than this.
    pub fn asked(caller: &Caller) -> Asked {
        Asked::of(Evidence::of(*caller))
    }

    /// Is there a sink? If not, nothing need be prepared.
    pub fn is_on(&self) -> bool {
        self.log.is_enabled()
    }

    /// Ready when the record is written. An error means that nothing may be given.
    pub async fn granted(
        &self,
        asked: &Asked,
        question: Question,
        granted: Granted,
        deadline: Instant,
    ) -> Result<(), Refusal> {
        let Granted { why, version, cache, age } = granted;
        let mut record = asked.record(question, Outcome::Allow, why);
        record.version = version;
        record.cache = cache;
        record.age = age.as_ref().map(Duration::as_secs);
        self.log.write(record, deadline).await.map_err(|error| {
            tracing::warn!(uid = asked.evidence.caller().uid, pid = asked.evidence.caller().pid, "refused: {error}");
            Refusal::NotRecorded
        })
    }

    /// Ready when the record is written, or cannot be: nothing is given either way.
    pub async fn refused(&self, asked: &Asked, question: Question, refusal: &Refusal, deadline: Instant) {
        let (outcome, reason) = judge(refusal);
        let mut record = asked.record(question, outcome, reason);
        record.errno = Some(errno::name(errno::of(refusal)));
        let _ = self.log.write(record, deadline).await;
    }
}

impl Asked {
    pub fn of(evidence: Evidence) -> Self {
        Self { evidence, identity: OnceLock::new(), since: Instant::now() }
    }

    /// Notes as whom the provider is asked, for the log.
    pub fn under(&self, identity: &str) {
        // One request is about one scope, so it is the same each time.
        let _ = self.identity.get_or_init(|| identity.to_owned());
    }

    /// Reads who the caller is from /proc, if that has not been done. What has not been read by the time the
    /// caller is answered, or killed, may be gone.
    pub fn gather(&self) {
        self.evidence.gather();
    }

    /// Since the request was there.
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    fn record(&self, Question { path, action, version }: Question, outcome: Outcome, reason: String) -> Record {
        self.gather();
        let Caller { uid, gid, pid } = *self.evidence.caller();
        let shown = |path: &Path| text(path.as_os_str());
        let cgroup = self.evidence.cgroup();
        Record {
            time: SystemTime::now(),
            path,
            action,
            outcome,
            reason,
            errno: None,
            version,
            cache: None,
            age: None,
            identity: self.identity.get().cloned(),
            uid,
            gid,
            pid,
            tgid: self.evidence.tgid(),
            exe: self.evidence.executable().map(|executable| shown(executable.shown())),
            unit: cgroup.and_then(|cgroup| cgroup.unit()).map(str::to_owned),
            container: cgroup.and_then(|cgroup| cgroup.container()).map(|container| container.id.clone()),
            latency_us: u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX),
        }
    }
}

/// Did somebody say no, or was there nothing to be had from the provider? That is recorded wherever it is met: where a
/// path cannot be looked up no `open` follows.
pub fn counts_as_failed(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::NotPermitted { .. } | Refusal::Failed(_))
}

/// Why, in words.
pub fn reason(refusal: &Refusal) -> String {
    judge(refusal).1
}

fn judge(refusal: &Refusal) -> (Outcome, String) {
    let of_provider = |kind: ErrorKind| format!("provider: {}", kind.as_str());
    let reason = match refusal {
        Refusal::NotPermitted { why } => return (Outcome::Deny, why.clone()),
        Refusal::Failed(Failure::Provider(error)) => {
            let refuses = matches!(error.kind, ErrorKind::Denied | ErrorKind::CredentialsRejected);
            return (if refuses { Outcome::Deny } else { Outcome::Error }, of_provider(error.kind));
        }
        Refusal::Failed(Failure::Expired(error)) => format!("{}, for longer than max_stale", of_provider(error.kind)),
        Refusal::Failed(Failure::Deadline) => "provider: no answer within timeout".to_owned(),
        Refusal::Interrupted => "the caller was interrupted".to_owned(),
        Refusal::NoSuchEntry => "no such file".to_owned(),
        Refusal::NoMemory => "no memory for the answer".to_owned(),
        Refusal::NameTooLong
        | Refusal::NotADirectory
        | Refusal::NotALink
        | Refusal::ReadOnly
        | Refusal::NoAttribute
        | Refusal::BufferTooSmall
        | Refusal::Unknown
        | Refusal::NotRecorded
        | Refusal::Defect => "not a request that can be answered".to_owned(),
    };
    (Outcome::Error, reason)
}
