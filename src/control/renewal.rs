//! `hushfs refresh` and `hushfs flush`, on the daemon's side.

use std::ffi::OsStr;

use super::protocol::{Flushed, Outcome, RefreshError, Refreshed, RefreshedValue, Response};
use super::report::Reporter;
use crate::cache::{Failure, Renewed};
use crate::provider::{Error, ErrorKind, Identity, VersionSelector};
use crate::tree::{Below, Node, Which};

impl Reporter {
    /// Asks the providers for what memory holds.
    pub async fn refresh(&self, names: &[String]) -> Response {
        let below = match self.below(names) {
            Ok(below) => below,
            Err(why) => return Response::NoSuch { why },
        };
        let namespace = self.operations.namespace();
        let renewed = namespace.memory().renew(namespace.sources(), &below).await;
        let values = renewed.into_iter().map(|renewed| self.renewed(renewed)).collect();
        Response::Refreshed(Box::new(Refreshed { values }))
    }

    /// Forgets and wipes.
    pub fn flush(&self, names: &[String]) -> Response {
        let below = match self.below(names) {
            Ok(below) => below,
            Err(why) => return Response::NoSuch { why },
        };
        let memory = self.operations.namespace().memory();
        let meant = memory.meant(&below);
        let forgotten = memory.forget(&below);
        self.operations.namespace().sources().close_connections(below.scope());
        let open = self.operations.holders(&meant).len();
        Response::Flushed(Flushed {
            values: forgotten.values,
            listings: forgotten.listings,
            names: forgotten.names,
            open,
        })
    }

    /// # Errors
    /// In words, where no file is ever called so, or there is no such scope.
    pub(super) fn below(&self, names: &[String]) -> Result<Below, String> {
        let spelled: Vec<&OsStr> = names.iter().map(OsStr::new).collect();
        let path = names.join("/");
        let below = Below::spelled(&spelled).ok_or_else(|| format!("no file is ever called {path:?} in this mount"))?;
        match below.scope() {
            Some(scope) if !self.operations.namespace().sources().own().contains_key(scope) => {
                Err(format!("there is no scope `{scope}` in this mount; look at those there are with: hushfs status"))
            }
            _ => Ok(below),
        }
    }

    fn renewed(&self, renewed: Renewed) -> RefreshedValue {
        let Renewed { key, before, after } = renewed;
        let identity = key.at.identity;
        let (outcome, after, error) = match after {
            Ok(after) if after == before => (Outcome::Unchanged, Some(after), None),
            Ok(after) => (Outcome::Changed, Some(after), None),
            Err(Failure::Provider(error) | Failure::Expired(error)) => {
                let outcome = outcome(error.kind);
                let kept = (outcome == Outcome::Failed).then(|| before.clone());
                (outcome, kept, Some(error))
            }
            Err(Failure::Deadline) => {
                let error = Error::new(ErrorKind::TimedOut, "no answer in time");
                (Outcome::Failed, Some(before.clone()), Some(error))
            }
        };
        let node = match &key.version {
            VersionSelector::Current => Node::Directory(key.at),
            VersionSelector::Previous => Node::Link(key.at, Which::Previous),
            VersionSelector::Named(id) => Node::Version(key.at, id.clone()),
        };
        RefreshedValue {
            path: node.path(),
            identity: self.operations.namespace().sources().label(identity).map(str::to_owned),
            user: match identity {
                Identity::Own => None,
                Identity::Other { user, .. } => user,
            },
            outcome,
            before,
            after,
            error: error.map(|error| RefreshError { kind: error.kind.as_str().to_owned(), detail: error.detail }),
        }
    }
}

/// What an error does to the value that was in memory.
fn outcome(kind: ErrorKind) -> Outcome {
    match kind {
        ErrorKind::NotFound => Outcome::Gone,
        ErrorKind::Denied | ErrorKind::CredentialsRejected | ErrorKind::TooLarge | ErrorKind::Malformed => {
            Outcome::Refused
        }
        ErrorKind::Throttled | ErrorKind::Unreachable | ErrorKind::TimedOut | ErrorKind::NoMemory => Outcome::Failed,
    }
}
