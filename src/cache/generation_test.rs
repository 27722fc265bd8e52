//! What a scope was, and what it is: neither answers for the other.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Clock, Memory, Sources, SystemClock};
use crate::config::{CacheSettings, Format, LocalSettings, ProviderSettings, Scope, ScopeName};
use crate::provider::{Acting, Answer, Fetched, Listing, Payload, Presence, Provider, SecretName, VersionSelector};
use crate::secret::Secret;
use crate::tree::SecretPath;

/// Gives the folder that its scope names as every value, once it is let.
struct Gated {
    folder: String,
    gate: Arc<Notify>,
}

impl Provider for Gated {
    fn kind(&self) -> &'static str {
        "gated"
    }

    fn list(&self) -> Answer<'_, Listing> {
        Box::pin(std::future::pending())
    }

    fn look<'a>(&'a self, _name: &'a SecretName) -> Answer<'a, Presence> {
        Box::pin(std::future::pending())
    }

    fn fetch<'a>(&'a self, _name: &'a SecretName, _version: &'a VersionSelector) -> Answer<'a, Fetched> {
        Box::pin(async {
            if self.folder == "/before" {
                self.gate.notified().await;
            }
            Ok(Fetched {
                payload: Payload { raw: Secret::copy_from(self.folder.as_bytes())?, keys: None },
                version: self.folder.clone(),
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

fn scope(folder: &str, ttl: u64) -> Scope {
    Scope {
        name: ScopeName::new("prod").unwrap(),
        cache: CacheSettings { ttl: Duration::from_secs(ttl), ..CacheSettings::default() },
        format: Format::Auto,
        provider: ProviderSettings::Local(LocalSettings {
            path: folder.into(),
            identity: None,
            allow_plaintext: false,
        }),
    }
}

fn sources(gate: &Arc<Notify>, scope: &Scope) -> Sources {
    let gate = Arc::clone(gate);
    let build = move |scope: &Scope, _: Option<Acting<'_>>| {
        let ProviderSettings::Local(settings) = &scope.provider else { unreachable!("a local folder") };
        let folder = settings.path.display().to_string();
        Ok(Arc::new(Gated { folder, gate: Arc::clone(&gate) }) as Arc<dyn Provider>)
    };
    Sources::new([scope].into_iter(), Vec::new(), Box::new(build)).ok().unwrap()
}

async fn version(memory: &Memory, sources: &Sources) -> String {
    let (path, deadline) = (SecretPath::parse("db").unwrap(), Instant::now() + Duration::from_secs(30));
    let source = &sources.own()[&ScopeName::new("prod").unwrap()];
    memory.document(source, &path, &VersionSelector::Current, deadline).await.ok().unwrap().version.clone()
}

fn versions(memory: &Memory) -> Vec<String> {
    memory.values().into_iter().map(|(_, good)| good.value.version.clone()).collect()
}

fn memory() -> Arc<Memory> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Arc::new(Memory::new(1 << 20, &clock, &tokio::runtime::Handle::current(), |_| {}))
}

#[tokio::test]
async fn a_fetch_from_before_is_for_who_came_before_and_is_nothing_to_who_comes_after() {
    let (memory, gate) = (memory(), Arc::new(Notify::new()));
    let before = Arc::new(sources(&gate, &scope("/before", 300)));
    let after = before.followed_by([&scope("/after", 300)].into_iter(), Vec::new()).ok().unwrap();
    let earlier = tokio::spawn({
        let (memory, before) = (Arc::clone(&memory), Arc::clone(&before));
        async move { version(&memory, &before).await }
    });
    tokio::task::yield_now().await;
    memory.retire(&after);
    // Does not wait for what is on its way.
    assert_eq!(version(&memory, &after).await, "/after");
    gate.notify_one();
    assert_eq!(earlier.await.unwrap(), "/before");
    assert_eq!(versions(&memory), ["/after"]);

    // Whoever is still under way from before fetches for themselves, and that goes with the next clearing.
    gate.notify_one();
    assert_eq!(version(&memory, &before).await, "/before");
    assert_eq!(version(&memory, &after).await, "/after");
    memory.sweep(&after);
    assert_eq!(versions(&memory), ["/after"]);
}

#[tokio::test]
async fn a_fetch_goes_on_over_a_reload_that_leaves_its_scope_what_it_is() {
    let (memory, gate) = (memory(), Arc::new(Notify::new()));
    let before = Arc::new(sources(&gate, &scope("/before", 300)));
    let earlier = tokio::spawn({
        let (memory, before) = (Arc::clone(&memory), Arc::clone(&before));
        async move { version(&memory, &before).await }
    });
    tokio::task::yield_now().await;
    let after = Arc::new(before.followed_by([&scope("/before", 60)].into_iter(), Vec::new()).ok().unwrap());
    memory.retire(&after);
    let later = tokio::spawn({
        let (memory, after) = (Arc::clone(&memory), Arc::clone(&after));
        async move { version(&memory, &after).await }
    });
    tokio::task::yield_now().await;
    // Lets one fetch through.
    gate.notify_one();
    assert_eq!((earlier.await.unwrap(), later.await.unwrap()), ("/before".to_owned(), "/before".to_owned()));
    assert_eq!(versions(&memory).len(), 1);
}

#[tokio::test]
async fn what_a_source_has_brought_goes_with_it_though_its_scope_stays_what_it_is() {
    let (memory, gate) = (memory(), Arc::new(Notify::new()));
    let (kept, given_back) = (sources(&gate, &scope("/kept", 300)), sources(&gate, &scope("/given-back", 300)));
    assert_eq!(
        (version(&memory, &kept).await, version(&memory, &given_back).await),
        ("/kept".into(), "/given-back".into())
    );
    memory.forget_what_is_given_back(&[]);
    assert_eq!(versions(&memory).len(), 2);
    memory.forget_what_is_given_back(&given_back.all());
    assert_eq!(versions(&memory), ["/kept"]);
}
