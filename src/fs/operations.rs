//! What each request means. Knows no transport: an answer is ready at the first poll where memory has
//! it, and otherwise when the provider has spoken or the time is up.

mod describing;
mod events;
mod opening;
mod permission;
mod prediction;
mod why;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::attributes::Attributes;
use super::events::Events;
use super::handles::{Directory, Handles, Holder};
use super::judge::{Judge, Reason};
use super::ledger::{Estate, Ledger};
use super::readers::{Read, Readers};
use super::recorder::{self, Asked, Granted, Question, Recorder};
use super::tally::Tally;
use super::xattr;
use crate::access::audit::{self, AuditLog};
use crate::access::evidence::Seen;
use crate::access::{Caller, mode};
use crate::tree::{Below, Entry, Inodes, Kind, Namespace, Node, ROOT, Refusal};

pub use self::opening::Opened;

/// Waiting for requests that belong to no scope; memory answers all of those.
const UNSCOPED_TIMEOUT: Duration = Duration::from_secs(5);

/// Between the time for an answer to be in hand and the last moment to give it.
pub const GRACE: Duration = Duration::from_millis(50);

/// The file system, as one configuration has it. What the kernel holds of it is shared with the one before and after.
pub struct Operations {
    namespace: Arc<Namespace>,
    pub inodes: Arc<Inodes>,
    handles: Arc<Handles>,
    judge: Judge,
    /// The kernel asks for access control lists, and goes by them. So there are grants, or there may be some at any time.
    lists: Arc<AtomicBool>,
    recorder: Recorder,
    ledger: Arc<Ledger>,
    readers: Arc<Readers>,
    events: Arc<Events>,
    /// What was answered, counted by whoever answers.
    pub tally: Arc<Tally>,
    /// Told to whoever asks the root directory where the daemon can be spoken to.
    control: PathBuf,
    /// How many configurations there were before.
    pub configuration: u64,
    /// Dropped with this, so that somebody learns of it.
    in_use: Option<oneshot::Sender<()>>,
}

impl Operations {
    pub fn new(namespace: Arc<Namespace>, judge: Judge, audit: Arc<AuditLog>, control: PathBuf) -> Self {
        let (inodes, handles, recorder) = (Arc::default(), Arc::default(), Recorder::new(audit));
        let (lists, ledger) = (Arc::default(), Arc::new(Ledger::none()));
        Self {
            namespace,
            inodes,
            handles,
            judge,
            lists,
            recorder,
            ledger,
            readers: Arc::default(),
            events: Arc::default(),
            tally: Arc::default(),
            control,
            configuration: 0,
            in_use: None,
        }
    }

    /// Those of another configuration, for the same mount.
    #[must_use]
    pub fn followed_by(&self, namespace: Arc<Namespace>, judge: Judge, audit: Arc<AuditLog>) -> Self {
        Self {
            namespace,
            inodes: Arc::clone(&self.inodes),
            handles: Arc::clone(&self.handles),
            judge,
            lists: Arc::clone(&self.lists),
            recorder: Recorder::new(audit),
            ledger: Arc::clone(&self.ledger),
            readers: Arc::clone(&self.readers),
            events: Arc::clone(&self.events),
            tally: Arc::clone(&self.tally),
            control: self.control.clone(),
            configuration: self.configuration.wrapping_add(1),
            in_use: None,
        }
    }

    /// `in_use` is dropped when these are.
    pub(super) fn is_in_use(&mut self, in_use: oneshot::Sender<()>) {
        self.in_use = Some(in_use);
    }

    /// Has what the kernel is given noted for a daemon after this one, and what an earlier one gave known.
    pub fn with_ledger(mut self, ledger: Ledger, estate: Estate) -> Self {
        for (number, node) in estate.nodes {
            self.inodes.restore(number, node);
        }
        for (_, file) in &estate.open {
            if let Some(node) = self.inodes.node(file.ino)
                && let Some(at) = node.secret()
            {
                self.readers.note(at, &file.version, Read { opener: file.opener(), seen: Seen::default() });
            }
        }
        self.handles.inherit(estate.open.into_iter());
        self.ledger = Arc::new(ledger);
        self
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }

    /// Should the kernel ask for access control lists? Without grants there are none.
    pub fn wants_lists(&self) -> bool {
        self.judge.differs_by_caller()
    }

    /// The kernel will ask for them.
    pub fn set_lists(&self) {
        self.lists.store(true, Ordering::Relaxed);
    }

    /// The log of decisions.
    pub fn audit(&self) -> &AuditLog {
        self.recorder.log()
    }

    /// What is open.
    pub(super) fn handles(&self) -> &Arc<Handles> {
        &self.handles
    }

    /// How many files and directories are open.
    pub fn open_handles(&self) -> usize {
        self.handles.count()
    }

