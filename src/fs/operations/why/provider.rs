//! What the provider's IAM is expected to say, and what the provider does say.

use super::Inquiry;
use crate::access::explanation::{Says, Stage, Step};
use crate::cache::Failure;
use crate::fs::{errno, recorder};
use crate::provider::{ErrorKind, Known, Permission};
use crate::tree::{Node, Refusal};

impl Inquiry<'_> {
    /// `granted`: nobody is asked for who may not.
    pub(super) async fn provider(&mut self, granted: bool, stopped: Option<Refusal>) {
        // At the same time, so that the answer takes no longer than the slower one.
        let (expected, found) = tokio::join!(self.expected(), self.found(granted, stopped));
        self.steps.extend(expected);
        match found {
            None => {}
            Some(Ok(step)) => self.steps.push(step),
            Some(Err(refusal)) => self.refused_by_provider(&refusal),
        }
    }

    /// What IAM says of reading the secret's current value.
    async fn expected(&self) -> Option<Step> {
        let at = self.node.secret()?;
        let namespace = self.operations.namespace();
        let own = namespace.sources().own().get(&at.scope)?;
        let lifetime = own.scope.cache.iam_ttl;
        let predictions = &namespace.memory().predictions;
        if lifetime.is_zero() {
            return Some(Step::new(Stage::Iam, Says::Unknown, "IAM is not asked (iam_ttl = \"0\")"));
        }
        if let Some(known) = predictions.of(own.generation, at, lifetime) {
            return Some(step(&known.permission).aged(known.age));
        }
        let asker = match namespace.sources().asker(&at.scope, at.identity)? {
            Ok(asker) => asker,
            Err(error) => return Some(Step::new(Stage::Iam, Says::Unknown, error.detail)),
        };
        let asked = predictions.ask_now(asker, at.identity, &at.path);
        match tokio::time::timeout_at(self.deadline, asked).await {
            Ok(Ok(permission)) => Some(step(&permission).aged(std::time::Duration::ZERO)),
            Ok(Err(error)) => Some(Step::new(Stage::Iam, Says::Unknown, error.detail)),
            Err(_) => Some(Step::new(Stage::Iam, Says::Unknown, "IAM did not answer within the scope's timeout")),
        }
    }

    /// What is there for this caller; None where that is not to be found out.
    async fn found(&self, granted: bool, stopped: Option<Refusal>) -> Option<Result<Step, Refusal>> {
        if !granted {
            return None;
        }
        if let Some(refusal) = stopped {
            return Some(Err(refusal));
        }
        let (operations, asked) = (self.operations, self.asked);
        match &self.node {
            Node::Root => None,
            Node::File(..) => Some(match operations.read(asked, &self.node, self.deadline).await {
                Ok((granted, _)) => Ok(self.read(granted.version.as_deref().unwrap_or("?"))),
                Err(refusal) => Err(refusal),
            }),
            Node::Scope(..) | Node::Directory(_) | Node::Version(..) => {
                let entries = operations.entries(asked, &self.node, self.deadline).await;
                let text = |count| format!("the provider lists it: {count} entries before grants are asked about each");
                Some(entries.map(|(_, _, entries)| Step::new(Stage::Provider, Says::Yes, text(entries.len()))))
            }
            Node::Link(..) => {
                let target = operations.target(asked, &self.node, self.deadline).await;
                Some(target.map(|target| Step::new(Stage::Provider, Says::Yes, format!("it points to {target}"))))
            }
        }
    }

    fn read(&self, version: &str) -> Step {
        let memory = self.operations.namespace().memory();
        let step = Step::new(Stage::Provider, Says::Yes, format!("the provider gave version {version}"));
        match self.node.secret().and_then(|at| self.operations.namespace().current(at)) {
            Some(good) => step.aged(memory.age(&good)),
            None => step,
        }
    }

    fn refused_by_provider(&mut self, refusal: &Refusal) {
        let (detail, advice) = match refusal {
            Refusal::NoSuchEntry => match self.last_word() {
                Some(detail) => (
                    detail,
                    Some(
                        "bring it back at the provider, or read another version by its name; what is there again is found \
                         after negative_ttl, or at once after hushfs refresh"
                            .to_owned(),
                    ),
                ),
                None => (
                    "there is no such scope, secret, key or version".to_owned(),
                    Some(
                        "look what there is, with `ls`; a name that was made just now is found after negative_ttl"
                            .to_owned(),
                    ),
                ),
            },
            Refusal::NotPermitted { why } => (why.clone(), None),
            Refusal::Failed(failure) => self.failure(failure),
            other => (recorder::reason(other), None),
        };
        let text = format!("{detail} ({})", errno::name(errno::of(refusal)));
        let age = self.node.secret().and_then(|at| {
            let namespace = self.operations.namespace();
            let last = namespace.memory().last_fetch(namespace.generation(&at.scope)?, at)?;
            last.bad.as_ref().map(|bad| bad.at)
        });
        let step = Step::new(Stage::Provider, Says::No, text);
        let now = self.operations.namespace().memory().now();
        self.steps.push(match age {
            Some(at) => step.aged(now.saturating_sub(at)),
            None => step,
        });
        self.change.extend(advice);
    }

    /// What the provider said when it last had no current version of the secret.
    fn last_word(&self) -> Option<String> {
        let (Node::Directory(at) | Node::File(at, None, _)) = &self.node else { return None };
        let namespace = self.operations.namespace();
        let last = namespace.memory().last_fetch(namespace.generation(&at.scope)?, at)?;
        last.bad.as_ref().filter(|bad| bad.error.kind == ErrorKind::NotFound).map(|bad| bad.error.detail.clone())
    }

    fn failure(&self, failure: &Failure) -> (String, Option<String>) {
        let identity = self.operations.namespace().sources().label(self.node.identity());
        let identity = identity.map_or_else(|| "the scope's own identity".to_owned(), str::to_owned);
        let (error, old) = match failure {
            Failure::Deadline => {
                let advice = "see how the provider fares: hushfs status; or raise the scope's `timeout`";
                return ("the provider did not answer within the scope's timeout".to_owned(), Some(advice.to_owned()));
            }
            Failure::Provider(error) => (error, ""),
            Failure::Expired(error) => (error, "the last good value is past max_stale: "),
        };
        let advice = match error.kind {
            ErrorKind::Denied => {
                format!(
                    "allow {identity} to read it at the provider; the provider's page in docs/providers has the least policy"
                )
            }
            ErrorKind::CredentialsRejected => {
                format!("mend the credentials of {identity}, or the trust policy of its role")
            }
            ErrorKind::Throttled => "wait, or raise the provider's quota; hushfs asks again by itself".to_owned(),
            ErrorKind::Unreachable | ErrorKind::TimedOut => {
                "see how the provider fares, and whether this host reaches it: hushfs status".to_owned()
            }
            ErrorKind::TooLarge => "raise max_secret_bytes".to_owned(),
            ErrorKind::Malformed => {
                "look at the secret with the provider's own tools; see the scope's `format`".to_owned()
            }
            ErrorKind::NoMemory => "raise RLIMIT_MEMLOCK (LimitMEMLOCK=), or lower max_bytes".to_owned(),
            ErrorKind::NotFound => "look what there is, with `ls`".to_owned(),
        };
        (format!("{old}{}", error.detail), Some(advice))
    }
}

fn step(permission: &Permission) -> Step {
    let says = match permission.read {
        Known::Yes => Says::Yes,
        Known::No => Says::No,
        Known::Unknown => Says::Unknown,
    };
    Step::new(Stage::Iam, says, permission.why.clone())
}
