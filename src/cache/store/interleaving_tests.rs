//! The store under clocks and interleavings that are hard to have from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::{Held, Hooks, Remembered, Store};
use crate::cache::clock::Clock;
use crate::cache::freshness::{Failure, Policy};
use crate::provider::{Error, ErrorKind};

const POLICY: Policy = Policy {
    ttl: Duration::from_secs(300),
    refresh_ahead: 1.0,
    max_stale: Duration::from_secs(60),
    negative_ttl: Duration::from_secs(10),
    timeout: Duration::from_secs(5),
    retry_behind: false,
    has_spare: true,
};

/// Seconds on both clocks.
#[derive(Default)]
struct TestClock {
    now: AtomicU64,
    wall: AtomicU64,
}

impl Clock for TestClock {
    fn now(&self) -> Duration {
        Duration::from_secs(self.now.load(Ordering::SeqCst))
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.wall.load(Ordering::SeqCst))
    }
}

impl Remembered for u32 {
    fn weight(&self) -> usize {
        4
    }
}

struct Fixture {
    store: Arc<Store<u8, u32>>,
    clock: Arc<TestClock>,
    fetches: Arc<AtomicUsize>,
}

impl Fixture {
    fn new() -> Self {
        let clock = Arc::new(TestClock::default());
        let hooks = Hooks::default();
        let as_clock: Arc<dyn Clock> = Arc::<TestClock>::clone(&clock);
        let store = Arc::new(Store::new(1 << 20, as_clock, Handle::current(), hooks));
        Self { store, clock, fetches: Arc::default() }
    }

    async fn get(&self, answer: Result<u32, ErrorKind>) -> Result<Held<u32>, Failure> {
        let fetch = || {
            let fetches = Arc::clone(&self.fetches);
            async move {
                fetches.fetch_add(1, Ordering::SeqCst);
                answer.map_err(|kind| Error::new(kind, "test"))
            }
        };
        self.store.get(&1, &POLICY, Instant::now() + Duration::from_secs(30), fetch).await
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn the_calendar_may_jump_either_way_and_nothing_gets_older_or_younger() {
    let fixture = Fixture::new();
    fixture.clock.wall.store(1_800_000_000, Ordering::SeqCst);
    assert!(fixture.get(Ok(1)).await.is_ok());
    for wall in [0, 4_000_000_000, 1_000_000_000] {
        fixture.clock.wall.store(wall, Ordering::SeqCst);
        let held = fixture.get(Ok(2)).await.ok().unwrap();
        assert_eq!((*held, held.stale), (1, false));
        assert_eq!(fixture.store.age(&held.good), Duration::ZERO);
    }
    fixture.clock.now.store(301, Ordering::SeqCst);
    assert_eq!(*fixture.get(Ok(2)).await.ok().unwrap(), 2);
    assert_eq!(fixture.fetches(), 2);
}

#[tokio::test]
async fn a_sweep_wipes_what_is_too_old_and_it_is_still_called_expired() {
    let fixture = Fixture::new();
    assert!(fixture.get(Ok(1)).await.is_ok());
    fixture.clock.now.store(359, Ordering::SeqCst);
    fixture.store.sweep(|_| Some(POLICY));
    assert!(fixture.store.peek(&1).is_some());
    assert!(fixture.get(Err(ErrorKind::Unreachable)).await.is_ok_and(|held| held.stale));
    fixture.clock.now.store(360, Ordering::SeqCst);
    fixture.store.sweep(|_| Some(POLICY));
    assert!(fixture.store.peek(&1).is_none());
    for now in [360, 10_000] {
        fixture.clock.now.store(now, Ordering::SeqCst);
        fixture.store.sweep(|_| Some(POLICY));
        let failure = fixture.get(Err(ErrorKind::Unreachable)).await.err().unwrap();
        assert!(matches!(failure, Failure::Expired(_)), "{failure:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_readers_and_fetches_interleave_one_value_is_one_fetch() {
    for _ in 0..300 {
        let fixture = Arc::new(Fixture::new());
        let readers: Vec<_> = (0..32)
            .map(|_| {
                let fixture = Arc::clone(&fixture);
                tokio::spawn(async move { fixture.get(Ok(1)).await.is_ok() })
            })
            .collect();
        for reader in readers {
            assert!(reader.await.unwrap());
        }
        assert_eq!(fixture.fetches(), 1);
    }
}

/// A fetch that ends when it is told to, with what it is told.
fn on_demand() -> (tokio::sync::oneshot::Sender<u32>, impl Future<Output = Result<u32, Error>> + Send + 'static) {
    let (tell, told) = tokio::sync::oneshot::channel();
    (tell, async move { told.await.map_err(|_| Error::new(ErrorKind::Unreachable, "test")) })
}

#[tokio::test]
async fn a_fetch_from_before_a_refresh_is_not_what_the_refresh_brings() {
    let fixture = Fixture::new();
    let (old, first) = on_demand();
    let first = std::sync::Mutex::new(Some(first));
    let store = &fixture.store;
    assert!(store.get_now(&1, &POLICY, || first.lock().unwrap().take().unwrap()).is_none());
    tokio::task::yield_now().await;
    let refreshed = tokio::spawn({
        let store = Arc::clone(store);
        async move { store.refresh(&1, &POLICY, || async { Ok(2) }).await.ok().map(|good| *good.value) }
    });
    tokio::task::yield_now().await;
    old.send(1).unwrap();
    assert_eq!(refreshed.await.unwrap(), Some(2));
    assert_eq!(store.peek(&1).map(|good| *good.value), Some(2));
}

#[tokio::test]
async fn what_is_on_its_way_when_its_key_is_forgotten_reaches_who_waits_and_is_not_remembered() {
    let fixture = Fixture::new();
    let (tell, fetch) = on_demand();
    let fetch = std::sync::Mutex::new(Some(fetch));
    let store = Arc::clone(&fixture.store);
    let waiting = tokio::spawn(async move {
        let until = Instant::now() + Duration::from_secs(30);
        store.get(&1, &POLICY, until, || fetch.lock().unwrap().take().unwrap()).await.ok().map(|held| *held)
    });
    tokio::task::yield_now().await;
    assert!(fixture.store.forget(|_, _| true).is_empty());
    // Whoever comes now asks anew, and is not disturbed by the one that lands later.
    assert_eq!(fixture.get(Ok(2)).await.ok().map(|held| *held), Some(2));
    tell.send(1).unwrap();
    assert_eq!(waiting.await.unwrap(), Some(1));
    assert_eq!(fixture.store.peek(&1).map(|good| *good.value), Some(2));
    assert_eq!(fixture.store.forget(|key, _| *key == 1).len(), 1);
    assert!(fixture.store.peek(&1).is_none());
}