    /// The files below a place that are open.
    pub fn holders(&self, below: &Below) -> Vec<Holder> {
        self.handles.holders(|ino| self.is_below(ino, below))
    }

    /// How many open a file below a place at this moment. To be asked before [`Operations::holders`], and after what
    /// memory gives.
    pub fn being_opened(&self, below: &Below) -> usize {
        self.handles.being_opened(|ino| self.is_below(ino, below))
    }

    /// How many files are open since an earlier daemon of which is not known what they are.
    pub fn open_and_unknown(&self) -> usize {
        self.handles.holders(|ino| self.inodes.node(ino).is_none()).len()
    }

    fn is_below(&self, ino: u64, below: &Below) -> bool {
        let node = self.inodes.node(ino);
        node.as_ref().and_then(|node| node.secret()).is_some_and(|at| below.covers(at))
    }

    /// Who has read what.
    pub fn readers(&self) -> &Readers {
        &self.readers
    }

    /// By when the answer to a request about `ino` must be in hand: a little before the caller's time is
    /// up, so that who waited in vain can still be given what memory has.
    pub fn deadline(&self, ino: u64) -> Instant {
        let node = self.inodes.node(ino);
        let source = node.as_ref().and_then(|node| self.namespace.sources().own().get(node.scope()?));
        let timeout = source.map_or(UNSCOPED_TIMEOUT, |source| source.scope.cache.timeout);
        Instant::now() + timeout - (timeout / 20).min(GRACE)
    }

    /// No request is given longer than this.
    pub fn longest_timeout(&self) -> Duration {
        let scopes = self.namespace.sources().own().values();
        scopes.map(|source| source.scope.cache.timeout).fold(UNSCOPED_TIMEOUT, Duration::max)
    }

    pub async fn lookup(
        self: Arc<Self>,
        caller: Caller,
        parent: u64,
        name: OsString,
        deadline: Instant,
    ) -> Result<Attributes, Refusal> {
        let asked = Recorder::asked(&caller);
        let parent = self.node(parent)?;
        let found = self.find(&asked, &parent, &name, deadline).await;
        let question = || Question { path: child_path(&parent, &name), action: audit::Action::List, version: None };
        let found = self.unless_failed(&asked, found, question, deadline).await?;
        Ok(self.remember(&found))
    }

    pub async fn readlink(self: Arc<Self>, caller: Caller, ino: u64, deadline: Instant) -> Result<String, Refusal> {
        let asked = Recorder::asked(&caller);
        let node = self.node(ino)?;
        let target = self.target(&asked, &node, deadline).await;
        self.unless_failed(&asked, target, || question(&node, audit::Action::List), deadline).await
    }

    pub async fn opendir(self: Arc<Self>, caller: Caller, ino: u64, deadline: Instant) -> Result<u64, Refusal> {
        let asked = self.recorded(&caller);
        let node = self.node(ino)?;
        let entries = self.entries(&asked, &node, deadline).await;
        if self.recorder.is_on() {
            let question = question(&node, audit::Action::List);
            match &entries {
                Ok((reason, ..)) => {
                    let version = question.version.clone();
                    let granted = Granted { why: reason.words(), version, cache: None, age: None };
                    self.recorder.granted(&asked, question, granted, deadline).await?;
                }
                Err(refusal) => self.recorder.refused(&asked, question, refusal, deadline).await,
            }
        }
        let (_, seen, mut entries) = entries?;
        self.predict(&seen, &entries);
        if self.judge.differs_by_caller() {
            entries.retain(|entry| self.may_know_found(&asked, &entry.found));
        }
        Ok(self.handles.add_directory(entries, self.configuration))
    }

    /// The snapshot behind an open directory.
    pub fn directory(&self, handle: u64) -> Result<Arc<Directory>, Refusal> {
        self.handles.directory(handle).ok_or(Refusal::Unknown)
    }

    pub fn release(&self, handle: u64) {
        self.handles.remove(handle);
        self.ledger.closed(handle);
    }

    /// The kernel has not taken the handle that an open was answered with.
    pub fn take_back(&self, handle: u64) {
        self.handles.take_back(handle);
        self.ledger.closed(handle);
    }

    /// The kernel has let go of a number so many times.
    pub fn forget(&self, number: u64, count: u64) {
        if self.inodes.forget(number, count) {
            self.ledger.forgotten(number);
            // It may have been given anew since, and noted before this.
            if let Some(node) = self.inodes.node(number) {
                self.ledger.given(number, &node);
            }
        }
    }

