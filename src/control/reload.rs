//! `hushfs reload`, as it is told over the control socket.

use std::fmt;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::config::{Changes, Entry, Replaced, Report, ScopeName};
use crate::words::counted;

/// Each with where its answer goes.
pub type ReloadRequests = mpsc::Receiver<oneshot::Sender<Reloaded>>;

/// `hushfs reload --json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reloaded {
    pub outcome: ReloadOutcome,
    /// What is another than before; nothing where nothing is reloaded.
    pub changes: ReloadChanges,
    /// Why nothing is reloaded.
    pub message: Option<String>,
    /// What is wrong with the configuration, and what about it should give pause.
    pub diagnostics: Vec<Entry>,
    /// The same for people; often empty.
    pub report: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReloadOutcome {
    /// The configuration holds, from its first setting to its last.
    Applied,
    /// It is wrong.
    Wrong,
    /// It changes what a mount that lives cannot change.
    NeedsRestart,
    /// Something else stood in the way.
    Failed,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ReloadChanges {
    pub scopes: ScopeChanges,
    pub grants: TableChanges,
    pub identities: TableChanges,
    /// Is root judged otherwise?
    pub root: bool,
    /// Is there another limit to memory?
    pub max_bytes: bool,
    /// Are decisions recorded elsewhere, or otherwise?
    pub audit: bool,
}

/// Scopes by their names.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ScopeChanges {
    pub added: Vec<String>,
    /// What was in memory of them is wiped.
    pub changed: Vec<String>,
    /// What is in memory of them stays, and is judged by the new settings.
    pub adjusted: Vec<String>,
    pub removed: Vec<String>,
    /// How many are what they were.
    pub unchanged: usize,
}

/// Tables, each as `file:line`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct TableChanges {
    /// Where they are written.
    pub added: Vec<String>,
    /// Where they were written.
    pub removed: Vec<String>,
    /// Are they the same in another order that counts?
    pub reordered: bool,
}

impl Reloaded {
    pub fn applied(changes: Changes, warnings: &Report) -> Self {
        let (diagnostics, report) = (warnings.entries(), warnings.render(false));
        Self { outcome: ReloadOutcome::Applied, changes: changes.into(), message: None, diagnostics, report }
    }

    pub fn refused(outcome: ReloadOutcome, why: String, report: &Report) -> Self {
        let (diagnostics, report) = (report.entries(), report.render(false));
        Self { outcome, changes: ReloadChanges::default(), message: Some(why), diagnostics, report }
    }
}

impl ReloadChanges {
    /// Is everything what it was?
    pub fn is_empty(&self) -> bool {
        let Self { scopes, grants, identities, root, max_bytes, audit } = self;
        let ScopeChanges { added, changed, adjusted, removed, unchanged: _ } = scopes;
        [added, changed, adjusted, removed].into_iter().all(Vec::is_empty)
            && grants.is_empty()
            && identities.is_empty()
            && !(*root || *max_bytes || *audit)
    }
}

/// One line, for a log.
impl fmt::Display for ReloadChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scopes, grants, identities, root, max_bytes, audit } = self;
        let ScopeChanges { added, changed, adjusted, removed, unchanged: _ } = scopes;
        f.write_str(&scopes.kept())?;
        for (names, word) in [(added, "added"), (changed, "changed"), (adjusted, "adjusted"), (removed, "removed")] {
            if !names.is_empty() {
                write!(f, ", {word}: {}", names.join(" "))?;
            }
        }
        for (tables, word) in [(grants, "grants"), (identities, "identities")] {
            if !tables.is_empty() {
                write!(f, ", {word}: {} added, {} removed", tables.added.len(), tables.removed.len())?;
            }
            if tables.reordered {
                write!(f, ", in another order")?;
            }
        }
        for (is_changed, what) in [(root, "what root may"), (max_bytes, "max_bytes"), (audit, "the audit log")] {
            if *is_changed {
                write!(f, ", another: {what}")?;
            }
        }
        Ok(())
    }
}

impl ScopeChanges {
    /// How many are what they were, in words.
    pub fn kept(&self) -> String {
        let what = if self.unchanged == 1 { "is what it was" } else { "are what they were" };
        format!("{} {what}", counted(self.unchanged, "scope"))
    }
}

impl TableChanges {
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && !self.reordered
    }
}

impl From<Changes> for ReloadChanges {
    fn from(changes: Changes) -> Self {
        let names = |scopes: Vec<ScopeName>| scopes.iter().map(ScopeName::to_string).collect();
        let scopes = ScopeChanges {
            added: names(changes.added),
            changed: names(changes.changed),
            adjusted: names(changes.adjusted),
            removed: names(changes.removed),
            unchanged: changes.unchanged,
        };
        let Changes { grants, identities, root, max_bytes, audit, .. } = changes;
        Self { scopes, grants: grants.into(), identities: identities.into(), root, max_bytes, audit }
    }
}

impl From<Replaced> for TableChanges {
    fn from(Replaced { added, removed, reordered }: Replaced) -> Self {
        Self { added, removed, reordered }
    }
}
