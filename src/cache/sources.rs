//! Every scope as every identity sees it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::budget::Budget;
use super::clock::SystemClock;
use super::source::Source;
use super::traffic::Traffic;
use crate::config::{ActsAs, IdentitySettings, Scope, ScopeName};
use crate::provider::{Acting, Closing, Error, ErrorKind, Identity, Permission, Provider, SecretName};

/// Sources besides the scopes' own. A user may have very many numbers (`/etc/subuid`), each of which can be an
/// identity of its own: whoever comes then takes the place of the one that has been used least recently.
const MOST_OTHERS: usize = 1024;

/// How exactly it is known when a source was used last: noting it takes a lock that keeps others out.
const STILL_USED: Duration = Duration::from_secs(60);

/// Makes the provider of a scope for an identity; reaches no network.
pub type Build = Box<dyn Fn(&Scope, Option<Acting<'_>>) -> Result<Arc<dyn Provider>, Error> + Send + Sync>;

type TrafficOfIdentities = BTreeMap<(ScopeName, usize), Arc<Traffic>>;

/// The scopes' own sources are there from the start, those of other identities from their first use on until
/// nothing that they brought can be of use any more.
pub struct Sources {
    own: HashMap<ScopeName, Arc<Source>>,
    identities: Vec<IdentitySettings>,
    others: RwLock<HashMap<(ScopeName, Identity), Other>>,
    /// Of each identity in a scope, by the identity's number, also when the sources are gone again: what has been counted
    /// does not become less.
    traffic: Arc<Mutex<TrafficOfIdentities>>,
    build: Arc<Build>,
}

#[derive(Clone)]
struct Other {
    source: Arc<Source>,
    used: Instant,
}

/// Who is asked what an identity may do.
pub struct Asker {
    pub source: Arc<Source>,
    /// None: the one that asks.
    about: Option<ActsAs>,
}

impl Asker {
    /// As [`Provider::permissions`].
    pub async fn ask(&self, names: Vec<SecretName>) -> Result<Vec<Permission>, Error> {
        Arc::clone(&self.source).permissions(self.about.clone(), names).await
    }
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
            Ok(provider) => Ok((scope.name.clone(), Arc::new(own_source(scope, provider)))),
            Err(error) => Err((scope.name.clone(), error)),
        };
        let own = scopes.map(source).collect::<Result<_, _>>()?;
        Ok(Self { own, identities, others: RwLock::default(), traffic: Arc::default(), build: Arc::new(build) })
    }

    /// Of these sources alone, whatever clock their budgets go by; nobody is seen as another identity.
    pub fn of(own: impl IntoIterator<Item = Source>) -> Self {
        let own = own.into_iter().map(|source| (source.scope.name.clone(), Arc::new(source))).collect();
        let build: Build =
            Box::new(|_, _| Err(Error::new(ErrorKind::CredentialsRejected, "there is no such identity")));
        Self { own, identities: Vec::new(), others: RwLock::default(), traffic: Arc::default(), build: Arc::new(build) }
    }

    /// Those of another configuration. A scope that would be given the same as now stays what it is, with what is
    /// known of it; these here go on as they are, for whoever has begun with them.
    ///
    /// # Errors
    /// As [`Sources::new`].
    pub fn followed_by<'a>(
        &self,
        scopes: impl Iterator<Item = &'a Scope>,
        identities: Vec<IdentitySettings>,
    ) -> Result<Self, (ScopeName, Error)> {
        let own = |scope: &Scope| match self.own.get(&scope.name) {
            Some(now) if now.scope == *scope => Ok(Arc::clone(now)),
            Some(now) if now.scope.gives_the_same_as(scope) => {
                let is_same = now.scope.cache.calls == scope.cache.calls;
                let budget = if is_same { Arc::clone(&now.budget) } else { Arc::new(now.budget.at(scope.cache.calls)) };
                Ok(Arc::new(now.under(scope.clone(), budget)))
            }
            Some(_) | None => match (self.build)(scope, None) {
                Ok(provider) => Ok(Arc::new(own_source(scope, provider))),
                Err(error) => Err((scope.name.clone(), error)),
            },
        };
        let own = scopes.map(|scope| Ok((scope.name.clone(), own(scope)?))).collect::<Result<HashMap<_, _>, _>>()?;
        let (traffic, build) = (Arc::clone(&self.traffic), Arc::clone(&self.build));
        let next = Self { own, identities, others: RwLock::default(), traffic, build };
        let still = |((scope, identity), other): (&(ScopeName, Identity), &Other)| {
            let own = next.own.get(scope).filter(|own| own.generation == other.source.generation)?;
            let is_same = own.scope == other.source.scope;
            let source = if is_same {
                Arc::clone(&other.source)
            } else {
                Arc::new(other.source.under(own.scope.clone(), Arc::clone(&own.budget)))
            };
            let other = Other { source, used: other.used };
            next.may_be_seen_by(scope, *identity).then(|| ((scope.clone(), *identity), other))
        };
        let others = self.read().iter().filter_map(still).collect();
        Ok(Self { others: RwLock::new(others), ..next })
    }

    /// Does the configuration say of a scope that an identity may come to see it?
    pub fn may_be_seen_by(&self, scope: &ScopeName, identity: Identity) -> bool {
        match identity {
            Identity::Own => self.own.contains_key(scope),
            Identity::Other { number, .. } => {
                let mut settings = self.identities.iter().filter(|settings| settings.number == number);
                self.own.contains_key(scope) && settings.any(|settings| settings.scopes.contains(scope))
            }
        }
    }

    fn settings(&self, number: usize) -> Option<&IdentitySettings> {
        self.identities.iter().find(|settings| settings.number == number)
    }

    /// The scopes, as their own identities see them.
    pub fn own(&self) -> &HashMap<ScopeName, Arc<Source>> {
        &self.own
    }

    /// What an identity is called; None for a scope's own.
    pub fn label(&self, identity: Identity) -> Option<&str> {
        match identity {
            Identity::Own => None,
            Identity::Other { number, .. } => self.settings(number).map(|settings| settings.acts_as.label()),
        }
    }

    /// A scope as an identity sees it; None where there is no such scope.
    pub fn get(&self, scope: &ScopeName, identity: Identity) -> Option<Result<Arc<Source>, Error>> {
        let own = self.own.get(scope)?;
        let Identity::Other { number, user } = identity else { return Some(Ok(Arc::clone(own))) };
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
        let Some(settings) = self.settings(number) else {
            return Some(Err(Error::new(ErrorKind::CredentialsRejected, "there is no such identity")));
        };
        let acting = Acting { acts_as: &settings.acts_as, user };
        Some((self.build)(&own.scope, Some(acting)).map(|provider| {
            let source = own.seen_by(identity, provider).with_traffic_of_all_users(self.traffic_of(scope, number));
            let source = Arc::new(source);
            if others.len() >= MOST_OTHERS
                && let Some(oldest) = others.iter().min_by_key(|(_, other)| other.used).map(|(key, _)| key.clone())
            {
                others.remove(&oldest);
            }
            others.insert(key, Other { source: Arc::clone(&source), used: Instant::now() });
            source
        }))
    }

    /// Who is asked what an identity may do: the scope's own, where the service tells it of others.
    pub fn asker(&self, scope: &ScopeName, identity: Identity) -> Option<Result<Asker, Error>> {
        let about = match identity {
            Identity::Own => None,
            Identity::Other { number, .. } => self.settings(number).map(|settings| settings.acts_as.clone()),
        };
        match about {
            Some(acts_as) if acts_as.is_told_to_others() => {
                Some(Ok(Asker { source: Arc::clone(self.own.get(scope)?), about: Some(acts_as) }))
            }
            Some(_) | None => Some(self.get(scope, identity)?.map(|source| Asker { source, about: None })),
        }
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
        let place = |source: &Source| match source.identity {
            Identity::Own => (None, None),
            Identity::Other { number, user } => {
                (Some(self.identities.iter().position(|settings| settings.number == number)), user)
            }
        };
        all.sort_by(|a, b| (&a.scope.name, place(a)).cmp(&(&b.scope.name, place(b))));
        all
    }

    /// Those whose providers are not among another configuration's.
    pub fn without(&self, kept: &Self) -> Vec<Arc<Source>> {
        let kept = kept.all();
        let is_kept = |source: &Arc<Source>| kept.iter().any(|other| other.shares_provider_with(source));
        self.all().into_iter().filter(|source| !is_kept(source)).collect()
    }

    fn traffic_of(&self, scope: &ScopeName, number: usize) -> Arc<Traffic> {
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(traffic.entry((scope.clone(), number)).or_default())
    }

    /// What went on in each scope as each identity, all users of one together: the scope, what the identity is called
    /// if it is not the scope's own, and the counts.
    pub fn traffic(&self) -> Vec<(ScopeName, Option<String>, Arc<Traffic>)> {
        let own = self.own.iter().map(|(scope, source)| (scope.clone(), None, Arc::clone(&source.traffic)));
        let mut all: Vec<_> = own.collect();
        for ((scope, number), traffic) in self.traffic.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let identity = Identity::Other { number: *number, user: None };
            if self.may_be_seen_by(scope, identity) {
                all.push((scope.clone(), self.label(identity).map(str::to_owned), Arc::clone(traffic)));
            }
        }
        all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        all
    }

    /// As [`close_all`].
    pub async fn close(&self) {
        close_all(self.all()).await;
    }

    /// Has the connections of a scope closed, or of all scopes, whoever's they are.
    pub fn close_connections(&self, scope: Option<&ScopeName>) {
        for source in self.all().iter().filter(|source| scope.is_none_or(|scope| source.scope.name == *scope)) {
            source.close_connections(Closing::All);
        }
    }

    /// Lets go of those that have not been used for as long as anything that they brought may be, and of connections
    /// that nobody uses.
    pub fn sweep(&self) {
        self.own.values().for_each(|source| source.close_connections(Closing::Worn));
        self.read().values().for_each(|other| other.source.close_connections(Closing::Worn));
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

/// Has each give back what its service has lent, at the same time.
pub async fn close_all(sources: Vec<Arc<Source>>) {
    let mut under_way = JoinSet::new();
    for source in sources {
        under_way.spawn(async move { source.close().await });
    }
    while under_way.join_next().await.is_some() {}
}

/// A scope's own, with a budget that is not used yet.
fn own_source(scope: &Scope, provider: Arc<dyn Provider>) -> Source {
    let budget = Budget::new(scope.name.clone(), scope.cache.calls, Arc::new(SystemClock));
    let budget = budget.counting_names_apart(provider.counts_names_apart());
    Source::new(scope.clone(), Identity::Own, provider, Arc::new(budget))
}

#[cfg(all(test, feature = "local"))]
mod tests {
    use super::*;
    use crate::access::policy::Principal;
    use crate::config::{ActsAs, CacheSettings, Format, IdentityRole, LocalSettings, ProviderSettings};
    use crate::provider::local::Local;

    fn sources() -> Sources {
        let settings = LocalSettings { path: "/nowhere".into(), identity: None, allow_plaintext: false };
        let scope = Scope {
            name: ScopeName::new("prod").unwrap(),
            cache: CacheSettings::default(),
            format: Format::Auto,
            provider: ProviderSettings::Local(settings.clone()),
        };
        let role = IdentityRole { role_arn: "x".into(), external_id: None, session_name: "{uid}".into() };
        let identity = IdentitySettings {
            number: 0,
            principals: vec![Principal::Everyone],
            scopes: vec![scope.name.clone()],
            acts_as: ActsAs::AwsRole(role),
            place: String::new(),
        };
        let build: Build = Box::new(move |_, _| Ok(Arc::new(Local::new(settings.clone(), 1))));
        Sources::new([&scope].into_iter(), vec![identity], build).ok().unwrap()
    }

    #[test]
    fn a_user_with_very_many_numbers_does_not_fill_the_memory() {
        let (sources, prod) = (sources(), ScopeName::new("prod").unwrap());
        let of = |uid| Identity::Other { number: 0, user: Some(uid) };
        for uid in 0..3 * MOST_OTHERS as u32 {
            assert!(sources.get(&prod, of(uid)).unwrap().is_ok());
        }
        assert_eq!(sources.identities_in(&prod).len(), MOST_OTHERS);
        assert!(
            sources.known(&prod, of(0)).is_none() && sources.known(&prod, of(3 * MOST_OTHERS as u32 - 1)).is_some()
        );
        assert_eq!(sources.all().len(), MOST_OTHERS + 1);
    }

    fn scope(name: &str, path: &str, ttl: u64) -> Scope {
        let settings = LocalSettings { path: path.into(), identity: None, allow_plaintext: false };
        Scope {
            name: ScopeName::new(name).unwrap(),
            cache: CacheSettings { ttl: Duration::from_secs(ttl), ..CacheSettings::default() },
            format: Format::Auto,
            provider: ProviderSettings::Local(settings),
        }
    }

    #[test]
    fn a_scope_that_is_given_the_same_stays_what_it_is_under_another_configuration() {
        let before = sources();
        let was = |name: &str| Arc::clone(&before.own()[&ScopeName::new(name).unwrap()]);
        let role = Identity::Other { number: 0, user: None };
        let other = before.get(&was("prod").scope.name, role).unwrap().ok().unwrap();
        was("prod").calls.fetch.store(7, std::sync::atomic::Ordering::Relaxed);

        let kept = before.followed_by([&was("prod").scope].into_iter(), before.identities.clone()).ok().unwrap();
        assert!(Arc::ptr_eq(&kept.own()[&was("prod").scope.name], &was("prod")));
        assert!(Arc::ptr_eq(&kept.known(&was("prod").scope.name, role).unwrap(), &other));
        assert!(before.without(&kept).is_empty());

        let adjusted = [scope("prod", "/nowhere", 7), scope("new", "/nowhere", 7)];
        let adjusted = before.followed_by(adjusted.iter(), before.identities.clone()).ok().unwrap();
        let now = Arc::clone(&adjusted.own()[&was("prod").scope.name]);
        assert!(now.generation == was("prod").generation && now.shares_provider_with(&was("prod")));
        assert_eq!(
            (now.values().ttl, now.calls.fetch.load(std::sync::atomic::Ordering::Relaxed)),
            (Duration::from_secs(7), 7)
        );
        assert_eq!(adjusted.known(&now.scope.name, role).unwrap().values().ttl, Duration::from_secs(7));
        assert!(before.without(&adjusted).is_empty());

        let changed = before.followed_by([&scope("prod", "/elsewhere", 300)].into_iter(), before.identities.clone());
        let changed = changed.ok().unwrap();
        assert!(changed.own()[&was("prod").scope.name].generation != was("prod").generation);
        assert!(changed.known(&was("prod").scope.name, role).is_none());
        assert_eq!(before.without(&changed).len(), 2, "the scope's own and the identity's");
    }

    #[test]
    fn an_identity_that_is_not_there_any_more_sees_nothing() {
        let before = sources();
        let prod = Arc::clone(&before.own()[&ScopeName::new("prod").unwrap()]);
        let role = Identity::Other { number: 0, user: None };
        drop(before.get(&prod.scope.name, role).unwrap());
        let after = before.followed_by([&prod.scope].into_iter(), Vec::new()).ok().unwrap();
        assert!(after.known(&prod.scope.name, role).is_none() && !after.may_be_seen_by(&prod.scope.name, role));
        assert!(after.get(&prod.scope.name, role).unwrap().is_err());
        assert_eq!(before.without(&after).len(), 1);
    }

    #[test]
    fn each_identity_has_a_source_of_its_own_and_the_same_one_again() {
        let (sources, prod) = (sources(), ScopeName::new("prod").unwrap());
        let get = |identity| sources.get(&prod, identity).unwrap().unwrap();
        let (own, one) = (get(Identity::Own), get(Identity::Other { number: 0, user: Some(1) }));
        let two = get(Identity::Other { number: 0, user: Some(2) });
        assert!(!Arc::ptr_eq(&own, &one) && !Arc::ptr_eq(&one, &two));
        assert!(Arc::ptr_eq(&one, &get(Identity::Other { number: 0, user: Some(1) })));
        assert!(sources.get(&prod, Identity::Other { number: 7, user: None }).unwrap().is_err());
        assert!(sources.get(&ScopeName::new("other").unwrap(), Identity::Own).is_none());
    }
}
