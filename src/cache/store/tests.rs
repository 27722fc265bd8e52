//! The machinery around the rules: flights, waiting, wiping.

use std::sync::atomic::AtomicUsize;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use super::*;

const POLICY: Policy = Policy {
    ttl: Duration::from_secs(300),
    refresh_ahead: 0.8,
    max_stale: Duration::from_secs(3600),
    negative_ttl: Duration::from_secs(10),
    timeout: Duration::from_secs(5),
    retry_behind: false,
    has_spare: true,
};

/// A clock that stands where it was put, in seconds.
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

/// A value that counts how many of its kind are still in memory.
struct Value {
    number: u64,
    alive: Arc<AtomicUsize>,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Remembered for Value {
    fn weight(&self) -> usize {
        1000
    }
}

struct Bench {
    store: Arc<Store<u64, Value>>,
    clock: Arc<Hands>,
    alive: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

fn bench(max_bytes: u64) -> Bench {
    bench_with(max_bytes, Hooks::default())
}

fn bench_with(max_bytes: u64, hooks: Hooks<u64, Value>) -> Bench {
    let clock = Arc::new(Hands::default());
    let as_clock: Arc<dyn Clock> = clock.clone();
    let store = Arc::new(Store::new(max_bytes, as_clock, Handle::current(), hooks));
    Bench { store, clock, alive: Arc::default(), calls: Arc::default() }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

impl Bench {
    fn at(&self, seconds: u64) {
        self.clock.0.store(seconds, Ordering::Relaxed);
    }

    fn value(&self, number: u64) -> Value {
        self.alive.fetch_add(1, Ordering::SeqCst);
        Value { number, alive: Arc::clone(&self.alive) }
    }

    /// Gets `key` from a provider that answers `answer`.
    async fn get(&self, key: u64, answer: Result<(), ErrorKind>) -> Result<Held<Value>, Failure> {
        let fetch = || {
            self.calls.fetch_add(1, Ordering::SeqCst);
            let answer = answer.map(|()| self.value(key)).map_err(|kind| Error::new(kind, "test"));
            async move { answer }
        };
        self.store.get(&key, &POLICY, soon(), fetch).await
    }

    fn sweep(&self) {
        self.store.sweep(|_| Some(POLICY));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_many_ask_and_whenever_they_come_there_is_one_fetch() {
    // Fetches that land at once make the gap between a reader's look and its departure as likely as can be.
    for key in 0..300 {
        let bench = Arc::new(bench(1 << 20));
        let readers: Vec<_> = (0..16)
            .map(|_| {
                let bench = Arc::clone(&bench);
                tokio::spawn(async move { bench.get(key, Ok(())).await.is_ok_and(|held| held.number == key) })
            })
            .collect();
        for reader in readers {
            assert!(reader.await.unwrap());
        }
        assert_eq!(bench.calls.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_fetch_goes_on_when_its_reader_gives_up() {
    let bench = bench(1 << 20);
    let answer = Arc::new(Notify::new());
    let fetch = || {
        let (answer, value) = (Arc::clone(&answer), bench.value(7));
        async move {
            answer.notified().await;
            Ok(value)
        }
    };
    let gone = bench.store.get(&7, &POLICY, Instant::now(), fetch).await;
    assert!(matches!(gone, Err(Failure::Deadline)));
    answer.notify_one();
    assert_eq!(bench.get(7, Err(ErrorKind::Unreachable)).await.ok().unwrap().number, 7);
}

#[tokio::test]
async fn a_fetch_that_panics_fails_its_readers_and_not_the_next() {
    let bench = bench(1 << 20);
    let panics = || async { panic!("in a test") };
    let failed = bench.store.get(&1, &POLICY, soon(), panics).await;
    assert!(matches!(failed, Err(Failure::Provider(_))));
    assert!(bench.get(1, Ok(())).await.is_ok());
}

#[tokio::test]
async fn who_has_just_waited_in_vain_is_served_without_another_wait_and_a_moment_later_the_provider_is_asked() {
    let bench = bench(1 << 20);
    assert!(bench.get(1, Ok(())).await.is_ok());
    assert!(bench.store.get_unasked(&1, &POLICY).is_none(), "it is fresh");
    bench.at(400);
    assert!(!bench.store.has_just_timed_out(&1));
    assert!(bench.get(1, Err(ErrorKind::Unreachable)).await.is_ok_and(|held| held.stale));
    assert!(!bench.store.has_just_timed_out(&1), "nobody waited for that");
    bench.at(402);
    assert!(bench.get(1, Err(ErrorKind::TimedOut)).await.is_ok_and(|held| held.stale));
    assert!(bench.store.has_just_timed_out(&1));
    bench.at(404);
    assert!(!bench.store.has_just_timed_out(&1));
    assert!(bench.store.get_unasked(&1, &POLICY).is_some_and(|held| held.stale));
    assert!(bench.get(1, Err(ErrorKind::Denied)).await.is_err());
    assert!(bench.store.get_unasked(&1, &POLICY).is_none(), "a refusal has taken it away");
}

#[tokio::test]
async fn a_reader_at_the_end_of_its_time_gets_the_stale_value_and_not_a_timeout() {
    let bench = bench(1 << 20);
    assert!(bench.get(1, Ok(())).await.is_ok());
    bench.at(400);
    let hangs = || std::future::pending::<Result<Value, Error>>();
    let held = bench.store.get(&1, &POLICY, Instant::now(), hangs).await.ok().unwrap();
    assert!(held.stale);
    // Nor does one who cannot wait at all.
    assert!(bench.store.get_now(&1, &POLICY, hangs).unwrap().is_ok_and(|held| held.stale));
}

#[tokio::test]
async fn what_is_past_any_use_is_out_of_memory_after_one_sweep() {
    let bench = bench(1 << 20);
    for key in 0..500 {
        assert!(bench.get(key, Ok(())).await.is_ok());
    }
    assert_eq!(bench.alive.load(Ordering::SeqCst), 500);
    bench.at(3900);
    bench.sweep();
    assert_eq!(bench.alive.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_value_past_max_stale_is_called_expired_also_after_it_was_wiped() {
    let bench = bench(1 << 20);
    assert!(bench.get(1, Ok(())).await.is_ok());
    bench.at(5000);
    bench.sweep();
    assert!(matches!(bench.get(1, Err(ErrorKind::Unreachable)).await, Err(Failure::Expired(_))));
    bench.sweep();
    assert!(matches!(bench.get(1, Ok(())).await, Err(Failure::Expired(_))));
    // One that never was there is not.
    assert!(matches!(bench.get(2, Err(ErrorKind::Unreachable)).await, Err(Failure::Provider(_))));
}

#[tokio::test]
async fn values_replaced_refused_or_over_the_limit_are_out_of_memory() {
    let bench = bench(10 * 1256);
    for key in 0..100 {
        assert!(bench.get(key, Ok(())).await.is_ok());
    }
    bench.sweep();
    assert_eq!(bench.alive.load(Ordering::SeqCst), 10);
    bench.at(300);
    for key in 90..100 {
        assert!(bench.get(key, Err(ErrorKind::Denied)).await.is_err());
    }
    bench.sweep();
    assert_eq!(bench.alive.load(Ordering::SeqCst), 0);
    assert!(bench.get(1, Ok(())).await.is_ok());
    bench.store.clear();
    assert_eq!(bench.alive.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_falls_with_a_refused_value_is_asked_for_again() {
    let falls_with = |refused: &u64, other: &u64| other - other % 10 == *refused && other != refused;
    let bench = bench_with(1 << 20, Hooks { falls_with: Some(falls_with), ..Hooks::default() });
    for key in [10, 11, 12, 21] {
        assert!(bench.get(key, Ok(())).await.is_ok());
    }
    bench.at(300);
    // An outage takes nothing away.
    assert!(bench.get(10, Err(ErrorKind::Unreachable)).await.is_ok_and(|held| held.stale));
    assert_eq!(bench.alive.load(Ordering::SeqCst), 4);
    bench.at(311);
    assert!(bench.get(10, Err(ErrorKind::Denied)).await.is_err());
    assert_eq!(bench.alive.load(Ordering::SeqCst), 1, "10 is refused, 11 and 12 fall with it, 21 stays");
}

/// A fetch that began before a change and lands after it: who came after the change does not get it, and memory does not
/// keep it for fresh.
#[tokio::test]
async fn what_was_fetched_before_a_change_is_not_for_who_comes_after_it() {
    let bench = bench(1 << 20);
    let answers = Arc::new(Notify::new());
    let number = Arc::new(AtomicU64::new(0));
    let fetch = || {
        let value = bench.value(number.fetch_add(1, Ordering::SeqCst));
        let answers = Arc::clone(&answers);
        async move {
            answers.notified().await;
            Ok(value)
        }
    };
    let first = bench.store.get(&1, &POLICY, soon(), fetch);
    let mut first = Box::pin(first);
    assert!(poll_once(&mut first).is_none(), "the fetch is under way");
    bench.store.outdate(&1);
    let mut second = Box::pin(bench.store.get(&1, &POLICY, soon(), fetch));
    assert!(poll_once(&mut second).is_none());
    answers.notify_one();
    assert_eq!(first.await.ok().unwrap().number, 0, "who came before gets what was there then");
    answers.notify_one();
    assert_eq!(second.await.ok().unwrap().number, 1);
    assert_eq!(bench.get(1, Err(ErrorKind::Malformed)).await.ok().unwrap().number, 1, "from memory");
}

#[tokio::test]
async fn after_a_change_the_next_one_asks_and_the_old_answer_is_kept_for_an_outage() {
    let bench = bench(1 << 20);
    assert!(bench.get(1, Ok(())).await.is_ok());
    bench.store.outdate(&1);
    let held = bench.get(1, Err(ErrorKind::Unreachable)).await.ok().unwrap();
    assert!(held.stale && bench.calls.load(Ordering::SeqCst) == 2);
    bench.store.outdate(&1);
    bench.at(20);
    assert!(bench.get(1, Err(ErrorKind::NotFound)).await.is_err(), "deleted means deleted");
    bench.store.outdate(&1);
    assert!(bench.get(1, Ok(())).await.is_ok_and(|held| !held.stale), "a refusal from before does not count");
    bench.store.outdate(&2);
    assert!(bench.store.last(&2).is_none());
}

/// The answer, if it is there at once.
fn poll_once<T>(future: &mut std::pin::Pin<Box<impl Future<Output = T>>>) -> Option<T> {
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(done) => Some(done),
        std::task::Poll::Pending => None,
    }
}
