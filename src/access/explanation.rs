//! A decision told to people: the answer, each step that led to it, and what would make it a yes.

use serde::{Deserialize, Serialize};

/// `hushfs why --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Below the mountpoint, as in the audit log.
    pub path: String,
    /// `list`, `read` or `read-previous`.
    pub action: String,
    pub decision: Decision,
    pub caller: CallerShown,
    pub steps: Vec<Step>,
    /// What to change to make it a yes, the first hindrance first; empty where it is one.
    pub change: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    Allow,
    Deny,
}

/// Who was asked about. What is not known of them is null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerShown {
    pub uid: u32,
    pub user: Option<String>,
    pub gid: u32,
    /// The supplementary ones.
    pub groups: Option<Vec<u32>>,
    pub pid: Option<u32>,
    pub exe: Option<String>,
    pub unit: Option<String>,
    pub cgroup: Option<String>,
    pub container: Option<String>,
}

/// One thing that was asked on the way to the decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub stage: Stage,
    pub says: Says,
    /// In words.
    pub text: String,
    /// Where a statement is written: `file:line`.
    pub at: Option<String>,
    /// How old an answer is, in seconds.
    pub age: Option<u64>,
}

/// Who is asked, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// May this user reach the mount at all?
    Mount,
    Grant,
    /// As whom the provider is asked.
    Identity,
    /// What the provider's IAM is expected to say.
    Iam,
    /// What the provider says.
    Provider,
    /// What the kernel goes by, before hushfs is asked.
    Bits,
    /// Can it be recorded, where it must be?
    Audit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Says {
    Yes,
    No,
    Unknown,
    /// Nothing: it has no bearing on this caller.
    Nothing,
}

impl Stage {
    pub fn name(self) -> &'static str {
        match self {
            Self::Mount => "mount",
            Self::Grant => "grant",
            Self::Identity => "identity",
            Self::Iam => "iam",
            Self::Provider => "provider",
            Self::Bits => "bits",
            Self::Audit => "audit",
        }
    }
}

impl Says {
    pub fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "?",
            Self::Nothing => "-",
        }
    }
}

impl Step {
    pub fn new(stage: Stage, says: Says, text: impl Into<String>) -> Self {
        Self { stage, says, text: text.into(), at: None, age: None }
    }

    #[must_use]
    pub fn at(self, place: &str) -> Self {
        Self { at: Some(place.to_owned()), ..self }
    }

    #[must_use]
    pub fn aged(self, age: std::time::Duration) -> Self {
        Self { age: Some(age.as_secs()), ..self }
    }
}

impl Explanation {
    pub fn is_allowed(&self) -> bool {
        self.decision == Decision::Allow
    }
}
