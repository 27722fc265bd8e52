//! `hushfs check --online`: who each provider takes us for, and what of the configured access it would refuse.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use tokio::task::JoinSet;

use crate::access::policy::{Effect, Policy, Principal, Resource};
use crate::access::{Action, Assignment, Someone};
use crate::cache::Sources;
use crate::config::{Config, ScopeName};
use crate::provider::{Error, Identity, Known, Permission, SecretName, VersionSelector, registry};
use crate::tree::{Index, SecretPath};

/// IAM is asked about so many secrets of a scope at the most.
const MOST_SECRETS: usize = 1000;
/// As many as one question is about.
const TOGETHER: usize = 100;
/// Users of a group for whom a role is tried that is told the user.
const MOST_USERS: usize = 5;

/// The kind of failure, besides those of `ErrorKind`, where a question would take from the daemon what it needs.
pub const NOT_ASKED: &str = "not_asked";

/// One identity at one scope's provider.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub scope: String,
    pub provider: &'static str,
    /// As whom it is asked, where that is an `[[identity]]`, and for which user.
    pub identity: Option<String>,
    pub user: Option<u32>,
    /// Who it takes us for.
    pub whoami: Answer<String>,
    /// How many secrets it lists.
    pub list: Answer<usize>,
    /// Those of them that grants give to somebody who has this identity.
    pub granted: usize,
    /// Of those, what it would refuse.
    pub refused: Vec<Refused>,
    /// Of how many of those it does not say in advance, and why not.
    pub unknown: usize,
    pub unknown_because: Option<String>,
    /// One secret that was read in truth, and dropped.
    pub read: Option<Answer<String>>,
}

#[derive(Debug, Serialize)]
pub struct Refused {
    pub secret: String,
    pub why: String,
}

/// An answer, or why there is none.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer<T> {
    Ok(T),
    Failed { kind: &'static str, why: String },
}

impl<T> From<Result<T, Error>> for Answer<T> {
    fn from(result: Result<T, Error>) -> Self {
        match result {
            Ok(value) => Self::Ok(value),
            Err(error) => Self::Failed { kind: error.kind.as_str(), why: error.detail },
        }
    }
}

impl<T> Answer<T> {
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok(_))
    }

    /// The kind of error, and the reason.
    pub fn failure(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Ok(_) => None,
            Self::Failed { kind, why } => Some((kind, why)),
        }
    }
}

impl Finding {
    /// Could everything be asked that was to be asked?
    pub fn is_reached(&self) -> bool {
        self.whoami.is_ok() && self.list.is_ok()
    }

    /// Would it refuse what is granted?
    pub fn refuses(&self) -> bool {
        !self.refused.is_empty() || self.read.as_ref().is_some_and(|read| !read.is_ok())
    }
}

/// What is asked with.
struct Inquiry {
    sources: Sources,
    policy: Policy,
    assignment: Assignment,
    has_grants: bool,
}

/// Asks every provider, as every identity, all at once.
///
/// # Errors
/// A scope whose settings cannot work, and why.
pub async fn ask(config: &Config) -> Result<Vec<Finding>, (ScopeName, Error)> {
    let sources = Sources::new(config.scopes.values(), config.identities.clone(), Box::new(registry::build))?;
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let inquiry = Arc::new(Inquiry {
        sources,
        policy: Policy::new(config.grants.clone(), uid, gid, config.root),
        assignment: Assignment::new(config.identities.clone()),
        has_grants: !config.grants.is_empty(),
    });
    let mut questions = JoinSet::new();
    for scope in config.scopes.keys() {
        for identity in inquiry.identities(scope).await {
            let (inquiry, scope) = (Arc::clone(&inquiry), scope.clone());
            questions.spawn(async move { inquiry.about(&scope, identity).await });
        }
    }
    let mut findings: Vec<Finding> = questions.join_all().await.into_iter().flatten().collect();
    inquiry.sources.close().await;
    findings.sort_by(|a, b| (&a.scope, &a.identity, a.user).cmp(&(&b.scope, &b.identity, b.user)));
    Ok(findings)
}

impl Inquiry {
    /// The scope's own, and the others; those that name the user for some users.
    async fn identities(&self, scope: &ScopeName) -> Vec<Identity> {
        let mut identities = vec![Identity::Own];
        for settings in self.assignment.in_scope(scope) {
            let number = settings.number;
            if !settings.acts_as.names_the_user() {
                identities.push(Identity::Other { number, user: None });
                continue;
            }
            let principals = settings.principals.clone();
            let users = tokio::task::spawn_blocking(move || users_of(&principals)).await.unwrap_or_default();
            identities.extend(users.into_iter().map(|uid| Identity::Other { number, user: Some(uid) }));
        }
        identities
    }

