//! Why nothing is reloaded.

use crate::config::{Report, Severity};
use crate::control::{ReloadOutcome, Reloaded};

/// Why nothing is changed.
pub enum Refused {
    Wrong(Report),
    /// A scope's settings cannot work.
    Unworkable(String),
    /// What only a restart can do.
    Fixed(Vec<String>),
    Failed(String),
}

impl Refused {
    /// Says so in the log, and to whoever asked.
    pub fn tell(self) -> Reloaded {
        let (outcome, message, report) = match self {
            Self::Wrong(report) => {
                let count = match report.errors() {
                    1 => "an error".to_owned(),
                    many => format!("{many} errors"),
                };
                log(&report);
                (ReloadOutcome::Wrong, format!("{count} in the configuration"), report)
            }
            Self::Unworkable(why) => (ReloadOutcome::Wrong, why, Report::default()),
            Self::Fixed(fixed) => {
                let why = format!("{}; restart it for that: systemctl restart hushfs", fixed.join("; "));
                (ReloadOutcome::NeedsRestart, why, Report::default())
            }
            Self::Failed(why) => (ReloadOutcome::Failed, why, Report::default()),
        };
        tracing::error!("nothing is reloaded, everything stays as it was: {message}");
        Reloaded::refused(outcome, message, &report)
    }
}

/// A line for each.
pub fn log(report: &Report) {
    for entry in report.entries() {
        match entry.severity {
            Severity::Error => tracing::error!("{entry}"),
            Severity::Warning => tracing::warn!("{entry}"),
        }
    }
}
