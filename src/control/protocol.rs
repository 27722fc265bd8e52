//! What is said over the control socket.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reload::Reloaded;
use crate::access::explanation::Explanation;
use crate::sandbox::Layer;

/// A command to the daemon.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    Status,
    Why {
        /// The names of the path, from the mountpoint on.
        names: Vec<String>,
        who: Who,
    },
    Refresh {
        /// As above; none for everything.
        names: Vec<String>,
    },
    Flush {
        names: Vec<String>,
    },
    Reload,
    Readers {
        names: Vec<String>,
    },
}

/// Whom a question is about.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// The process that asks.
    Myself,
    User(String),
    Uid(u32),
    /// A process, or a thread, that lives.
    Pid(u32),
}

/// The daemon's answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Response {
    Status(Box<Status>),
    Why(Box<Explanation>),
    Refreshed(Box<Refreshed>),
    Flushed(Flushed),
    Reloaded(Box<Reloaded>),
    Readers(Box<ReadersReport>),
    /// There is no such user, process or place, so there is nothing to tell.
    NoSuch {
        why: String,
    },
    /// The request was not understood or not allowed.
    Refused {
        why: String,
    },
}

/// `hushfs refresh --json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refreshed {
    /// One for each value that was in memory, in the order of their paths.
    pub values: Vec<RefreshedValue>,
    /// Nothing was, and whether there is anything by that name could not be found out.
    #[serde(default)]
    pub unknown: Option<RefreshError>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct RefreshedValue {
    /// The secret's, below the mountpoint; of a version that was asked for by a name of its own with that.
    pub path: String,
    /// As whom the provider was asked, where that is an `[[identity]]`.
    pub identity: Option<String>,
    /// For which user, where the provider is told that.
    pub user: Option<u32>,
    pub outcome: Outcome,
    /// The version that was in memory.
    pub before: String,
    /// The version that is in memory now: of a failure what it was.
    pub after: Option<String>,
    /// Of a refusal and of a failure.
    pub error: Option<RefreshError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Changed,
    Unchanged,
    /// The provider says that there is no such secret, or no such version.
    Gone,
    /// The provider refuses it, or its answer cannot be served: it is not in memory any more.
    Refused,
    /// No answer: the last good value is as it was.
    Failed,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct RefreshError {
    /// As in `hushfs status`.
    pub kind: String,
    pub detail: String,
}

/// `hushfs flush --json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Flushed {
    /// Values that were in memory.
    pub values: usize,
    pub listings: usize,
    /// Answers about single names, and refusals.
    pub names: usize,
    /// Files below the path that are open: each keeps its value until it is closed.
    pub open: usize,
    /// Nothing by that name was in memory, in a listing or known to the kernel. No provider was asked.
    #[serde(default)]
    pub unknown: bool,
}

/// `hushfs readers --json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReadersReport {
    /// Nothing is known of reads before, but of files that are still open.
    pub since: String,
    /// An earlier daemon had the mount before: what was read and closed then is not known.
    pub had_predecessor: bool,
    /// Files below the path that are being opened at this moment: of which version is not known yet.
    pub opening: usize,
    /// Files that are open since an earlier daemon, anywhere in the mount, and it is not known of what.
    pub unknown: usize,
    /// Versions of which nothing is known any more, because there were too many.
    pub dropped: u64,
    /// Those that have been read, or are open, in the order of their paths.
    pub secrets: Vec<SecretReaders>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct SecretReaders {
    /// Below the mountpoint.
    pub path: String,
    /// The version that memory serves; of several identities what was fetched last.
    pub current: Option<String>,
    /// When that was fetched.
    pub fetched: Option<String>,
    /// The one that was read last comes first.
    pub versions: Vec<VersionReaders>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct VersionReaders {
    pub version: String,
    pub is_current: bool,
    /// It is not the current one, nobody has it open, and nobody is given it as the current one.
    pub may_be_revoked: bool,
    /// Why, or why not yet.
    pub why: String,
    /// How often a file of it was opened.
    pub reads: u64,
    pub last: Option<Reader>,
    pub open: Vec<Reader>,
}

/// Who opened a file, and when. Null where it is not known.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reader {
    pub at: Option<String>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// The process; where that is not known its thread.
    pub pid: u32,
    pub exe: Option<String>,
    pub unit: Option<String>,
    pub container: Option<String>,
}

