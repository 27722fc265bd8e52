//! Memory against a model of it, under a clock that is turned and a provider that does as it is told.
//!
//! After each of many random operations every reader has got what the model says, the calls that were made are those that
//! the model wants, and memory holds what the model holds. Where jitter decides, both are allowed.

mod model;
mod script;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use proptest::sample::select;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::model::{Got, Model};
use self::script::{Key, Mode, Script, Scripted};
use super::clock::Clock;
use super::freshness::Failure;
use super::memory::{Memory, ValueKey};
use super::renewal::Renewed;
use super::source::Source;
use super::sources::{Build, Sources};
use super::store::Held;
use crate::access::policy::Principal;
use crate::config::{
    ActsAs, CacheSettings, Format, IdentityRole, IdentitySettings, LocalSettings, ProviderSettings, Scope, ScopeName,
};
use crate::provider::{Change, ErrorKind, Identity, SecretName, VersionSelector};
use crate::tree::{Below, Document, Index, SecretPath};

const NAMES: [&str; 2] = ["db", "web"];
/// A secret that takes nearly all the memory for values.
const FILLER: &str = "filler";
const FILLER_BYTES: usize = 20_000;
/// It and its one key, what remembering costs, and less than anything else takes.
const MAX_BYTES: u64 = 2 * FILLER_BYTES as u64 + 256 + 200;

const SETTINGS: CacheSettings = CacheSettings {
    calls: None,
    ttl: Duration::from_secs(300),
    refresh_ahead: 0.8,
    max_stale: Duration::from_secs(3600),
    negative_ttl: Duration::from_secs(10),
    list_ttl: Duration::from_secs(60),
    iam_ttl: Duration::ZERO,
    // On the machine's clock, which is not turned: what does not answer says so itself.
    timeout: Duration::from_secs(3600),
    max_secret_bytes: 1 << 20,
};

