//! Another configuration for a mount that lives: the whole of it, or nothing.
//!
//! All that can go wrong goes wrong before anything is changed. Then one pointer is replaced
//! ([`Serving`]): what comes from there on is judged and answered by the new configuration, what had come before by the
//! old one to its end. Done is done: the kernel remembers nothing that was true only before, and no request is under way
//! that began then.

mod bounded;
mod members;
mod origin;
mod refused;
mod systemd;

use std::io;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use self::bounded::Bounded;
use self::refused::{Refused, log};
use crate::access::audit::AuditLog;
use crate::cache::{Followers, Source, close_all, room_for_values};
use crate::config::{self, Changes, Config, Loaded};
use crate::control::{ReloadRequests, Reloaded};
use crate::fs::{News, Operations, Outdated, Serving, fuse};
use crate::sandbox;
use crate::tree::Namespace;

pub use self::members::{Members, judge};
pub use self::origin::Origin;

/// How long reading the configuration may take, which asks the host's name service for each user and group by name; and
/// as long each look at the files that it names.
const READING: Duration = Duration::from_secs(30);
/// How long providers may take to give back what nobody can ask for any more. The rest ends by itself.
const GIVING_BACK: Duration = Duration::from_secs(2);
/// How long the last records of a log that is not written any more may take.
const LAST_RECORDS: Duration = Duration::from_secs(2);
/// A request that belongs to no scope, and what it takes to answer one, take less.
const LONGER: Duration = Duration::from_secs(5);

/// What there is of the configuration that holds.
pub struct Reloader {
    pub origin: Origin,
    pub config: Config,
    pub serving: Arc<Serving>,
    pub audit: Arc<AuditLog>,
    pub members: Members,
    pub followers: Followers,
    pub news: mpsc::Sender<News>,
    pub agreed: fuse::Agreed,
    /// Of configurations before, and not given back yet.
    pub lent: Vec<Arc<Source>>,
    /// Logs of configurations before that are not finished yet.
    pub unfinished: Vec<Arc<AuditLog>>,
    pub bounded: MayHang,
}

/// What may hang, each once at a time.
#[derive(Default)]
pub struct MayHang {
    /// The configuration's file is read.
    reading: Bounded<Result<Loaded, config::Report>>,
    /// The files that it names are looked at: what is lacking, and what was before.
    looking: Bounded<(Vec<String>, Vec<String>)>,
    /// Another audit log is begun.
    starting: Bounded<io::Result<AuditLog>>,
}

impl Reloader {
    /// Loads when it is told to, by SIGHUP or over the control socket. To be dropped when there is something else to
    /// do: what is begun and not seen is left, as if it had not been.
    pub async fn run(&mut self, hangup: &mut tokio::signal::unix::Signal, requests: &mut ReloadRequests) {
        loop {
            let answer = tokio::select! {
                Some(()) = hangup.recv() => None,
                Some(answer) = requests.recv() => Some(answer),
                else => return,
            };
            systemd::begins();
            let reloaded = self.reload().await;
            systemd::ends(&reloaded);
            if let Some(answer) = answer {
                // Whoever asked may be gone.
                let _ = answer.send(reloaded);
            }
        }
    }

    async fn reload(&mut self) -> Reloaded {
        // Also where the configuration is wrong: whoever has rotated the log has no other way to say so.
        self.audit.reopen();
        let origin = self.origin.clone();
        // Names of users and groups are looked up, which may take its time.
        let loaded = match self.bounded.reading.run(move || origin.load(), READING).await {
            Ok(loaded) => loaded.map_err(Refused::Wrong),
            Err(error) => Err(Refused::Failed(format!("reading the configuration {error}"))),
        };
        let applied = match loaded {
            Ok(Loaded { config, warnings }) => self.apply(config).await.map(|changes| (changes, warnings)),
            Err(refused) => Err(refused),
        };
        match applied {
            Ok((changes, warnings)) => {
                log(&warnings);
                let reloaded = Reloaded::applied(changes, &warnings);
                tracing::info!("reloaded: {}", reloaded.changes);
                reloaded
            }
            Err(refused) => refused.tell(),
        }
    }

    /// All or nothing.
    async fn apply(&mut self, config: Config) -> Result<Changes, Refused> {
        let now = self.serving.now();
        let changes = Changes::between(&self.config, &config);
        let mut fixed = config::fixed(&self.config, &config);
        let differs = !(config.grants.is_empty() && config.identities.is_empty());
        if differs && !now.wants_lists() && !self.agreed.can_show(differs) {
            fixed.push("there are no [[grant]] and no [[identity]], and were to be some".to_owned());
        }
        if !self.agreed.can_wait(longest(&config)) {
            fixed.push("`timeout` was to be so long that the kernel would give the mount up".to_owned());
        }
        let lacking = self.lacking(&config).await?;
        if !lacking.is_empty() {
            fixed.push(format!("in its sandbox the daemon may not {}", lacking.join(", nor ")));
        }
        if !fixed.is_empty() {
            return Err(Refused::Fixed(fixed));
        }
        let sources = now.namespace().sources().followed_by(config.scopes.values(), config.identities.clone());
        let sources = sources.map_err(|(scope, error)| Refused::Unworkable(format!("scope `{scope}`: {error}")))?;
        let audit = if changes.audit { self.start(&config).await? } else { Arc::clone(&self.audit) };
        let members = if members::principals(&self.config) == members::principals(&config) {
            None
        } else {
            Some(Members::of(&config).await)
        };
        let namespace = Arc::new(now.namespace().followed_by(Arc::new(sources)));
        let judge = judge(&config, members.as_ref().unwrap_or(&self.members));
        let next = now.followed_by(Arc::clone(&namespace), judge, Arc::clone(&audit));
        if next.wants_lists() && self.agreed.can_show(true) {
            next.set_lists();
        }
        let outdated = outdated(&changes, &members);
        let longest = longest(&self.config);
        self.config = config;
        if let Some(members) = members {
            self.members = members;
        }
        self.unfinished.extend(changes.audit.then(|| std::mem::replace(&mut self.audit, audit)));
        self.replace(now, next, &namespace, &outdated, longest).await;
        Ok(changes)
    }

