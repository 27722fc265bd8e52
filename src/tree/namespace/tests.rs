//! What a provider that hangs costs those who could be answered without it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::cache::Clock;
use crate::config::{CacheSettings, Format, LocalSettings, ProviderSettings, Scope};
use crate::provider::{Answer, Error, ErrorKind, Fetched, Listed, Listing, Payload, Provider, SecretName};
use crate::secret::Secret;

/// One secret, `db`; everything hangs once told to.
#[derive(Default)]
struct Hanging(AtomicBool);

impl Hanging {
    async fn wait(&self) {
        if self.0.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

impl Provider for Hanging {
    fn kind(&self) -> &'static str {
        "hanging"
    }

    fn list(&self) -> Answer<'_, Listing> {
        Box::pin(async {
            self.wait().await;
            Err(Error::new(ErrorKind::Denied, "in this test nothing is listed"))
        })
    }

    fn look<'a>(&'a self, name: &'a SecretName) -> Answer<'a, Presence> {
        Box::pin(async {
            self.wait().await;
            if name.as_str() != "db" {
                return Ok(Presence::NOTHING);
            }
            Ok(Presence { secret: Known::Yes, children: Known::No, changed: None })
        })
    }

    fn fetch<'a>(&'a self, _name: &'a SecretName, _version: &'a VersionSelector) -> Answer<'a, Fetched> {
        Box::pin(async {
            self.wait().await;
            Ok(Fetched {
                payload: Payload { raw: Secret::copy_from(b"{\"user\":\"me\"}")?, keys: None },
                version: "1".into(),
                created: None,
                source: "test".into(),
                tags: Vec::new(),
                lease: None,
            })
        })
    }

    fn whoami(&self) -> Answer<'_, String> {
        Box::pin(std::future::ready(Ok("nobody".to_owned())))
    }
}

#[derive(Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

fn answered_at_once<T>(answer: impl Future<Output = Result<T, Refusal>>) -> Option<T> {
    let mut answer = std::pin::pin!(answer);
    match answer.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(answer) => answer.ok(),
        std::task::Poll::Pending => None,
    }
}

/// A tree over one scope of this provider.
fn tree(provider: Arc<dyn Provider>, clock: &Arc<Hands>) -> (Namespace, Node) {
    let as_clock: Arc<dyn Clock> = clock.clone();
    let memory = Memory::new(1 << 20, &as_clock, &tokio::runtime::Handle::current(), |_| {});
    let name = ScopeName::new("prod").unwrap();
    let settings = LocalSettings { path: "/nowhere".into(), identity: None, allow_plaintext: false };
    let scope = Scope {
        name: name.clone(),
        cache: CacheSettings::default(),
        format: Format::Auto,
        provider: ProviderSettings::Local(settings),
    };
    let sources = Sources::new([&scope].into_iter(), Vec::new(), Box::new(move |_, _| Ok(Arc::clone(&provider))));
    (Namespace::new(Arc::new(sources.ok().unwrap()), Arc::new(memory)), Node::Scope(name, Identity::Own))
}

#[tokio::test]
async fn a_fresh_value_does_not_wait_for_a_provider_that_hangs_though_what_was_known_of_its_name_is_old() {
    let (provider, clock) = (Arc::new(Hanging::default()), Arc::new(Hands::default()));
    let (namespace, scope) = tree(provider.clone(), &clock);

    let deadline = Instant::now() + Duration::from_secs(30);
    let db = namespace.child(&scope, OsStr::new("db"), deadline).await.unwrap().node;
    let key = namespace.child(&db, OsStr::new("user"), deadline).await.unwrap().node;
    assert_eq!(namespace.open(&key, deadline).await.ok().unwrap().0.bytes(), b"me");

    provider.0.store(true, Ordering::SeqCst);
    // Within the value's ttl, and past that of names.
    for seconds in [70, 140, 210] {
        clock.0.store(seconds, Ordering::Relaxed);
        let db = answered_at_once(namespace.child(&scope, OsStr::new("db"), deadline)).unwrap();
        let key = answered_at_once(namespace.child(&db.node, OsStr::new("user"), deadline)).unwrap();
        assert_eq!(answered_at_once(namespace.open(&key.node, deadline)).unwrap().0.bytes(), b"me");
        namespace.memory().sweep(namespace.sources());
    }
    // Another secret is the provider's to tell of.
    assert!(answered_at_once(namespace.child(&scope, OsStr::new("other"), deadline)).is_none());
}

/// Two secrets, one of them below the other.
struct Nested;

impl Provider for Nested {
    fn kind(&self) -> &'static str {
        "nested"
    }

    fn list(&self) -> Answer<'_, Listing> {
        let secrets = ["db", "db/creds"].map(|name| Listed { name: SecretName::new(name).unwrap(), changed: None });
        Box::pin(std::future::ready(Ok(Listing { secrets: secrets.into(), left_out: Vec::new() })))
    }

    fn look<'a>(&'a self, name: &'a SecretName) -> Answer<'a, Presence> {
        let children = if name.as_str() == "db" { Known::Yes } else { Known::No };
        Box::pin(std::future::ready(Ok(Presence { secret: Known::Yes, children, changed: None })))
    }

    fn fetch<'a>(&'a self, name: &'a SecretName, version: &'a VersionSelector) -> Answer<'a, Fetched> {
        Box::pin(async { Hanging::default().fetch(name, version).await })
    }

    fn whoami(&self) -> Answer<'_, String> {
        Box::pin(std::future::ready(Ok("nobody".to_owned())))
    }
}

#[tokio::test]
async fn what_is_below_a_secret_is_listed_though_only_its_value_is_known_any_more() {
    let clock = Arc::new(Hands::default());
    let (namespace, scope) = tree(Arc::new(Nested), &clock);
    let deadline = Instant::now() + Duration::from_secs(30);
    // Its name is known from a listing, and never asked for.
    assert_eq!(namespace.entries(&scope, deadline).await.unwrap().len(), 1);
    let db = namespace.child(&scope, OsStr::new("db"), deadline).await.unwrap().node;
    let key = namespace.child(&db, OsStr::new("user"), deadline).await.unwrap().node;
    namespace.open(&key, deadline).await.ok().unwrap();
    // Past the time of names, and within the value's.
    clock.0.store(70, Ordering::Relaxed);
    let entries = namespace.entries(&db, deadline).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["creds", "user"]);
}