    pub async fn getxattr(
        self: Arc<Self>,
        caller: Caller,
        ino: u64,
        name: OsString,
        deadline: Instant,
    ) -> Result<Vec<u8>, Refusal> {
        if ino == ROOT && name == xattr::CONTROL {
            return Ok(self.control.as_os_str().as_encoded_bytes().to_vec());
        }
        if name == mode::XATTR && self.judge.differs_by_caller() {
            // The same for everyone, and the kernel's way to judge whoever comes.
            let node = self.node(ino)?;
            let list = (node.kind() != Kind::Link)
                .then(|| self.judge.picture(&self.namespace, &node, self.is_previous_to_all(&node)));
            return list.and_then(|list| list.to_xattr()).ok_or(Refusal::NoAttribute);
        }
        if !xattr::is_ours(&name) {
            return Err(Refusal::NoAttribute);
        }
        let attributes = self.xattrs(&caller, ino, deadline).await?;
        let found = attributes.into_iter().find(|(known, _)| OsStr::new(known) == name);
        found.map(|(_, value)| value.into_bytes()).ok_or(Refusal::NoAttribute)
    }

    /// The names, each ended by a NUL.
    pub async fn listxattr(self: Arc<Self>, caller: Caller, ino: u64, deadline: Instant) -> Result<Vec<u8>, Refusal> {
        let mut names = Vec::new();
        for (name, _) in self.xattrs(&caller, ino, deadline).await? {
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        }
        Ok(names)
    }

    async fn xattrs(&self, caller: &Caller, ino: u64, deadline: Instant) -> Result<Vec<(String, String)>, Refusal> {
        let asked = Recorder::asked(caller);
        let node = self.node(ino)?;
        let attributes = self.attributes(&asked, &node, deadline).await;
        self.unless_failed(&asked, attributes, || question(&node, audit::Action::List), deadline).await
    }

    async fn attributes(
        &self,
        asked: &Asked,
        node: &Node,
        deadline: Instant,
    ) -> Result<Vec<(String, String)>, Refusal> {
        let node = self.as_seen_by(asked, node)?;
        self.may_know(asked, &node, deadline).await?;
        if self.is_seen_as_a_folder_only(asked, &node) {
            return Ok(Vec::new());
        }
        xattr::of(&node, &self.namespace, deadline).await
    }

    async fn target(&self, asked: &Asked, node: &Node, deadline: Instant) -> Result<String, Refusal> {
        let node = self.as_seen_by(asked, node)?;
        self.may_know(asked, &node, deadline).await?;
        self.namespace.target(&node, deadline).await
    }

    /// What a directory holds, as the caller's identity sees it, and before names are judged.
    async fn entries(
        &self,
        asked: &Asked,
        node: &Node,
        deadline: Instant,
    ) -> Result<(Reason<'_>, Node, Vec<Entry>), Refusal> {
        let node = self.as_seen_by(asked, node)?;
        let reason = self.may_know(asked, &node, deadline).await?;
        let entries = self.namespace.entries(&node, deadline).await?;
        Ok((reason, node, entries))
    }

    /// As [`Recorder::asked`], for what is recorded whatever comes of it.
    fn recorded(&self, caller: &Caller) -> Asked {
        let asked = Recorder::asked(caller);
        if self.recorder.is_on() {
            asked.gather();
        }
        asked
    }

    /// Records that somebody said no, or that the provider gave no answer; all else that looking comes to is not recorded.
    async fn unless_failed<T>(
        &self,
        asked: &Asked,
        result: Result<T, Refusal>,
        question: impl FnOnce() -> Question,
        deadline: Instant,
    ) -> Result<T, Refusal> {
        if let Err(refusal) = &result
            && self.recorder.is_on()
            && recorder::counts_as_failed(refusal)
        {
            self.recorder.refused(asked, question(), refusal, deadline).await;
        }
        result
    }

    /// Where what a link leads to is looked for; None for what is no link.
    pub fn directory_of(&self, ino: u64) -> Option<u64> {
        match &*self.inodes.node(ino)? {
            Node::Link(at, _) => Some(self.inodes.number(&Node::Directory(at.clone()))),
            Node::Root | Node::Scope(..) | Node::Directory(_) | Node::Version(..) | Node::File(..) => None,
        }
    }

    fn node(&self, ino: u64) -> Result<Arc<Node>, Refusal> {
        self.inodes.node(ino).ok_or(Refusal::Unknown)
    }
}

fn question(node: &Node, action: audit::Action) -> Question {
    let version = match node {
        Node::Version(_, id) | Node::File(_, Some(id), _) => Some(id.clone()),
        _ => None,
    };
    Question { path: audit::text(OsStr::new(&node.path())), action, version }
}

fn child_path(parent: &Node, name: &OsStr) -> String {
    let name = audit::text(name);
    match parent {
        Node::Root => name,
        parent => format!("{}/{name}", audit::text(OsStr::new(&parent.path()))),
    }
}
