//! Every scope as every identity sees it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::source::Source;
use crate::config::{IdentitySettings, Scope, ScopeName};
use crate::provider::{Acting, Error, ErrorKind, Identity, Provider};

/// How exactly it is known when a source was used last: noting it takes a lock that keeps others out.
const STILL_USED: Duration = Duration::from_secs(60);

/// Makes the provider of a scope for an identity; reaches no network.
pub type Build = Box<dyn Fn(&Scope, Option<Acting<'_>>) -> Result<Arc<dyn Provider>, Error> + Send + Sync>;

/// The scopes' own sources are there from the start, those of other identities from their first use on until
/// nothing that they brought can be of use any more.
pub struct Sources {
    own: HashMap<ScopeName, Arc<Source>>,
    identities: Vec<IdentitySettings>,
    others: RwLock<HashMap<(ScopeName, Identity), Other>>,
    build: Build,
}

struct Other {
    source: Arc<Source>,
    used: Instant,
}

impl Sources {
    /// # Errors
    /// A scope whose settings cannot work, and why.
    pub fn new<'a>(
        scopes: impl Iterator<Item = &'a Scope>,
        identities: Vec<IdentitySettings>,
        build: Build,
    ) -> Result<Self, (ScopeName, Error)> {
        let source = |scope: &Scope| match build(scope, None) {
            Ok(provider) => Ok((scope.name.clone(), Arc::new(Source::new(scope.clone(), Identity::Own, provider)))),
            Err(error) => Err((scope.name.clone(), error)),
        };
        Ok(Self { own: scopes.map(source).collect::<Result<_, _>>()?, identities, others: RwLock::default(), build })
    }

    /// The scopes, as their own identities see them.
    pub fn own(&self) -> &HashMap<ScopeName, Arc<Source>> {
        &self.own
    }

    pub fn identities(&self) -> &[IdentitySettings] {
        &self.identities
    }

    /// What an identity is called; None for a scope's own.
    pub fn label(&self, identity: Identity) -> Option<&str> {
        match identity {
            Identity::Own => None,
            Identity::Other { index, .. } => self.identities.get(index).map(|settings| settings.acts_as.label()),
        }
    }

    /// A scope as an identity sees it; None where there is no such scope.
    pub fn get(&self, scope: &ScopeName, identity: Identity) -> Option<Result<Arc<Source>, Error>> {
        let own = self.own.get(scope)?;
        let Identity::Other { index, user } = identity else { return Some(Ok(Arc::clone(own))) };
        let key = (scope.clone(), identity);
        if let Some(other) = self.read().get(&key)
            && other.used.elapsed() < STILL_USED
        {
            return Some(Ok(Arc::clone(&other.source)));
        }
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = others.get_mut(&key) {
            other.used = Instant::now();
            return Some(Ok(Arc::clone(&other.source)));
        }
        let Some(settings) = self.identities.get(index) else {
            return Some(Err(Error::new(ErrorKind::CredentialsRejected, "there is no such identity")));
        };
        let acting = Acting { acts_as: &settings.acts_as, user };
        Some((self.build)(&own.scope, Some(acting)).map(|provider| {
            let source = Arc::new(Source::new(own.scope.clone(), identity, provider));
            others.insert(key, Other { source: Arc::clone(&source), used: Instant::now() });
            source
        }))
    }

    /// As [`Sources::get`], only if it is there.
    pub fn known(&self, scope: &ScopeName, identity: Identity) -> Option<Arc<Source>> {
        match identity {
            Identity::Own => self.own.get(scope).cloned(),
            Identity::Other { .. } => {
                self.read().get(&(scope.clone(), identity)).map(|other| Arc::clone(&other.source))
            }
        }
    }

    /// The identities other than its own that a scope is seen by at present.
    pub fn identities_in(&self, scope: &ScopeName) -> Vec<Identity> {
        self.read().keys().filter(|(of, _)| of == scope).map(|(_, identity)| *identity).collect()
    }

    /// All that are there, by scope and then by identity.
    pub fn all(&self) -> Vec<Arc<Source>> {
        let mut all: Vec<_> = self.own.values().cloned().collect();
        all.extend(self.read().values().map(|other| Arc::clone(&other.source)));
        all.sort_by(|a, b| (&a.scope.name, a.identity).cmp(&(&b.scope.name, b.identity)));
        all
    }

    /// Lets go of those that have not been used for as long as anything that they brought may be.
    pub fn sweep(&self) {
        let is_needed = |other: &Other| {
            let cache = &other.source.scope.cache;
            let longest = cache.ttl.max(cache.list_ttl).saturating_add(cache.max_stale);
            other.used.elapsed() < longest.saturating_add(STILL_USED)
        };
        if self.read().values().all(is_needed) {
            return;
        }
        self.others.write().unwrap_or_else(PoisonError::into_inner).retain(|_, other| is_needed(other));
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<(ScopeName, Identity), Other>> {
        self.others.read().unwrap_or_else(PoisonError::into_inner)
    }
}
