//! What the kernel is to be told: what it remembers that is not so any more.

use std::collections::BTreeSet;

use tokio::sync::oneshot;

use crate::cache::ValueChange;
use crate::config::ScopeName;
use crate::tree::Node;

/// One thing that is not what it was.
pub enum News {
    Value(ValueChange),
    /// Another configuration holds. Sent to when the kernel has been told.
    Configuration(Outdated, oneshot::Sender<()>),
}

/// Where attributes, and who may see what, may be others than under the configuration before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outdated {
    /// Everywhere: grants, identities, or who is above them.
    pub everything: bool,
    /// In scopes that are others, or new.
    pub scopes: BTreeSet<ScopeName>,
    /// In scopes that are not there any more.
    pub gone: BTreeSet<ScopeName>,
}

impl Outdated {
    pub fn covers(&self, node: &Node) -> bool {
        self.everything
            || match node.scope() {
                Some(scope) => self.scopes.contains(scope) || self.gone.contains(scope),
                // It lists them.
                None => !(self.scopes.is_empty() && self.gone.is_empty()),
            }
    }
}
