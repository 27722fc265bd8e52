//! What a check says.

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Works, and is to be known.
    Note,
    /// Keeps hushfs from working, or from what it promises.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's name.
    pub check: &'static str,
    pub verdict: Verdict,
    /// What there is.
    pub what: String,
    /// What follows from it, or where it comes from.
    pub why: Option<String>,
    /// A command, or else what to do in words.
    pub mend: Option<String>,
}

impl Finding {
    pub fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, what: what.into(), why: None, mend: None }
    }

    pub fn note(check: &'static str, what: impl Into<String>) -> Self {
        Self { verdict: Verdict::Note, ..Self::ok(check, what) }
    }

    pub fn problem(check: &'static str, what: impl Into<String>) -> Self {
        Self { verdict: Verdict::Problem, ..Self::ok(check, what) }
    }

    pub fn why(self, why: impl Into<String>) -> Self {
        Self { why: Some(why.into()), ..self }
    }

    pub fn mend(self, mend: impl Into<String>) -> Self {
        Self { mend: Some(mend.into()), ..self }
    }
}