    async fn about(&self, scope: &ScopeName, identity: Identity) -> Option<Finding> {
        let own = self.sources.get(scope, Identity::Own)?.ok()?;
        let user = match identity {
            Identity::Own => None,
            Identity::Other { user, .. } => user,
        };
        let mut finding = Finding {
            scope: scope.to_string(),
            provider: own.kind(),
            identity: self.sources.label(identity).map(str::to_owned),
            user,
            whoami: Answer::Ok(String::new()),
            list: Answer::Ok(0),
            granted: 0,
            refused: Vec::new(),
            unknown: 0,
            unknown_because: None,
            read: None,
        };
        let source = match self.sources.get(scope, identity)? {
            Ok(source) => source,
            Err(error) => {
                finding.whoami = Err(error).into();
                return Some(finding);
            }
        };
        if let Some(why) = source.uses_up() {
            finding.whoami = Answer::Failed { kind: NOT_ASKED, why };
            return Some(finding);
        }
        let (whoami, listed) = tokio::join!(source.whoami(), Arc::clone(&source).list());
        finding.whoami = whoami.into();
        let listed = match listed {
            Ok(index) => index,
            Err(error) => {
                finding.list = Err(error).into();
                return Some(finding);
            }
        };
        finding.list = Answer::Ok(listed.secrets);
        let granted = self.granted(scope, identity, &listed);
        finding.granted = granted.len();
        self.expected(scope, identity, &granted, &mut finding).await;
        let refused: BTreeSet<&str> = finding.refused.iter().map(|refused| refused.secret.as_str()).collect();
        let candidate = granted.iter().find(|path| !refused.contains(path.as_str()));
        if let Some(path) = candidate {
            let fetched = source.fetch(path.name().clone(), VersionSelector::Current).await;
            finding.read = Some(fetched.map(|_| path.as_str().to_owned()).into());
        }
        Some(finding)
    }

    /// What IAM is expected to say of what is granted.
    async fn expected(&self, scope: &ScopeName, identity: Identity, granted: &[SecretPath], finding: &mut Finding) {
        let Some(Ok(asker)) = self.sources.asker(scope, identity) else { return };
        if granted.len() > MOST_SECRETS {
            finding.unknown += granted.len() - MOST_SECRETS;
            finding.unknown_because = Some(format!("no more than {MOST_SECRETS} are asked about"));
        }
        for paths in granted.get(..MOST_SECRETS.min(granted.len())).unwrap_or_default().chunks(TOGETHER) {
            let names: Vec<SecretName> = paths.iter().map(|path| path.name().clone()).collect();
            match asker.ask(names).await {
                Ok(answers) => paths.iter().zip(answers).for_each(|(path, answer)| note(path, answer, finding)),
                Err(error) => {
                    finding.unknown += paths.len();
                    finding.unknown_because = Some(error.detail);
                }
            }
        }
    }

    /// The secrets that some allow gives to somebody who may come with this identity.
    fn granted(&self, scope: &ScopeName, identity: Identity, listed: &Index) -> Vec<SecretPath> {
        let all = listed.secret_paths();
        // The user who runs the daemon needs no grant.
        let owner = Someone::User(self.policy.owner_uid(), &[self.policy.owner_gid()]);
        if self.may_be(owner, scope, identity) && (!self.has_grants || identity == Identity::Own) {
            return all;
        }
        let is_granted = |path: &SecretPath| {
            let resource = Resource::secret(scope.as_str(), path.as_str());
            self.policy.about(&resource).any(|statement| {
                statement.effect == Effect::Allow
                    && (statement.bears_on(Action::Read) || statement.bears_on(Action::ReadPrevious))
                    && statement.principals.iter().any(|principal| {
                        let someone = match principal {
                            Principal::User(uid) => Someone::User(*uid, &[]),
                            Principal::Group(gid) => Someone::Member(*gid),
                            // Whoever it is, it may be one who has the identity.
                            Principal::Everyone
                            | Principal::Unit(_)
                            | Principal::Cgroup(_)
                            | Principal::Container(_)
                            | Principal::Executable(_) => return true,
                        };
                        self.may_be(someone, scope, identity)
                    })
            })
        };
        all.into_iter().filter(is_granted).collect()
    }

    fn may_be(&self, someone: Someone<'_>, scope: &ScopeName, identity: Identity) -> bool {
        let number = |identity| match identity {
            Identity::Own => None,
            Identity::Other { number, .. } => Some(number),
        };
        self.assignment.possible(someone, scope).into_iter().any(|possible| number(possible) == number(identity))
    }
}

fn note(path: &SecretPath, answer: Permission, finding: &mut Finding) {
    match answer.read {
        Known::Yes => {}
        Known::No => finding.refused.push(Refused { secret: path.as_str().to_owned(), why: answer.why }),
        Known::Unknown => {
            finding.unknown += 1;
            finding.unknown_because.get_or_insert(answer.why);
        }
    }
}

/// Some users whom these principals mean. Asks the name service.
fn users_of(principals: &[Principal]) -> Vec<u32> {
    let mut users = BTreeSet::new();
    for principal in principals {
        match principal {
            Principal::User(uid) => drop(users.insert(*uid)),
            Principal::Group(gid) => {
                let group = nix::unistd::Group::from_gid(nix::unistd::Gid::from_raw(*gid)).ok().flatten();
                let members = group.map(|group| group.mem).unwrap_or_default();
                let known = members.iter().filter_map(|name| nix::unistd::User::from_name(name).ok().flatten());
                users.extend(known.map(|user| user.uid.as_raw()));
            }
            Principal::Everyone
            | Principal::Unit(_)
            | Principal::Cgroup(_)
            | Principal::Container(_)
            | Principal::Executable(_) => {}
        }
    }
    if users.is_empty() {
        users.insert(rustix::process::geteuid().as_raw());
    }
    users.into_iter().take(MOST_USERS).collect()
}