#[derive(Debug, Clone)]
enum Operation {
    /// The clock.
    Turn(Duration),
    /// By which identity, of which name, which version (0 is the current one, 1 the newest by its number).
    Read(usize, &'static str, usize, bool),
    List(usize, bool),
    Look(usize, &'static str, bool),
    /// One of the calls is answered, with what was true when it was made or is now.
    Land(usize, bool),
    LandAll(bool),
    Rotate(&'static str),
    Delete(&'static str),
    /// How an identity is answered from now on.
    Answer(usize, Mode),
    Lend(Option<Duration>),
    Refresh(Option<&'static str>),
    Flush(Option<&'static str>),
    /// The provider tells of a change.
    Tell(Option<&'static str>),
    /// So many times in a row an identity asks for a value in vain.
    Outage(usize, &'static str, usize),
    Sweep,
    /// Until nothing that is in memory is of use, and then a sweep.
    Age,
    Evict,
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let times = [1, 500, 999, 1_000, 9_999, 10_000, 45_000, 60_000, 110_000, 150_000, 220_000, 300_000, 3_600_000];
    let name = || select(&NAMES[..]);
    let name_or_all = || prop::option::of(name());
    let who = || 0..2_usize;
    let failures = [
        Mode::Fails(ErrorKind::Denied, None),
        Mode::Fails(ErrorKind::Malformed, None),
        Mode::Fails(ErrorKind::Unreachable, None),
        Mode::Fails(ErrorKind::TimedOut, Some(Duration::from_secs(42))),
    ];
    let leases = [20, 400, 100_000].map(|seconds| Some(Duration::from_secs(seconds)));
    prop_oneof![
        5 => select(times.to_vec()).prop_map(|time| Turn(Duration::from_millis(time))),
        9 => (who(), name(), prop_oneof![3 => Just(0), 1 => 1..4_usize], any::<bool>())
            .prop_map(|(who, name, back, waits)| Read(who, name, back, waits)),
        2 => (who(), any::<bool>()).prop_map(|(who, waits)| List(who, waits)),
        3 => (who(), name(), any::<bool>()).prop_map(|(who, name, waits)| Look(who, name, waits)),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(which, late)| Land(which, late)),
        7 => any::<bool>().prop_map(LandAll),
        3 => name().prop_map(Rotate),
        1 => name().prop_map(Delete),
        2 => (who(), prop_oneof![Just(Mode::Answers), select(failures.to_vec())])
            .prop_map(|(who, mode)| Answer(who, mode)),
        1 => prop_oneof![Just(None), select(leases.to_vec())].prop_map(Lend),
        1 => name_or_all().prop_map(Refresh),
        1 => name_or_all().prop_map(Flush),
        1 => name_or_all().prop_map(Tell),
        2 => (who(), name(), 1..4_usize).prop_map(|(who, name, times)| Outage(who, name, times)),
        1 => Just(Sweep),
        1 => Just(Age),
        1 => Just(Evict),
    ]
}

/// Milliseconds.
#[derive(Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

/// Memory and its model, side by side.
struct Bench {
    memory: Arc<Memory>,
    sources: Arc<Sources>,
    by_identity: [Arc<Source>; 2],
    clock: Arc<Hands>,
    script: Script,
    model: Model,
    readers: BTreeMap<usize, JoinHandle<Got>>,
    count: usize,
}

type Checked = Result<(), TestCaseError>;

impl Bench {
    fn new(max_stale: Duration) -> Self {
        let settings = CacheSettings { max_stale, ..SETTINGS };
        let clock = Arc::new(Hands::default());
        let as_clock: Arc<dyn Clock> = Arc::<Hands>::clone(&clock);
        let script = Script::default();
        let scope = Scope {
            name: scope(),
            cache: settings.clone(),
            format: Format::Auto,
            provider: ProviderSettings::Local(LocalSettings {
                path: "/nowhere".into(),
                identity: None,
                allow_plaintext: false,
            }),
        };
        let role = IdentityRole { role_arn: "x".into(), external_id: None, session_name: "x".into() };
        let other = IdentitySettings {
            number: 0,
            principals: vec![Principal::Everyone],
            scopes: vec![scope.name.clone()],
            acts_as: ActsAs::AwsRole(role),
            place: String::new(),
        };
        let by_script = script.clone();
        let build: Build = Box::new(move |_, acting| {
            Ok(Arc::new(Scripted { script: by_script.clone(), who: usize::from(acting.is_some()) }))
        });
        let sources = Arc::new(Sources::new([&scope].into_iter(), vec![other], build).ok().unwrap());
        let by_identity = [0, 1].map(|who| sources.get(&scope.name, identity(who)).unwrap().unwrap());
        let memory = Arc::new(Memory::new(MAX_BYTES, &as_clock, &Handle::current(), |_| {}));
        let model = Model::new(settings);
        Self { memory, sources, by_identity, clock, script, model, readers: BTreeMap::new(), count: 0 }
    }

    /// A reader comes; what it gets is compared when it has got it.
    fn reads(&mut self, key: Key, waits: bool) {
        let id = self.count;
        self.count += 1;
        self.model.read(&key, id, waits);
        let (memory, by_identity) = (Arc::clone(&self.memory), self.by_identity.clone());
        let until = if waits { Instant::now() + Duration::from_secs(3600) } else { Instant::now() };
        let reader = tokio::spawn(async move {
            match key {
                Key::Value(who, name, version) => {
                    let version = version.map_or(VersionSelector::Current, |id| VersionSelector::Named(id.to_string()));
                    got(memory.document(&by_identity[who], &path(&name), &version, until).await, text_of)
                }
                Key::Listing(who) => got(memory.listing(&by_identity[who], until).await, names_of),
                Key::Presence(who, name) => match memory.presence(&by_identity[who], &path(&name), until).await {
                    Ok(presence) => Got::Fresh(format!("{:?}", presence.secret)),
                    Err(failure) => failed(failure),
                },
            }
        });
        self.readers.insert(id, reader);
    }

    fn turn(&mut self, time: Duration) {
        self.clock.0.fetch_add(time.as_millis() as u64, Ordering::SeqCst);
        self.model.now += time;
    }

    fn land(&mut self, call: usize, late: bool) {
        let outcome = self.script.land(call, late);
        self.model.land(call, outcome);
    }

    /// Lets everything happen that can, and compares.
    async fn settle(&mut self) -> Checked {
        // Whoever cannot wait is woken by the machine's clock.
        for _ in 0..24 {
            tokio::task::yield_now().await;
        }
        let made = self.model.made(self.script.new_calls());
        prop_assert!(made.is_ok(), "{}", made.unwrap_err());
        for (id, expected) in std::mem::take(&mut self.model.answered) {
            let reader = self.readers.remove(&id).unwrap();
            let got = tokio::time::timeout(Duration::from_secs(10), reader).await;
            prop_assert!(got.is_ok(), "reader {id} still waits, and should have {expected:?}");
            prop_assert_eq!(got.unwrap().unwrap(), expected, "reader {}", id);
        }
        let early = self.readers.iter().find(|(_, reader)| reader.is_finished());
        prop_assert!(early.is_none(), "reader {:?} has been answered, and should wait", early);
        let held = self.memory.values().into_iter().filter(|(key, _)| !is_filler(key));
        let held: BTreeMap<Key, (String, Duration, bool)> = held
            .map(|(key, good)| {
                let who = usize::from(key.at.identity != Identity::Own);
                let version = match &key.version {
                    VersionSelector::Named(id) => id.parse().ok(),
                    VersionSelector::Current | VersionSelector::Previous => None,
                };
                let key = Key::Value(who, key.at.path.as_str().to_owned(), version);
                (key, (text_of(&good.value), good.fetched, good.outdated))
            })
            .collect();
        prop_assert_eq!(held, self.model.values(), "what memory holds");
        Ok(())
    }

    async fn refresh(&mut self, name: Option<&'static str>) -> Checked {
        let asked = self.model.renew(name);
        let under_way: Vec<(Key, Option<usize>)> =
            asked.iter().map(|key| (key.clone(), self.model.call(key))).collect();
        for (key, _) in under_way.iter().filter(|(_, call)| call.is_none()) {
            self.model.start(key);
        }
        let (memory, sources) = (Arc::clone(&self.memory), Arc::clone(&self.sources));
        let renewing = tokio::spawn(async move { memory.renew(&sources, &below(name)).await });
        self.settle().await?;
        // What was on its way before does not count.
        for (key, call) in under_way {
            if let Some(call) = call {
                self.land(call, true);
                self.model.start(&key);
                self.settle().await?;
            }
        }
        for key in &asked {
            if let Some(call) = self.model.call(key) {
                self.land(call, true);
            }
        }
        self.settle().await?;
        let renewed = tokio::time::timeout(Duration::from_secs(10), renewing).await;
        prop_assert!(renewed.is_ok(), "the refresh still waits");
        let renewed: Vec<Renewed> = renewed.unwrap().unwrap();
        let renewed = renewed.iter().filter(|renewed| !is_filler(&renewed.key));
        prop_assert_eq!(renewed.count(), asked.len(), "values asked for");
        Ok(())
    }

    async fn evict(&mut self) -> Checked {
        self.count += 1;
        let filler = path(&format!("{FILLER}-{}", self.count));
        let until = Instant::now() + Duration::from_secs(3600);
        let held = self.memory.document(&self.by_identity[0], &filler, &VersionSelector::Current, until).await;
        prop_assert!(held.is_ok_and(|held| held.raw.len() == FILLER_BYTES));
        self.model.evict();
        Ok(())
    }

    async fn does(&mut self, operation: Operation) -> Checked {
        match operation {
            Operation::Turn(time) => self.turn(time),
            Operation::Read(who, name, back, waits) => {
                let version = back.checked_sub(1).map(|back| self.script.version(name, back));
                self.reads(Key::Value(who, name.into(), version), waits);
            }
            Operation::List(who, waits) => self.reads(Key::Listing(who), waits),
            Operation::Look(who, name, waits) => self.reads(Key::Presence(who, name.into()), waits),
            Operation::Land(which, late) => {
                let pending = self.script.pending();
                if !pending.is_empty() {
                    self.land(pending[which % pending.len()], late);
                }
            }
            Operation::LandAll(late) => {
                for call in self.script.pending() {
                    self.land(call, late);
                    self.settle().await?;
                }
            }
            Operation::Rotate(name) => self.script.rotate(name),
            Operation::Delete(name) => self.script.delete(name),
            Operation::Answer(who, mode) => self.script.set_mode(who, mode),
            Operation::Lend(lease) => self.script.set_lease(lease),
            Operation::Refresh(name) => self.refresh(name).await?,
            Operation::Flush(name) => {
                self.model.forget(name);
                self.memory.forget(&below(name));
            }
            Operation::Tell(name) => {
                self.model.told(name);
                let change = name.map_or(Change::All, |name| Change::Secret(SecretName::new(name).unwrap()));
                self.memory.outdate(&self.sources, &scope(), &change);
            }
            Operation::Outage(who, name, times) => {
                self.script.set_mode(who, Mode::Fails(ErrorKind::Unreachable, None));
                for time in 0..times {
                    if time > 0 {
                        self.turn(SETTINGS.negative_ttl);
                    }
                    self.reads(Key::Value(who, name.into(), None), true);
                    self.settle().await?;
                    for call in self.script.pending() {
                        self.land(call, true);
                        self.settle().await?;
                    }
                }
            }
            Operation::Age => {
                self.turn(SETTINGS.ttl + SETTINGS.max_stale);
                self.model.sweep();
                self.memory.sweep(&self.sources);
            }
            Operation::Sweep => {
                self.model.sweep();
                self.memory.sweep(&self.sources);
            }
            Operation::Evict => self.evict().await?,
        }
        self.settle().await
    }

    /// At the end nobody waits for what has been answered.
    async fn ends(&mut self) -> Checked {
        while !self.script.pending().is_empty() {
            self.does(Operation::LandAll(true)).await?;
        }
        prop_assert_eq!((self.model.waiting(), self.readers.len()), (0, 0), "somebody waits for nothing");
        Ok(())
    }
}

fn scope() -> ScopeName {
    ScopeName::new("prod").unwrap()
}

fn identity(who: usize) -> Identity {
    if who == 0 { Identity::Own } else { Identity::Other { number: 0, user: None } }
}

fn path(name: &str) -> SecretPath {
    SecretPath::of(&SecretName::new(name).unwrap()).unwrap()
}

fn below(name: Option<&str>) -> Below {
    name.map_or(Below::All, |name| Below::Path { scope: scope(), path: path(name), of: None })
}

fn is_filler(key: &ValueKey) -> bool {
    key.at.path.as_str().starts_with(FILLER)
}

fn text_of(document: &Document) -> String {
    String::from_utf8(document.raw.expose().to_vec()).unwrap()
}

fn names_of(index: &Index) -> String {
    index.children(None).map(|(name, _)| format!("{name} ")).collect()
}

fn got<V>(answer: Result<Held<V>, Failure>, text: impl Fn(&V) -> String) -> Got {
    match answer {
        Ok(held) if held.stale => Got::Stale(text(&held)),
        Ok(held) => Got::Fresh(text(&held)),
        Err(failure) => failed(failure),
    }
}

fn failed(failure: Failure) -> Got {
    match failure {
        Failure::Provider(error) => Got::Failed(error.kind),
        Failure::Expired(error) => Got::Expired(error.kind),
        Failure::Deadline => Got::Deadline,
    }
}

proptest! {
    #[test]
    fn memory_does_what_its_model_does(
        max_stale in prop_oneof![1 => Just(Duration::ZERO), 3 => Just(SETTINGS.max_stale)],
        operations in prop::collection::vec(operation(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut bench = Bench::new(max_stale);
            bench.script.rotate("db");
            bench.script.rotate("web");
            for operation in operations {
                bench.does(operation).await?;
            }
            bench.ends().await
        })?;
    }
}