    /// What the daemon was not let through to, and another configuration needs. What the one that holds would have to
    /// reach as well is no reason to refuse another: it may have come since the start, such as a folder at home.
    async fn lacking(&mut self, config: &Config) -> Result<Vec<String>, Refused> {
        let (before, after, source) = (self.config.clone(), config.clone(), self.origin.source.clone());
        let look = move || {
            let lacks = |config: &Config| sandbox::lacks(config, &source);
            let had_in_vain = lacks(&before);
            lacks(&after).into_iter().partition::<Vec<_>, _>(|lacking| !had_in_vain.contains(lacking))
        };
        // Files are looked at, which may take its time.
        let looked = self.bounded.looking.run(look, READING).await;
        let (lacking, known) = looked.map_err(|error| Refused::Failed(format!("looking at files {error}")))?;
        for lacking in known {
            tracing::warn!(
                "in its sandbox the daemon may not {lacking}, which was not there when it started; restart it for that"
            );
        }
        Ok(lacking)
    }

    /// At the start of the daemon a file that cannot be opened yet is tried again; here there is a log that works.
    async fn start(&mut self, config: &Config) -> Result<Arc<AuditLog>, Refused> {
        let settings = config.audit.clone();
        let started = self.bounded.starting.run(move || AuditLog::start_working(&settings), READING).await;
        let started = started.map_err(|error| Refused::Failed(format!("starting the audit log {error}")))?;
        started.map(Arc::new).map_err(|error| Refused::Failed(format!("cannot start the audit log: {error}")))
    }

    /// From here on nothing fails.
    async fn replace(
        &mut self,
        now: Arc<Operations>,
        next: Operations,
        namespace: &Namespace,
        outdated: &Outdated,
        longest: Duration,
    ) {
        let (before, memory) = (Arc::clone(now.namespace().sources()), Arc::clone(namespace.memory()));
        // Or it would be waited for.
        drop(now);
        let mut over = pin!(self.serving.replace(next).wait());
        // Here already: whoever has this stopped stops the daemon, and gives back what is noted.
        self.lent = before.without(namespace.sources());
        // Before anything is taken back: who is answered meanwhile may leave something after that.
        let is_over = tokio::select! { biased; () = &mut over => true, () = std::future::ready(()) => false };
        memory.limit(room_for_values(&self.config, crate::secret::lockable()));
        memory.retire(namespace.sources());
        self.followers.follow(namespace.sources());
        self.tell(outdated).await;
        if !is_over {
            if tokio::time::timeout(longest, over).await.is_err() {
                tracing::warn!("requests from before the reload are still under way after {longest:?}");
            }
            // Once more: what the last of them have left.
            memory.retire(namespace.sources());
            self.tell(outdated).await;
        }
        // Once more, too: an identity that came for the first time with the last of them.
        self.lent = before.without(namespace.sources());
        memory.forget_what_is_given_back(&self.lent);
        self.let_go().await;
    }

    /// Has the kernel told, and waits until it is.
    async fn tell(&self, outdated: &Outdated) {
        let (told, is_told) = tokio::sync::oneshot::channel();
        if self.news.send(News::Configuration(outdated.clone(), told)).is_ok() {
            // An error means that the mount is gone.
            let _ = is_told.await;
        }
    }

    /// Gives back and finishes what is left of configurations before.
    pub async fn let_go(&mut self) {
        if !self.lent.is_empty() {
            if tokio::time::timeout(GIVING_BACK, close_all(self.lent.clone())).await.is_err() {
                tracing::warn!("giving back what providers have lent took too long; the rest ends by itself");
            }
            self.lent.clear();
        }
        for log in self.unfinished.clone() {
            let written = tokio::task::spawn_blocking(move || log.finish(LAST_RECORDS)).await;
            if !written.unwrap_or(false) {
                tracing::error!("audit records were lost that no sink tells of");
            }
        }
        self.unfinished.clear();
    }
}

fn outdated(changes: &Changes, members: &Option<Members>) -> Outdated {
    let Changes { added, changed, adjusted, removed, .. } = changes;
    Outdated {
        everything: changes.are_of_access() || members.is_some(),
        scopes: [added, changed, adjusted].into_iter().flatten().cloned().collect(),
        gone: removed.iter().cloned().collect(),
    }
}

/// No request takes longer.
fn longest(config: &Config) -> Duration {
    let timeouts = config.scopes.values().map(|scope| scope.cache.timeout);
    timeouts.max().unwrap_or_default().saturating_add(LONGER)
}

#[cfg(all(test, feature = "local"))]
mod tests;
