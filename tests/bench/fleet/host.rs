//! A host: its own memory, its own budget, and programs that read its secrets.

use std::ffi::OsStr;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use hushfs::cache::{About, Budget, Clock, Failure, Memory, Source, Sources};
use hushfs::config::{CacheSettings, Format, LocalSettings, ProviderSettings, Scope, ScopeName};
use hushfs::provider::{ErrorKind, Identity, Provider, SecretName};
use hushfs::tree::{Namespace, Node, Refusal, SecretNode, SecretPath};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::clock::Virtual;

/// Each secret is read so often once its program runs.
pub const READ_EVERY: Duration = Duration::from_secs(60);
/// A program that does not get its secret when it starts tries again after so long, as systemd would start it again.
const START_AGAIN: Duration = Duration::from_secs(5);

/// What readers were told, in all.
#[derive(Clone, Copy, Default)]
pub struct Told {
    pub fresh: u64,
    pub stale: u64,
    pub busy: u64,
    pub failed: u64,
    pub longest_wait: Duration,
    /// Programs that have had their secret, and when the last of them had it.
    pub started: u64,
    pub last_start: Duration,
}

pub struct Host {
    namespace: Namespace,
    scope: ScopeName,
    timeout: Duration,
    clock: Arc<Virtual>,
    told: Arc<Mutex<Told>>,
}

impl Host {
    pub fn new(
        cache: &CacheSettings,
        provider: Arc<dyn Provider>,
        clock: &Arc<Virtual>,
        told: &Arc<Mutex<Told>>,
    ) -> Option<Arc<Self>> {
        let name = ScopeName::new("prod")?;
        let as_clock: Arc<dyn Clock> = clock.clone();
        let memory = Memory::new(1 << 20, &as_clock, &Handle::current(), |_| {});
        let budget =
            Budget::new(name.clone(), cache.calls, as_clock).counting_names_apart(provider.counts_names_apart());
        // Whose settings they are does not matter: the provider is there already.
        let settings = LocalSettings { path: "/nowhere".into(), identity: None, allow_plaintext: false };
        let provider_settings = ProviderSettings::Local(settings);
        let scope =
            Scope { name: name.clone(), cache: cache.clone(), format: Format::Raw, provider: provider_settings };
        let sources = Sources::of([Source::new(scope, Identity::Own, provider, Arc::new(budget))]);
        let namespace = Namespace::new(Arc::new(sources), Arc::new(memory));
        let timeout = cache.timeout;
        Some(Arc::new(Self { namespace, scope: name, timeout, clock: Arc::clone(clock), told: Arc::clone(told) }))
    }

    /// Starts a program for each secret, after `boot`, and has it read for ever.
    pub async fn run(self: Arc<Self>, boot: Duration, secrets: Arc<Vec<SecretName>>) {
        self.clock.sleep(boot).await;
        for number in 0..secrets.len() {
            let (host, secrets) = (Arc::clone(&self), Arc::clone(&secrets));
            tokio::spawn(async move {
                while !host.read(&secrets[number]).await {
                    host.clock.sleep(START_AGAIN).await;
                }
                host.has_started();
            });
        }
        let gap = READ_EVERY / secrets.len() as u32;
        for number in (0..secrets.len()).cycle() {
            self.clock.sleep(gap).await;
            let (host, secrets) = (Arc::clone(&self), Arc::clone(&secrets));
            let mut read = Box::pin(async move { host.read(&secrets[number]).await });
            // What memory answers needs no task, as in the daemon.
            let waits = std::future::poll_fn(|context| Poll::Ready(read.as_mut().poll(context).is_pending())).await;
            if waits {
                tokio::spawn(read);
            }
        }
    }

    fn has_started(&self) {
        let mut told = self.told.lock().unwrap();
        told.started += 1;
        told.last_start = self.clock.now();
    }

    /// Did it get a value?
    async fn read(&self, name: &SecretName) -> bool {
        let began = self.clock.now();
        let answer = tokio::select! {
            biased;
            answer = self.walk(name) => answer,
            () = self.clock.sleep(self.timeout) => self.in_vain(name),
        };
        let waited = self.clock.now() - began;
        let mut told = self.told.lock().unwrap();
        told.longest_wait = told.longest_wait.max(waited);
        match &answer {
            Ok(true) => told.stale += 1,
            Ok(false) => told.fresh += 1,
            Err(Refusal::Failed(Failure::Provider(error) | Failure::Expired(error)))
                if error.kind == ErrorKind::Throttled =>
            {
                told.busy += 1
            }
            Err(_) => told.failed += 1,
        }
        answer.is_ok()
    }

    /// What who has waited for the whole `timeout` gets.
    fn in_vain(&self, name: &SecretName) -> Result<bool, Refusal> {
        let source = self.namespace.source(&self.scope, Identity::Own)?;
        let path = SecretPath::parse(name.as_str()).ok_or(Refusal::NoSuchEntry)?;
        match self.namespace.current(&SecretNode { scope: self.scope.clone(), identity: Identity::Own, path }) {
            Some(_) => Ok(true),
            None => Ok(source.unless_held_back(About::Values, Err(Failure::Deadline))?),
        }
    }

    /// From the scope to the value, as the kernel goes that has forgotten each name on the way. Is the value stale?
    async fn walk(&self, name: &SecretName) -> Result<bool, Refusal> {
        // The file system's own deadline is on the machine's clock; who calls this has it on ours.
        let never = Instant::now() + Duration::from_secs(86_400);
        let mut node = Node::Scope(self.scope.clone(), Identity::Own);
        for part in name.as_str().split('/').chain(["value"]) {
            node = self.namespace.child(&node, OsStr::new(part), never).await?.node;
        }
        let (_, held) = self.namespace.open(&node, never).await?;
        Ok(held.stale)
    }
}