/// `hushfs status --json`. Times are RFC 3339 in UTC, durations in seconds, sizes in bytes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    pub mountpoint: String,
    pub started: String,
    /// Open files and directories.
    pub open: usize,
    /// Files and directories that the kernel remembers.
    pub inodes: usize,
    /// What the daemon has under way at the same time, requests that wait for a provider included.
    pub tasks: usize,
    pub cache: CacheStatus,
    pub audit: AuditStatus,
    /// What the daemon has given up, layer by layer.
    pub sandbox: Vec<Layer>,
    pub scopes: Vec<ScopeStatus>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct CacheStatus {
    pub values: u64,
    pub bytes: u64,
    pub max_bytes: u64,
    pub hits: u64,
    pub misses: u64,
    /// Served past their ttl because the provider could not be reached.
    pub stale: u64,
    /// Memory set aside for values, and how much of it the kernel refused to lock.
    pub memory_mapped: usize,
    pub memory_unlocked: usize,
    /// Is all memory of the daemon locked, and not that for values alone?
    #[serde(default)]
    pub memory_all_locked: bool,
}

/// The audit log.
#[derive(Debug, Serialize, Deserialize)]
pub struct AuditStatus {
    pub sinks: Vec<SinkStatus>,
    /// Records that found the queue full, and are in no sink's count yet.
    pub overflow: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct SinkStatus {
    pub sink: String,
    pub written: u64,
    /// Since the start, whether or not the sink has been told since.
    pub lost: u64,
    /// Why it takes nothing at present.
    pub failing: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct ScopeStatus {
    pub name: String,
    /// As whom the provider is asked, where that is an `[[identity]]`; each has a status of its own.
    pub identity: Option<String>,
    /// For which user, where the provider is told that.
    pub user: Option<u32>,
    pub provider: String,
    /// When the provider last answered anything, a refusal included.
    pub last_answer: Option<String>,
    pub last_error: Option<ErrorStatus>,
    /// Did the provider answer the last call, and take our credentials? None before the first.
    #[serde(default)]
    pub up: Option<bool>,
    /// Opens of files that were granted.
    #[serde(default)]
    pub reads: ReadStatus,
    pub calls: CallStatus,
    /// Of the scope: all its identities share it.
    pub budget: BudgetStatus,
    /// Calls that failed since the start, by the kind of error.
    #[serde(default)]
    pub failures: BTreeMap<String, u64>,
    /// Secrets in the listing in memory, if there is one.
    pub listed: Option<usize>,
    /// Values in memory.
    pub values: usize,
    /// Age in seconds of the oldest of them.
    pub oldest: Option<u64>,
    /// Of all of them; None without any.
    #[serde(default)]
    pub ages: Option<AgeStatus>,
    /// What could not be shown, and why.
    pub left_out: Vec<LeftOut>,
}

/// Where readers got their values from, since the start.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ReadStatus {
    /// From memory.
    pub hit: u64,
    /// Fetched for that read.
    pub miss: u64,
    /// From memory, past the ttl: the provider could not be reached.
    pub stale: u64,
}

/// How long ago values in memory were fetched, in seconds.
#[derive(Debug, Serialize, Deserialize)]
pub struct AgeStatus {
    pub newest: u64,
    pub median: u64,
    pub oldest: u64,
    /// How many of them are not fresh any more: they are fetched anew when they are read.
    pub past_ttl: usize,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorStatus {
    pub kind: String,
    pub detail: String,
    pub at: String,
}

/// Calls to the provider since the start.
#[derive(Debug, Serialize, Deserialize)]
pub struct CallStatus {
    pub list: u64,
    pub look: u64,
    pub fetch: u64,
    /// Questions about permissions.
    pub iam: u64,
    pub errors: u64,
    /// How long a call took on average, in milliseconds; None before the first.
    #[serde(default)]
    pub mean_ms: Option<f64>,
}

/// How many calls the provider may get.
#[derive(Debug, Serialize, Deserialize)]
pub struct BudgetStatus {
    /// The setting `calls`; none where there is no limit.
    pub limit: Option<String>,
    /// Calls that could be made at once.
    pub left: Option<u32>,
    /// Calls that were not made since the start, because of the limit or of a pause that the provider asked for.
    pub refused: u64,
    /// The provider has asked for a pause that lasts until then.
    pub throttled_until: Option<String>,
    /// After such a pause: calls are made one by one, then a few at a time.
    pub recovering: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct LeftOut {
    pub name: String,
    pub why: String,
}
