//! `hushfs refresh` and `hushfs flush`, on the daemon's side.

use std::ffi::OsStr;

use tokio::time::Instant;

use super::protocol::{Flushed, Outcome, RefreshError, Refreshed, RefreshedValue, Response};
use super::report::Reporter;
use crate::cache::{Failure, Renewed};
use crate::provider::{Error, ErrorKind, Identity, Known, VersionSelector};
use crate::tree::{Below, Node, Refusal, SecretNode, Which};

impl Reporter {
    /// Asks the providers for what memory holds.
    pub async fn refresh(&self, names: &[String]) -> Response {
        let below = match self.below(names) {
            Ok(below) => below,
            Err(why) => return Response::NoSuch { why },
        };
        let namespace = self.operations.namespace();
        let renewed = namespace.memory().renew(namespace.sources(), &below).await;
        let values: Vec<_> = renewed.into_iter().map(|renewed| self.renewed(renewed)).collect();
        let mut unknown = None;
        if values.is_empty() {
            match self.is_there(&below).await {
                Ok(true) => {}
                Ok(false) => {
                    let name = names.join("/");
                    let why = format!("there is no {name:?}, nor anything of it in memory; is the name right?");
                    return Response::NoSuch { why };
                }
                Err(error) => unknown = Some(error),
            }
        }
        Response::Refreshed(Box::new(Refreshed { values, unknown }))
    }

    /// Is there a secret or a folder by that name, or may it be a key of a secret that there is? No value is fetched for
    /// it. Names that an identity of its own has alone are known once that identity has been asked for.
    async fn is_there(&self, below: &Below) -> Result<bool, RefreshError> {
        let (scope, paths) = match below {
            Below::All | Below::Scope(_) => return Ok(true),
            Below::Path { scope, path, of } => (scope, [Some(path), of.as_ref()]),
            Below::Secret { scope, path } => (scope, [Some(path), None]),
        };
        let namespace = self.operations.namespace();
        let Some(own) = namespace.sources().own().get(scope) else { return Ok(false) };
        let identities = [Identity::Own].into_iter().chain(namespace.sources().identities_in(scope));
        let mut unknown = None;
        for identity in identities {
            for (path, is_key) in paths.into_iter().flatten().zip([false, true]) {
                let at = SecretNode { scope: scope.clone(), identity, path: path.clone() };
                match namespace.holds(&at, Instant::now() + own.scope.cache.timeout).await {
                    Ok(presence) if presence.is_nothing() || (is_key && presence.secret == Known::No) => {}
                    Ok(_) => return Ok(true),
                    Err(Refusal::NoSuchEntry) => {}
                    Err(refusal) => unknown = Some(refusal),
                }
            }
        }
        unknown.map_or(Ok(false), |refusal| Err(told(&refusal)))
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

fn told(refusal: &Refusal) -> RefreshError {
    let (kind, detail) = match refusal {
        Refusal::Failed(Failure::Provider(error) | Failure::Expired(error)) => (error.kind, error.detail.clone()),
        Refusal::Failed(Failure::Deadline) => (ErrorKind::TimedOut, "no answer in time".to_owned()),
        other => (ErrorKind::Malformed, format!("{other:?}")),
    };
    RefreshError { kind: kind.as_str().to_owned(), detail }
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
