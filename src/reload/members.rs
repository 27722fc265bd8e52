//! Whom a configuration names, who is in which of its groups, and what it lets them do.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::access::Assignment;
use crate::access::groups::Groups;
use crate::access::policy::{Policy, Principal};
use crate::config::Config;
use crate::fs::Judge;
use crate::sandbox::{self, Owner};

/// Who is in which group, asked again and again for as long as this is there.
pub struct Members {
    pub groups: Arc<Groups>,
    asking: Option<JoinHandle<()>>,
}

impl Members {
    /// Ready when the name service has answered once, so that the first bits are right.
    pub async fn of(config: &Config) -> Self {
        let (groups, principals) = (Arc::new(Groups::default()), principals(config));
        let owner = sandbox::owner().uid;
        let asking = if principals.is_empty() {
            None
        } else {
            Some(groups.follow(principals.into_iter().cloned().collect(), owner).await)
        };
        Self { groups, asking }
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        if let Some(asking) = &self.asking {
            asking.abort();
        }
    }
}

/// Whom grants and identities name.
pub fn principals(config: &Config) -> HashSet<&Principal> {
    let granted = config.grants.iter().flat_map(|grant| &grant.principals);
    granted.chain(config.identities.iter().flat_map(|identity| &identity.principals)).collect()
}

/// Who may do what, as the configuration has it.
pub fn judge(config: &Config, members: &Members) -> Judge {
    let Owner { uid, gid } = sandbox::owner();
    let policy = Policy::new(config.grants.clone(), uid, gid, config.root);
    Judge::new(policy, Assignment::new(config.identities.clone()), Arc::clone(&members.groups))
}
