//! What one line says.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

/// The version of the schema: raised when a field changes its meaning or goes, not when one is added.
pub const VERSION: u32 = 1;

/// One decision. Never a value; a field that is not known or does not apply is null.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// When it was decided.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// Below the mountpoint, as the caller sees it; see [`text`].
    pub path: String,
    pub action: Action,
    #[serde(rename = "decision")]
    pub outcome: Outcome,
    /// Why, in words.
    pub reason: String,
    /// What the caller was told, such as `EACCES`; none with a value.
    pub errno: Option<&'static str>,
    pub version: Option<String>,
    pub cache: Option<Cache>,
    /// Of the value, when it was given: whole seconds since it was fetched. None where none was given.
    pub age: Option<u64>,
    /// The identity that the provider was, or would have been, asked with.
    pub identity: Option<String>,
    pub uid: u32,
    pub gid: u32,
    /// The thread that asked, in the daemon's pid namespace; 0 where the caller is in none that it can see.
    pub pid: u32,
    /// The process of that thread.
    pub tgid: Option<u32>,
    /// What the process runs; see [`text`].
    pub exe: Option<String>,
    pub unit: Option<String>,
    pub container: Option<String>,
    /// From the request to the decision, in microseconds.
    pub latency_us: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    List,
    Read,
    ReadPrevious,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Allow,
    Deny,
    /// The caller may, but there was nothing to give: the provider could not be reached, for one.
    Error,
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cache {
    /// From memory.
    Hit,
    /// From the provider.
    Miss,
    /// From memory, past its ttl, because the provider could not be reached.
    Stale,
}

/// One line of the log.
#[derive(Debug, Clone)]
pub enum Event {
    Decision(Box<Record>),
    Lost(Lost),
}

/// Records that this sink did not get.
#[derive(Debug, Clone, Serialize)]
pub struct Lost {
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    pub sink: &'static str,
    pub count: u64,
    /// When the first of them should have been written.
    #[serde(serialize_with = "rfc3339")]
    pub since: SystemTime,
    /// Why, as far as it was seen last.
    pub reason: String,
}

impl Record {
    /// The same request, refused because its record could not be written.
    pub(super) fn refused(&self, why: &str) -> Self {
        Self {
            time: SystemTime::now(),
            outcome: Outcome::Deny,
            reason: format!("audit.required: {why}"),
            errno: Some("EIO"),
            age: None,
            ..self.clone()
        }
    }
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Read => "read",
            Self::ReadPrevious => "read-previous",
        }
    }
}

impl Outcome {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Error => "error",
        }
    }
}

/// A path as text, reversibly: a backslash is doubled, and a byte that is no UTF-8 becomes `\xNN`.
pub fn text(path: &OsStr) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// UTC with microseconds. A clock beyond what RFC 3339 can write is shown at the nearest end of it.
fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    const LAST_SECOND_OF_9999: Duration = Duration::from_secs(253_402_300_799);
    let time = (*time).clamp(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + LAST_SECOND_OF_9999);
    serializer.collect_str(&humantime::format_rfc3339_micros(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_as_text_can_be_told_from_every_other() {
        assert_eq!(text(OsStr::new("prod/db/Ä")), "prod/db/Ä");
        assert_eq!(text(OsStr::from_bytes(b"a\xff\\xff")), "a\\xff\\\\xff");
    }
}
