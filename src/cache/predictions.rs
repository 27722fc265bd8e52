//! What the providers' IAM is expected to say: for permission bits and for people. Never waited for by a reader,
//! and never a reason to refuse one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;

use super::clock::Clock;
use super::freshness::asked_pause;
use super::memory::NameKey;
use super::source::Generation;
use super::sources::Asker;
use crate::config::ScopeName;
use crate::provider::{Error, Identity, Permission, SecretName};
use crate::tree::{Below, SecretNode, SecretPath};

/// Secrets that are asked about together.
const TOGETHER: usize = 100;
/// How long nobody is asked after a failure that passes; longer, where the service says so.
const PAUSE: Duration = Duration::from_secs(30);
/// So many times `iam_ttl` a service that will not say is left in peace: each refusal is a line in somebody's log
/// of refusals.
const REFUSED_FOR: u32 = 12;
/// The share of `iam_ttl` after which an answer is asked for anew.
const REFRESH_AT: f64 = 0.8;

/// An answer, and how old it is.
#[derive(Debug, Clone)]
pub struct Prediction {
    pub permission: Permission,
    pub age: Duration,
}

/// What the answers are about: one identity's rights in one scope. Where the service is told which user asks,
/// its answer is the same for all of them.
type Whose = (Generation, ScopeName, Identity);

/// Answers by secret, as the identity sees it.
pub struct Predictions {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    runtime: Handle,
}

#[derive(Default)]
struct State {
    known: HashMap<NameKey, (Permission, Duration)>,
    asking: HashSet<Whose>,
    /// Nobody is asked until then.
    paused: HashMap<Whose, Duration>,
}

impl Predictions {
    pub fn new(clock: Arc<dyn Clock>, runtime: Handle) -> Self {
        Self { state: Mutex::default(), clock, runtime }
    }

    /// What is expected, if that is not too old. `lifetime` is the scope's `iam_ttl`.
    pub fn of(&self, generation: Generation, at: &SecretNode, lifetime: Duration) -> Option<Prediction> {
        let now = self.clock.now();
        let state = self.state();
        let (permission, asked) = state.known.get(&of_all_users(generation, at))?;
        let age = now.saturating_sub(*asked);
        (age < lifetime).then(|| Prediction { permission: permission.clone(), age })
    }

    /// Has the service asked about these secrets in the background, those of whom enough is known left out.
    pub fn ask_behind<'a>(
        self: &Arc<Self>,
        asker: Asker,
        identity: Identity,
        paths: impl Iterator<Item = &'a SecretPath>,
    ) {
        let scope = &asker.source.scope;
        let lifetime = scope.cache.iam_ttl;
        let whose = (asker.source.generation, scope.name.clone(), identity.of_all_users());
        let now = self.clock.now();
        let wanted: Vec<SecretPath> = {
            let mut state = self.state();
            if lifetime.is_zero() || state.asking.contains(&whose) || state.is_paused(&whose, now) {
                return;
            }
            let is_due = |path: &&SecretPath| {
                let known = state.known.get(&place(&whose, path));
                known.is_none_or(|(_, asked)| now.saturating_sub(*asked) >= lifetime.mul_f64(REFRESH_AT))
            };
            let wanted: Vec<SecretPath> = paths.filter(is_due).cloned().collect();
            if wanted.is_empty() {
                return;
            }
            state.asking.insert(whose.clone());
            wanted
        };
        let asking = Asking { predictions: Arc::clone(self), whose };
        self.runtime.spawn(async move {
            for paths in wanted.chunks(TOGETHER) {
                if let Err(error) = asking.ask(&asker, paths).await {
                    let scope = &asker.source.scope.name;
                    tracing::debug!(%scope, kind = error.kind.as_str(), "nothing is predicted: {error}");
                    break;
                }
            }
        });
    }

    /// Asks about one secret now, for who can wait, whatever is known.
    ///
    /// # Errors
    /// Why the service does not say.
    pub async fn ask_now(
        self: &Arc<Self>,
        asker: Asker,
        identity: Identity,
        path: &SecretPath,
    ) -> Result<Permission, Error> {
        let whose = (asker.source.generation, asker.source.scope.name.clone(), identity.of_all_users());
        let answers = asker.ask(vec![path.name().clone()]).await?;
        let permission = answers.into_iter().next().ok_or_else(|| {
            Error::new(crate::provider::ErrorKind::Malformed, "no answer about the secret that was asked about")
        })?;
        self.state().known.insert(place(&whose, path), (permission.clone(), self.clock.now()));
        Ok(permission)
    }

    /// Forgets what is below a place, and that a service would not say.
    pub fn forget(&self, below: &Below) {
        let mut state = self.state();
        state.known.retain(|key, _| !below.covers(&key.at));
        state.paused.retain(|(_, scope, _), _| !below.has_scope(scope));
    }

    /// Forgets what is not of now.
    pub fn retire(&self, is_of_now: impl Fn(Generation, &ScopeName, Identity) -> bool) {
        let mut state = self.state();
        state.known.retain(|key, _| is_of_now(key.generation, &key.at.scope, key.at.identity));
        state.paused.retain(|(generation, scope, identity), _| is_of_now(*generation, scope, *identity));
    }

    /// Forgets what is too old.
    pub fn sweep(&self, lifetime_of: impl Fn(Generation, &ScopeName) -> Option<Duration>) {
        let now = self.clock.now();
        let mut state = self.state();
        state.known.retain(|key, (_, asked)| {
            lifetime_of(key.generation, &key.at.scope).is_some_and(|it| now.saturating_sub(*asked) < it)
        });
        state.paused.retain(|_, until| now < *until);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one call on one map: a panic leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_paused(&self, whose: &Whose, now: Duration) -> bool {
        self.paused.get(whose).is_some_and(|until| now < *until)
    }
}

/// Takes the question off the list when it ends, also by a panic.
struct Asking {
    predictions: Arc<Predictions>,
    whose: Whose,
}

impl Asking {
    async fn ask(&self, asker: &Asker, paths: &[SecretPath]) -> Result<(), Error> {
        let names: Vec<SecretName> = paths.iter().map(|path| path.name().clone()).collect();
        let asked = asker.ask(names).await;
        let now = self.predictions.clock.now();
        let mut state = self.predictions.state();
        match asked {
            Ok(answers) => {
                let answers = paths.iter().zip(answers);
                state.known.extend(answers.map(|(path, answer)| (place(&self.whose, path), (answer, now))));
                Ok(())
            }
            Err(error) => {
                let lifetime = asker.source.scope.cache.iam_ttl;
                let pause =
                    if error.kind.is_outage() { PAUSE.min(lifetime) } else { lifetime.saturating_mul(REFUSED_FOR) };
                let until = now.saturating_add(asked_pause(error.retry_after).unwrap_or_default().max(pause));
                state.paused.insert(self.whose.clone(), until);
                Err(error)
            }
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.predictions.state().asking.remove(&self.whose);
    }
}

fn of_all_users(generation: Generation, at: &SecretNode) -> NameKey {
    NameKey { generation, at: SecretNode { identity: at.identity.of_all_users(), ..at.clone() } }
}

fn place((generation, scope, identity): &Whose, path: &SecretPath) -> NameKey {
    let at = SecretNode { scope: scope.clone(), identity: *identity, path: path.clone() };
    NameKey { generation: *generation, at }
}
