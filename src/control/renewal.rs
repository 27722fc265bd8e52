//! `hushfs refresh` and `hushfs flush`, on the daemon's side.

use std::ffi::OsStr;

use tokio::time::Instant;

use super::protocol::{Flushed, Outcome, RefreshError, Refreshed, RefreshedValue, Response};
use super::report::Reporter;
use crate::cache::{Failure, Renewed};
use crate::fs::why_refused;
use crate::provider::{Error, ErrorKind, Identity, Known, Presence, VersionSelector};
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
                    Ok(presence) => match is_it(&presence, is_key) {
                        Known::Yes => return Ok(true),
                        Known::No => {}
                        Known::Unknown => unknown = Some(unsaid()),
                    },
                    Err(Refusal::NoSuchEntry) => {}
                    Err(refusal) => unknown = Some(told(&refusal)),
                }
            }
        }
        unknown.map_or(Ok(false), Err)
    }

    /// Forgets and wipes.
    pub fn flush(&self, names: &[String]) -> Response {
        let below = match self.below(names) {
            Ok(below) => below,
            Err(why) => return Response::NoSuch { why },
        };
        let memory = self.operations.namespace().memory();
        let meant = memory.meant(&below);
        // What it looks at is let go of before it is to be wiped.
        let is_known = self.is_known(&meant, &memory.values()) || self.is_listed(&meant);
        let forgotten = memory.forget(&below);
        self.operations.namespace().sources().close_connections(below.scope());
        let open = self.operations.holders(&meant).len();
        Response::Flushed(Flushed {
            values: forgotten.values,
            listings: forgotten.listings,
            names: forgotten.names,
            open,
            unknown: !is_known && forgotten.values + forgotten.names + open == 0,
        })
    }

    /// Is it in a listing that memory holds, or may it be a key of a secret that is?
    fn is_listed(&self, below: &Below) -> bool {
        let (scope, path, of) = match below {
            Below::All | Below::Scope(_) => return true,
            Below::Path { scope, path, of } => (scope, path, of.as_ref()),
            Below::Secret { scope, path } => (scope, path, None),
        };
        let namespace = self.operations.namespace();
        let sources = namespace.sources().all();
        let of_scope = sources.iter().filter(|source| source.scope.name == *scope);
        let mut listings = of_scope.filter_map(|source| namespace.memory().known_listing(source));
        listings.any(|listing| {
            let is_secret = |of| listing.value.find(of).is_some_and(|child| child.is_secret);
            listing.value.find(path).is_some() || of.is_some_and(is_secret)
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
            Err(failure) => {
                let error = error_of(failure);
                let outcome = outcome(error.kind);
                let kept = (outcome == Outcome::Failed).then(|| before.clone());
                (outcome, kept, Some(error))
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

/// Is there a secret or a folder, or may there be a key of it, where that is at its name?
fn is_it(presence: &Presence, is_key: bool) -> Known {
    match (presence.secret, presence.children) {
        (Known::Yes, _) => Known::Yes,
        (_, Known::Yes) if !is_key => Known::Yes,
        (Known::No, Known::No) => Known::No,
        (Known::No, _) if is_key => Known::No,
        (Known::No | Known::Unknown, _) => Known::Unknown,
    }
}

fn unsaid() -> RefreshError {
    let detail = "the provider does not let the one who asks see whether there is anything by that name".to_owned();
    RefreshError { kind: ErrorKind::Denied.as_str().to_owned(), detail }
}

fn told(refusal: &Refusal) -> RefreshError {
    let error = match refusal {
        Refusal::Failed(failure) => error_of(failure.clone()),
        other => Error::new(ErrorKind::Malformed, why_refused(other)),
    };
    RefreshError { kind: error.kind.as_str().to_owned(), detail: error.detail }
}

fn error_of(failure: Failure) -> Error {
    match failure {
        Failure::Provider(error) | Failure::Expired(error) => error,
        Failure::Deadline => Error::new(ErrorKind::TimedOut, "no answer in time"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_there_is_not_or_is_not_known() {
        let (yes, no, unknown) = (Known::Yes, Known::No, Known::Unknown);
        for (secret, children, as_secret, as_key) in [
            (yes, unknown, yes, yes),
            (no, yes, yes, no),
            (no, no, no, no),
            (no, unknown, unknown, no),
            (unknown, yes, yes, unknown),
            (unknown, no, unknown, unknown),
            (unknown, unknown, unknown, unknown),
        ] {
            let presence = Presence { secret, children, changed: None };
            assert_eq!((is_it(&presence, false), is_it(&presence, true)), (as_secret, as_key), "{presence:?}");
        }
    }

    #[test]
    fn why_it_is_not_known_is_said_in_words() {
        let late = told(&Refusal::Failed(Failure::Deadline));
        assert_eq!((late.kind.as_str(), late.detail.as_str()), ("timed_out", "no answer in time"));
        assert_eq!(told(&Refusal::NoMemory).detail, "no memory for the answer");
    }
}
