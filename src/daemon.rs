//! The daemon's life: from a configuration to a mount, until it is told to stop.

use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime};

use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::access::audit::AuditLog;
use crate::broker::{self, Broker};
use crate::cache::{self, Clock, Followers, Memory, Sources, SystemClock, room_for_values};
use crate::config::{Config, ScopeName};
use crate::control::{self, Desk, Place, Reporter, socket};
use crate::fs::fuse::Beginning;
use crate::fs::ledger::{Estate, Ledger};
use crate::fs::mount::{self, State};
use crate::fs::{News, Operations, Serving, events, fuse};
use crate::handover::{self, Connection, Terms};
use crate::provider::{self, registry};
use crate::reload::{self, MayHang, Members, Origin, Reloader};
use crate::sandbox::{self, SandboxError};
use crate::telemetry::metrics;
use crate::tree::{Namespace, SecretNode};
use crate::watchdog;

/// How often memory is cleared of what is past any use.
const SWEEP: Duration = Duration::from_secs(1);
/// How long a daemon that has been unmounted may take to end before another one starts in its place.
const HANDOVER: Duration = Duration::from_secs(2);
/// How long the last requests may take once we have unmounted. A file that is still open keeps the
/// connection alive, and is not waited for.
const FAREWELL: Duration = Duration::from_millis(500);

/// How long it may take to tell those who watch files of the last change, before the next daemon goes on.
const LAST_EVENTS: Duration = Duration::from_secs(2);
/// How long the last audit records may take.
const LAST_RECORDS: Duration = Duration::from_secs(2);
/// How long all providers together may take to give back what they were lent. What is not given back ends by itself.
const GIVING_BACK: Duration = Duration::from_secs(2);

