//! Metrics for Prometheus and its kin, over a Unix socket or a loopback port.
//!
//! Nothing is collected until somebody asks: the program counts where things happen (`cache::Traffic`, `fs::tally`),
//! and an answer is made of what the counts say at that moment. `family` is the form of it, `daemon`, `scopes`,
//! `secrets` and `process` are what there is, `server` and `listener` how it is asked for. Labels name scopes and
//! identities; secrets only where the configuration says so, and keys never.

mod daemon;
mod family;
mod listener;
mod process;
mod scopes;
mod secrets;
mod server;

use std::sync::Arc;
use std::time::SystemTime;

use self::family::Family;
use crate::fs::Serving;

pub use listener::Bound;
pub use server::{Server, start};

/// What the metrics are of.
pub struct Subject {
    pub serving: Arc<Serving>,
    pub started: SystemTime,
    /// May secrets be named?
    pub names: bool,
}

impl Subject {
    fn families(&self) -> Vec<Family> {
        // Of the configuration that holds at this moment, and let go of at the end: a reload waits for that.
        let operations = self.serving.now();
        let values = operations.namespace().memory().values();
        let mut families = daemon::families(&operations, &values);
        families.extend(scopes::families(operations.namespace(), &values));
        if self.names {
            families.extend(secrets::families(operations.namespace(), &values));
        }
        families.extend(process::families(self.started));
        families
    }
}