/// Why the daemon did not start, or ended badly.
#[derive(Debug, Error)]
pub enum DaemonError {
    #[error("{0}")]
    Mount(#[from] mount::Error),
    #[error(
        "a hushfs is mounted at {at} already; look at it with: hushfs status --mountpoint {at}, or end it with: hushfs unmount {at}"
    )]
    Occupied { at: String },
    #[error("the hushfs at {at} does not answer; clear it away with: hushfs unmount --lazy {at}")]
    Hung { at: String },
    #[error("the hushfs that was unmounted from {at} still serves files that are open; close them, or end it")]
    Lingering { at: String },
    #[error(
        "the kernel has given up the mount at {at}: a request was not answered, or an administrator has aborted it"
    )]
    GivenUp { at: String },
    #[error(
        "the process {} has ended, without which the daemon can neither unmount {at} nor see what programs run; start the \
         daemon again, or clear the mount away with: hushfs unmount --lazy {at}",
        broker::NAME
    )]
    Alone { at: String },
    #[error("cannot mount at {at}: {error}")]
    Mountpoint { at: String, error: io::Error },
    #[error("scope `{scope}`: {error}")]
    Provider { scope: String, error: provider::Error },
    #[error("{0}")]
    Sandbox(#[from] SandboxError),
    #[error("cannot {what}: {error}")]
    Os { what: &'static str, error: io::Error },
}

fn os(what: &'static str) -> impl Fn(io::Error) -> DaemonError {
    move |error| DaemonError::Os { what, error }
}

/// Mounts and serves until SIGTERM, SIGINT or an unmount from outside. Where systemd has kept the mount of an earlier
/// daemon, goes on with that.
pub fn run(config: Config, origin: Origin) -> Result<(), DaemonError> {
    let kept = handover::take_over();
    let mountpoint = mount::canonical(&config.mountpoint)
        .map_err(|error| DaemonError::Mountpoint { at: config.mountpoint.display().to_string(), error })?;
    let place = take_the_place(&mountpoint, config.control.socket.as_deref())?;
    // Not before we have the place: what looks dead now might be another daemon's a moment later.
    let kept = kept.filter(|kept| is_of(kept, &mountpoint, &config));
    if kept.is_none() {
        clear_the_place(&mountpoint)?;
    }
    // From here on we mount, unmount, look into other processes and make files no more: the broker does. Before there are
    // threads, for what each of them may do is what the one that starts it may.
    let doors = Doors::bind(place.as_ref(), &config);
    Broker::install(broker::Terms {
        mountpoint: &mountpoint,
        allow_other: config.allow_other,
        events: config.events,
        log: config.audit.file.as_deref(),
        layers: sandbox::Beside::of(&config.sandbox),
        sockets: doors.files(),
    })
    .map_err(os("start the process that mounts"))?;
    sandbox::enter(&config, &origin.source)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("hushfs-task")
        .enable_all()
        .build()
        .map_err(os("start the runtime"))?;
    let result = runtime.block_on(serve(config, origin, &mountpoint, (place.as_ref(), doors), kept));
    // Calls to a provider that hangs do not keep the process.
    runtime.shutdown_background();
    result
}

/// Where others come in: what is bound of it.
struct Doors {
    control: Option<socket::Bound>,
    metrics: Option<metrics::Bound>,
}

impl Doors {
    /// Without them there are secrets all the same.
    fn bind(place: Option<&Place>, config: &Config) -> Self {
        let control = place.and_then(|Place { socket, .. }| {
            let warn = |error: &io::Error| {
                tracing::warn!("no control socket at {}, so `hushfs status` will not work: {error}", socket.display());
            };
            control::bind(socket).inspect_err(warn).ok()
        });
        let metrics = config.metrics.listen.as_ref().and_then(|at| {
            let warn = |error: &io::Error| tracing::error!("metrics cannot be asked for at {at}: {error}");
            metrics::Bound::to(at).inspect_err(warn).ok()
        });
        Self { control, metrics }
    }

    fn files(&self) -> Vec<PathBuf> {
        let control = self.control.as_ref().map(|bound| bound.file.path());
        let metrics = self.metrics.as_ref().and_then(metrics::Bound::file);
        control.into_iter().chain(metrics).map(Path::to_owned).collect()
    }
}

/// Waits for a daemon that is on its way out, and refuses the place of one that is not. None where there
/// is no directory for locks and sockets.
fn take_the_place(mountpoint: &Path, socket: Option<&Path>) -> Result<Option<Place>, DaemonError> {
    let at = || mountpoint.display().to_string();
    let patience = Instant::now() + HANDOVER;
    loop {
        match control::place(mountpoint, socket) {
            Ok(Some(place)) => return Ok(Some(place)),
            Err(error) => {
                tracing::warn!("no control socket, so `hushfs status` will not work: {error}");
                return Ok(None);
            }
            Ok(None) => {}
        }
        match mount::state(mountpoint).map_err(os("read /proc/self/mountinfo"))? {
            State::Alive | State::Closed => return Err(DaemonError::Occupied { at: at() }),
            State::Hung => return Err(DaemonError::Hung { at: at() }),
            State::Free | State::Dead if Instant::now() > patience => return Err(DaemonError::Lingering { at: at() }),
            State::Free | State::Dead => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Refuses a place where a hushfs lives; clears away one that has died.
fn clear_the_place(mountpoint: &Path) -> Result<(), DaemonError> {
    match mount::state(mountpoint).map_err(os("read /proc/self/mountinfo"))? {
        State::Free => Ok(()),
        State::Alive | State::Closed => Err(DaemonError::Occupied { at: mountpoint.display().to_string() }),
        State::Hung => Err(DaemonError::Hung { at: mountpoint.display().to_string() }),
        State::Dead => {
            tracing::warn!("clearing away what a dead daemon left at {}", mountpoint.display());
            Ok(mount::unmount(mountpoint, true)?)
        }
    }
}

/// Is it the connection behind what is mounted now, alive, and mounted as the configuration wants it?
fn is_of(kept: &Connection, mountpoint: &Path, config: &Config) -> bool {
    let Terms { device, allow_other, uid, .. } = &kept.terms;
    let there = mount::Mount::of(mountpoint, device).ok().flatten();
    let can_tell = there.as_ref().and_then(|mount| mount.is_read_only().ok()?).map(|is_read_only| !is_read_only);
    let is_there = there.map(mount::Mount::leave).is_some();
    let (ours, is_root) = (rustix::process::getuid().as_raw(), rustix::process::geteuid().is_root());
    let is_same = *allow_other == config.allow_other && *uid == ours && (is_root || can_tell == Some(config.events));
    let is_good = is_there && is_same && kept.is_alive();
    if !is_good {
        tracing::warn!("what systemd kept of an earlier daemon is not what is to be at {}", mountpoint.display());
        handover::forget(&kept.terms);
    }
    is_good
}

async fn serve(
    config: Config,
    origin: Origin,
    mountpoint: &Path,
    (place, doors): (Option<&Place>, Doors),
    kept: Option<Connection>,
) -> Result<(), DaemonError> {
    let broker =
        broker::installed().ok_or_else(|| os("go on")(io::Error::other("there is no process that may mount")))?;
    let handle = tokio::runtime::Handle::current();
    // Before the mount: a signal from here on ends the daemon in order.
    let mut terminate = signal(SignalKind::terminate()).map_err(os("listen for SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(os("listen for SIGINT"))?;
    let mut hangup = signal(SignalKind::hangup()).map_err(os("listen for SIGHUP"))?;

    let sources = sources(&config)?;
    let (news, told) = mpsc::channel();
    let changed = news.clone();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (lockable, max_bytes) = (crate::secret::lockable(), config.max_bytes);
    let room = room_for_values(&config, lockable);
    if let (Some(lockable), true) = (lockable, room < max_bytes) {
        tracing::info!(
            lockable,
            room,
            max_bytes,
            "the kernel lets so many bytes be locked, so that fewer bytes of values than max_bytes are kept in memory; \
             RLIMIT_MEMLOCK is the limit (ulimit -l, LimitMEMLOCK=)"
        );
    }
    let memory = Arc::new(Memory::new(room, &clock, &handle, move |change| {
        // Nobody listens once the session has ended.
        let _ = changed.send(News::Value(change));
    }));
    let namespace = Arc::new(Namespace::new(sources, Arc::clone(&memory)));

    let socket = place.map_or_else(PathBuf::new, |place| place.socket.clone());
    // Before the mount, so that its first bits are right.
    let members = Members::of(&config).await;
    let judge = reload::judge(&config, &members);
    let audit = Arc::new(AuditLog::start(&config.audit).map_err(os("start the audit log"))?);
    let has_lists = judge.differs_by_caller();
    let operations = Operations::new(Arc::clone(&namespace), judge, Arc::clone(&audit), socket.clone());
    let longest = operations.longest_timeout();
    let mut kept = kept.map_or(Ok(None), |kept| fitting(kept, mountpoint, has_lists, longest))?;
    let (ledger, estate) = ledger(&mut kept);
    let serving = Arc::new(Serving::new(operations.with_ledger(ledger, estate)));

    let (beginning, mount) = begin(broker, mountpoint, kept)?;
    let is_resumed = matches!(beginning, Beginning::Resumed { .. });
    let (changed, touched) = mpsc::channel();
    let served = fuse::start(Arc::clone(&serving), beginning, handle, told, changed);
    let mut session = served.map_err(os("serve the mount"))?;
    if !is_resumed && let Some(device) = mount.device() {
        let (device, allow_other, agreed) = (device.to_owned(), config.allow_other, session.agreed);
        let uid = sandbox::owner().uid;
        let memory = serving.now().ledger().memory().map_err(os("note what is open"))?;
        handover::keep(&Terms { device, agreed, allow_other, uid }, &session.descriptors, memory.as_ref());
    }
    session.descriptors.clear();
    let teller = teller(&serving, &mount, &config, (touched, session.connection()))?;

    let (reload, mut requests) = tokio::sync::mpsc::channel(1);
    let _control = doors.control.and_then(|bound| {
        let (serving, mountpoint, started) = (Arc::clone(&serving), mountpoint.to_owned(), SystemTime::now());
        let allow_other = config.allow_other;
        let reporter = Box::new(move || {
            let (operations, mountpoint) = (serving.now(), mountpoint.clone());
            let max_bytes = operations.namespace().memory().max_bytes();
            Reporter { operations, mountpoint, started, had_predecessor: is_resumed, max_bytes, allow_other }
        });
        let warn = |error: &io::Error| tracing::warn!("`hushfs status` will not work: {error}");
        control::start(bound, Desk::new(reporter, reload)).inspect_err(warn).ok()
    });
    let _metrics = doors.metrics.and_then(|bound| {
        let (serving, started) = (Arc::clone(&serving), SystemTime::now());
        let subject = metrics::Subject { serving, started, names: config.metrics.names };
        let warn = |error: &io::Error| tracing::error!("metrics cannot be asked for: {error}");
        metrics::start(bound, subject).inspect_err(warn).ok()
    });
    let sweeper = tokio::spawn(sweep(Arc::clone(&serving)));
    let followers = followers(&serving);
    ready(broker, mountpoint, config.scopes.len(), &mut session.end).await?;
    let (agreed, serving) = (session.agreed, Arc::clone(&serving));
    let (lent, unfinished) = (Vec::new(), Vec::new());
    let bounded = MayHang::default();
    let mut reloader =
        Reloader { origin, config, serving, audit, members, followers, news, agreed, lent, unfinished, bounded };

    let detached = mount.device().map(|device| follow_detached(&session, device));
    let watchdog =
        watchdog::interval().map(|every| tokio::spawn(watchdog::watch(Arc::clone(&session.pulse), broker, every)));

    let mut alone = broker.gone().map_err(os("start a thread"))?;
    let outcome = tokio::select! {
        _ = terminate.recv() => Stop::Asked("SIGTERM"),
        _ = interrupt.recv() => Stop::Asked("SIGINT"),
        outcome = &mut session.end => Stop::Unmounted(outcome),
        Ok(()) = &mut alone => Stop::Alone,
        () = reloader.run(&mut hangup, &mut requests) => pending().await,
    };
    sweeper.abort();
    if let Some(detached) = detached {
        detached.abort();
    }
    if let Some(watchdog) = watchdog {
        watchdog.abort();
    }
    let Reloader { serving, audit, members, followers, mut lent, unfinished, .. } = reloader;
    drop((members, followers));
    lent.extend(serving.now().namespace().sources().all());
    // Whoever uses what was read through the mount does not notice that another daemon serves it.
    let mut is_over = true;
    let result = match outcome {
        Stop::Asked(signal) => {
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
            let mut unmounted = Ok(());
            let asked = tokio::task::spawn_blocking(handover::is_for_a_restart);
            if asked.await.unwrap_or(false) {
                tracing::info!("{signal}: leaving {} to the next daemon", mountpoint.display());
                is_over = false;
                // What it asks for is to be answered by us.
                let stopped = tokio::task::spawn_blocking(move || teller.map(|teller| teller.stop()));
                if tokio::time::timeout(LAST_EVENTS, stopped).await.is_err() {
                    tracing::warn!("who watches files may not be told of the last changes");
                }
                session.leave();
                mount.leave();
            } else {
                tracing::info!("{signal}: unmounting {}", mountpoint.display());
                let ended = tokio::task::spawn_blocking(|| mount.end());
                let ended = ended.await.map_err(|_| os("unmount")(io::Error::other("a thread ended")));
                // Answers on their way out; those that wait for a provider are cut off with the connection.
                let _ = tokio::time::timeout(FAREWELL, &mut session.end).await;
                // What is left to do is to be done whether or not that went well.
                unmounted = ended.and_then(|ended| Ok(ended?));
            }
            unmounted
        }
        Stop::Alone => {
            // Where systemd keeps it the next daemon goes on with it.
            is_over = !handover::is_possible();
            session.leave();
            mount.leave();
            Err(DaemonError::Alone { at: mountpoint.display().to_string() })
        }
        Stop::Unmounted(Ok(Ok(()))) => {
            if mount.is_there() {
                Err(DaemonError::GivenUp { at: mountpoint.display().to_string() })
            } else {
                tracing::info!("{} was unmounted", mountpoint.display());
                Ok(())
            }
        }
        Stop::Unmounted(Ok(Err(error))) => Err(os("go on serving the mount")(error)),
        Stop::Unmounted(Err(_)) => Err(os("go on serving the mount")(io::Error::other("a thread ended"))),
    };
    memory.clear();
    let logs = unfinished.into_iter().chain([audit]);
    let written = tokio::task::spawn_blocking(move || {
        // Each of them, whatever comes of another.
        logs.map(|log| log.finish(LAST_RECORDS)).fold(true, |all, written| all & written)
    });
    let giving_back = async { !is_over || tokio::time::timeout(GIVING_BACK, cache::close_all(lent)).await.is_ok() };
    let (is_given_back, written) = tokio::join!(giving_back, written);
    if !is_given_back {
        tracing::warn!("giving back what providers have lent took too long; the rest ends by itself");
    }
    if !written.unwrap_or(false) {
        tracing::error!("audit records were lost that no sink tells of");
    }
    // Requests whose work ends with the runtime are not answered, with an error of ours: they end with the connection.
    session.leave();
    result
}

/// What the kernel holds of an earlier daemon, and where it is noted for a later one.
fn ledger(kept: &mut Option<Connection>) -> (Ledger, Estate) {
    let memory = kept.as_mut().and_then(|kept| kept.ledger.take());
    let (made, what) = match memory {
        Some(memory) => (Ledger::resume(memory), "read"),
        None if handover::is_possible() => (Ledger::new().map(|ledger| (ledger, Estate::default())), "make"),
        None => return (Ledger::none(), Estate::default()),
    };
    made.unwrap_or_else(|error| {
        tracing::warn!(
            "cannot {what} the ledger of what is open: a file that is open over a crash will be stale: {error}"
        );
        (Ledger::none(), Estate::default())
    })
}

/// What is kept, if it can show what the configuration grants; otherwise the mount goes.
fn fitting(
    kept: Connection,
    mountpoint: &Path,
    has_lists: bool,
    longest: Duration,
) -> Result<Option<Connection>, DaemonError> {
    if kept.terms.agreed.can_show(has_lists) && kept.terms.agreed.can_wait(longest) {
        return Ok(Some(kept));
    }
    tracing::warn!(
        "grants are new, or gone, or `timeout` is longer: the mount of an earlier daemon cannot have that, and is replaced"
    );
    handover::forget(&kept.terms);
    let there = mount::Mount::of(mountpoint, &kept.terms.device).map_err(os("read /proc/self/mountinfo"))?;
    there.map_or(Ok(()), mount::Mount::end)?;
    Ok(None)
}

/// Goes on with what is kept, or mounts.
fn begin(
    broker: &Broker,
    mountpoint: &Path,
    kept: Option<Connection>,
) -> Result<(Beginning, mount::Mount), DaemonError> {
    if let Some(Connection { descriptors, terms, .. }) = kept {
        let there = mount::Mount::of(mountpoint, &terms.device).map_err(os("read /proc/self/mountinfo"))?;
        if let Some(mount) = there {
            tracing::info!("going on with the mount of an earlier daemon");
            return Ok((Beginning::Resumed { descriptors, agreed: terms.agreed }, mount));
        }
        handover::forget(&terms);
    }
    let (device, mount) = mount::mount_through(broker, mountpoint)?;
    Ok((Beginning::New(device), mount))
}

/// Who tells those who watch files of changes. None where nobody can be told.
fn teller(
    serving: &Arc<Serving>,
    mount: &mount::Mount,
    config: &Config,
    (touched, connection): (mpsc::Receiver<SecretNode>, Option<OwnedFd>),
) -> Result<Option<events::Teller>, DaemonError> {
    let is_roots = sandbox::owner().uid == 0;
    if !(is_roots || config.events) {
        return Ok(None);
    }
    let Some(place) = mount.place() else {
        tracing::warn!("the table of mounts cannot be read, so nobody who watches files is told of changes");
        return Ok(None);
    };
    if is_roots && mount.is_read_only().is_ok_and(|is| is == Some(false)) {
        // A daemon that died in the middle of it.
        events::set_read_only(&place);
    }
    let place = events::Place { connection, ..place };
    events::start(Arc::clone(serving), place, touched).map(Some).map_err(os("start a thread"))
}

fn follow_detached(session: &fuse::Session, device: &str) -> tokio::task::JoinHandle<()> {
    let (detached, device) = (Arc::clone(&session.detached), device.to_owned());
    tokio::spawn(async move {
        if let Err(error) = detached.follow(&device).await {
            tracing::warn!(
                "cannot follow the table of mounts: after a lazy unmount readers wait until their `timeout` is up: {error}"
            );
        }
    })
}

enum Stop {
    Asked(&'static str),
    /// The broker has ended.
    Alone,
    Unmounted(Result<io::Result<()>, oneshot::error::RecvError>),
}

/// Follows the providers of the configuration that holds.
fn followers(serving: &Arc<Serving>) -> Followers {
    let told = Arc::clone(serving);
    let mut followers = Followers::new(Arc::new(move |scope: &ScopeName, change| {
        let operations = told.now();
        let namespace = operations.namespace();
        namespace.memory().outdate(namespace.sources(), scope, &change);
    }));
    followers.follow(serving.now().namespace().sources());
    followers
}

fn sources(config: &Config) -> Result<Arc<Sources>, DaemonError> {
    let sources = Sources::new(config.scopes.values(), config.identities.clone(), Box::new(registry::build));
    let failed =
        |(scope, error): (ScopeName, provider::Error)| DaemonError::Provider { scope: scope.to_string(), error };
    Ok(Arc::new(sources.map_err(failed)?))
}

/// Tells systemd, once the kernel gets answers. A look is enough, and no decision that would be recorded.
async fn ready(
    broker: &'static Broker,
    mountpoint: &Path,
    scopes: usize,
    end: &mut oneshot::Receiver<io::Result<()>>,
) -> Result<(), DaemonError> {
    let looked = tokio::task::spawn_blocking(|| broker.ask_mount());
    tokio::select! {
        looked = looked => match looked {
            Ok(Ok(())) => {
                tracing::info!(scopes, "mounted at {}", mountpoint.display());
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
                Ok(())
            }
            Ok(Err(error)) => Err(os("look at the new mount")(error)),
            Err(_) => Err(os("look at the new mount")(io::Error::other("a thread ended"))),
        },
        _ = end => Err(os("look at the new mount")(io::Error::other("it was unmounted at once"))),
    }
}

/// Wipes what is past any use, and says once if values could be swapped out.
async fn sweep(serving: Arc<Serving>) {
    let mut warned = false;
    loop {
        tokio::time::sleep(SWEEP).await;
        let operations = serving.now();
        let namespace = operations.namespace();
        namespace.memory().sweep(namespace.sources());
        namespace.sources().sweep();
        drop(operations);
        let unlocked = crate::secret::usage().unlocked;
        if unlocked > 0 && !warned {
            warned = true;
            tracing::error!(
                unlocked,
                "the kernel refuses to lock memory for values, so they could be written to swap; \
                 raise RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=) or turn swap off"
            );
        }
    }
}
