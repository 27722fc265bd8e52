//! What each request means. Knows no transport: an answer is ready at the first poll where memory has
//! it, and otherwise when the provider has spoken or the time is up.

mod events;
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
use super::handles::{Directory, Era, Handles, Holder, Snapshot};
use super::judge::{self, Judge, Reason};
use super::ledger::{Estate, Ledger, OpenFile};
use super::opener::{Opener, Who};
use super::readers::{Read, Readers};
use super::recorder::{self, Asked, Granted, Question, Recorder};
use super::tally::Tally;
use super::xattr;
use crate::access::audit::{self, AuditLog, Cache};
use crate::access::evidence::Seen;
use crate::access::{Action, Caller, mode};
use crate::cache::Served;
use crate::tree::{Below, Content, Entry, Facts, Found, Inodes, Kind, Namespace, Node, ROOT, Refusal};

/// Waiting for requests that belong to no scope; memory answers all of those.
const UNSCOPED_TIMEOUT: Duration = Duration::from_secs(5);

/// Between the time for an answer to be in hand and the last moment to give it.
pub const GRACE: Duration = Duration::from_millis(50);

/// An opened file.
pub struct Opened {
    pub handle: u64,
    /// The kernel may remember another size: that must be taken back before the opener asks for it, and
    /// [`Inodes::settle`] be called with this.
    pub doubtful_size: Option<u64>,
}

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
        let found = self.unless_denied(&asked, found, question, deadline).await?;
        Ok(self.remember(&found))
    }

    /// `handle` where the kernel says through which one it is asked; `fstat` does not, SEEK_END does.
    pub async fn getattr(
        self: Arc<Self>,
        caller: Caller,
        ino: u64,
        handle: Option<u64>,
        deadline: Instant,
    ) -> Result<Attributes, Refusal> {
        let node = self.node(ino)?;
        let asked = Recorder::asked(&caller);
        // Nobody finds it by its path any more, so whoever asks has it open.
        if self.inodes.number(&node) != ino
            && let Some(content) = self.held(&caller, ino, handle).or_else(|| self.last_opened(ino))
        {
            return Ok(self.describe_snapshot(ino, &node, &content));
        }
        let node = match self.as_seen_by(&asked, &node) {
            Ok(node) => node,
            // Whoever holds a descriptor that another identity has opened may know what it holds.
            Err(Refusal::Unknown) => {
                self.may_know(&asked, &node, deadline).await?;
                let content = self.last_opened(ino).ok_or(Refusal::Unknown)?;
                return Ok(self.describe_snapshot(ino, &node, &content));
            }
            Err(refusal) => return Err(refusal),
        };
        // The root's attributes are what the kernel judges everyone else by.
        if ino != ROOT
            && let Err(refusal) = self.may_know(&asked, &node, deadline).await
        {
            // Whoever has it open knows it, also when another configuration grants it no more.
            let held = self.held(&caller, ino, handle);
            return held.map(|content| self.describe_snapshot(ino, &node, &content)).ok_or(refusal);
        }
        let found = match self.namespace.facts(Node::clone(&node), deadline).await {
            Ok(found) => found,
            Err(refusal) => {
                // The file is gone, or cannot be asked for; what is open is still what it was.
                let held = self.held(&caller, ino, handle);
                return held.map(|content| self.describe_snapshot(ino, &node, &content)).ok_or(refusal);
            }
        };
        let current = self.describe(ino, &found);
        let differs = |content: &Content| is_another(content, &found.facts);
        let snapshot = match handle.and_then(|handle| self.handles.file(handle)) {
            Some(content) => Some(content).filter(|content| differs(content)),
            None if self.handles.any(ino, differs) => {
                self.opened_by(&caller, ino, |snapshot| snapshot.just_opened).filter(|content| differs(content))
            }
            None => None,
        };
        Ok(snapshot.map_or(current, |content| self.describe_snapshot(ino, &node, &content)))
    }

    pub async fn readlink(self: Arc<Self>, caller: Caller, ino: u64, deadline: Instant) -> Result<String, Refusal> {
        let asked = Recorder::asked(&caller);
        let node = self.node(ino)?;
        let target = self.target(&asked, &node, deadline).await;
        self.unless_denied(&asked, target, || question(&node, audit::Action::List), deadline).await
    }

    pub async fn open(self: Arc<Self>, caller: Caller, ino: u64, deadline: Instant) -> Result<Opened, Refusal> {
        let asked = self.recorded(&caller);
        let node = self.node(ino)?;
        let _opening = self.handles.opening(ino);
        let era = self.era(&node);
        if self.handles.is_open_since_another(ino, era) {
            return Err(self.elsewhere(ino));
        }
        let read = self.read(&asked, &node, deadline).await;
        let (version, content) = match read {
            read if !self.recorder.is_on() => {
                let (granted, content) = read?;
                (granted.version, content)
            }
            Ok((granted, content)) => {
                let version = granted.version.clone();
                self.recorder.granted(&asked, self.question_of_a_read(&node), granted, deadline).await?;
                (version, content)
            }
            Err(refusal) => {
                self.recorder.refused(&asked, self.question_of_a_read(&node), &refusal, deadline).await;
                return Err(refusal);
            }
        };
        let size = content.bytes().len() as u64;
        let who = Who::of(&asked.evidence);
        let opener = Opener { thread: caller.pid, who: Some(who) };
        if let Some(at) = node.secret() {
            self.readers.note(at, content.version(), Read { opener, seen: asked.evidence.seen() });
        }
        // In this order: whoever tells the kernel another size from here on sees the handle.
        let handle = self.handles.add_file(ino, opener, era, content).ok_or_else(|| self.elsewhere(ino))?;
        self.ledger.opened(handle, || {
            let (version, origin) = (version.unwrap_or_default(), self.origin(&node));
            OpenFile { ino, opener: caller.pid, version, origin, era, who: Some(who) }
        });
        Ok(Opened { handle, doubtful_size: self.inodes.tell_size(ino, size) })
    }

    /// The snapshot behind an open file.
    pub fn content(&self, handle: u64) -> Result<Arc<Content>, Refusal> {
        self.handles.file(handle).ok_or(Refusal::Unknown)
    }

    /// Was it opened while an earlier daemon served, and is yet to be fetched again?
    pub fn is_inherited(&self, handle: u64) -> bool {
        self.handles.inherited(handle).is_some()
    }

    /// The snapshot behind a file that was opened while an earlier daemon served: the same version, from the provider.
    /// Who has it open was judged then.
    pub async fn recover(self: Arc<Self>, handle: u64, deadline: Instant) -> Result<Arc<Content>, Refusal> {
        let Some(opened) = self.handles.inherited(handle) else { return self.content(handle) };
        let node = self.node(opened.ino)?;
        let Node::File(at, version, file) = &*node else { return Err(Refusal::Unknown) };
        // Its scope is another by now, and its version would be another's.
        if opened.origin.is_some() && opened.origin != self.origin(&node) {
            return Err(Refusal::Unknown);
        }
        let current = self.namespace.open(&Node::File(at.clone(), version.clone(), file.clone()), deadline).await;
        let content = match current {
            Ok((content, document)) if document.version == opened.version => content,
            // What cannot be asked for now may come later; what has changed is there by its version, or not at all.
            Err(refusal @ Refusal::Failed(_)) if !refusal.is_denied_by_provider() => return Err(refusal),
            Ok(_) | Err(_) => {
                let named = Node::File(at.clone(), Some(opened.version.clone()), file.clone());
                match self.namespace.open(&named, deadline).await {
                    Ok((content, _)) => content,
                    Err(Refusal::NoSuchEntry) => return Err(Refusal::Unknown),
                    Err(refusal) => return Err(refusal),
                }
            }
        };
        self.handles.restore(handle, content).ok_or(Refusal::Unknown)
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
                    let granted = Granted { why: reason.words(), version, cache: None };
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
        Ok(self.handles.add_directory(entries))
    }

    /// The snapshot behind an open directory.
    pub fn directory(&self, handle: u64) -> Result<Arc<Directory>, Refusal> {
        self.handles.directory(handle).ok_or(Refusal::Unknown)
    }

    pub fn release(&self, handle: u64) {
        self.handles.remove(handle);
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

    /// As [`Operations::remember`] for a node that was found so long ago.
    pub fn remember_aged(&self, found: &Found, age: Duration) -> Attributes {
        let attributes = self.remember(found);
        Attributes { valid_for: attributes.valid_for.saturating_sub(age), ..attributes }
    }

    /// Gives a node to the kernel: its attributes, and one more lookup to be forgotten later.
    pub fn remember(&self, found: &Found) -> Attributes {
        if let Node::File(..) = found.node {
            let number = self.inodes.number(&found.node);
            // Here already, and not only when it is opened: the kernel looks a path up once more, but not twice.
            if self.handles.is_open_since_another(number, self.era(&found.node)) {
                self.inodes.leave(number);
            }
        }
        let (ino, is_new) = self.inodes.remember(&found.node);
        if is_new {
            self.ledger.given(ino, &found.node.inode());
        }
        let mut attributes = self.describe(ino, found);
        if self.judge.differs_by_caller() || self.lists.load(Ordering::Relaxed) {
            // What one caller has looked up the next may not know of: the kernel must ask for each. Also where it is for
            // the next configuration to tell them apart, which cannot take back what is looked up.
            attributes.valid_for = Duration::ZERO;
        }
        attributes
    }

    fn mode(&self, node: &Node) -> u16 {
        self.judge.mode(&self.namespace, node, self.is_previous_to_all(node), self.lists.load(Ordering::Relaxed))
    }

    fn describe(&self, ino: u64, found: &Found) -> Attributes {
        self.inodes.tell_size(ino, found.facts.size);
        let mut attributes = Attributes::of(ino, &found.facts, self.mode(&found.node), self.judge.owner());
        if found.facts.kind == Kind::File && self.handles.any(ino, |content| is_another(content, &found.facts)) {
            // The kernel keeps one size for all descriptors: it must ask again for each.
            attributes.valid_for = Duration::ZERO;
        }
        attributes
    }

    /// A file as it was when it was opened.
    fn describe_snapshot(&self, ino: u64, node: &Node, content: &Content) -> Attributes {
        let size = content.bytes().len() as u64;
        self.inodes.tell_size(ino, size);
        let (modified, valid_for) = (content.modified(), Duration::ZERO);
        let facts = Facts { kind: Kind::File, size, modified, valid_for };
        Attributes::of(ino, &facts, self.mode(node), self.judge.owner())
    }

    /// What is behind the handle, or else what the caller has open.
    fn held(&self, caller: &Caller, ino: u64, handle: Option<u64>) -> Option<Arc<Content>> {
        let content = handle.and_then(|handle| self.handles.file(handle));
        content.or_else(|| self.opened_by(caller, ino, |_| true))
    }

    fn last_opened(&self, ino: u64) -> Option<Arc<Content>> {
        self.handles.snapshots(ino).into_iter().next().map(|snapshot| snapshot.content)
    }

    /// The wanted snapshot that the caller opened last and has open: its thread, or else its process.
    fn opened_by(&self, caller: &Caller, ino: u64, wanted: impl Fn(&Snapshot) -> bool) -> Option<Arc<Content>> {
        let snapshots = self.handles.snapshots(ino);
        let find = |is_mine: &dyn Fn(&Snapshot) -> bool| snapshots.iter().find(|it| wanted(it) && is_mine(it));
        let mine = find(&|it| it.opener == caller.pid && caller.pid != 0)
            .or_else(|| find(&|it| caller.is_of_the_process_of(it.opener)));
        mine.map(|snapshot| Arc::clone(&snapshot.content))
    }

    async fn xattrs(&self, caller: &Caller, ino: u64, deadline: Instant) -> Result<Vec<(String, String)>, Refusal> {
        let asked = Recorder::asked(caller);
        let node = self.node(ino)?;
        let attributes = self.attributes(&asked, &node, deadline).await;
        self.unless_denied(&asked, attributes, || question(&node, audit::Action::List), deadline).await
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

    /// What a file holds, for who may read it.
    async fn read(&self, asked: &Asked, node: &Node, deadline: Instant) -> Result<(Granted, Content), Refusal> {
        let node = &self.as_seen_by(asked, node)?;
        let reason = match node {
            Node::File(_, None, _) => self.judge.may(&asked.evidence, Action::Read, &judge::resource(node))?,
            _ => self.may_know(asked, node, deadline).await?,
        };
        let (content, document) = self.namespace.open(node, deadline).await?;
        let (cache, served) = match (document.stale, document.is_first_read()) {
            (true, _) => (Cache::Stale, Served::Stale),
            (false, true) => (Cache::Miss, Served::Miss),
            (false, false) => (Cache::Hit, Served::Hit),
        };
        let source = node.scope().and_then(|scope| self.namespace.sources().known(scope, node.identity()));
        if let Some(source) = source {
            source.read(served, asked.elapsed());
        }
        let version = Some(document.version.clone());
        Ok((Granted { why: reason.words(), version, cache: Some(cache) }, content))
    }

    /// A version that is not known to be the current one counts as one before.
    fn question_of_a_read(&self, node: &Node) -> Question {
        let action = if self.is_previous(node) { audit::Action::ReadPrevious } else { audit::Action::Read };
        question(node, action)
    }

    /// For who opens a file that is open since another era: its pages, which whoever has mapped it sees, are not for
    /// what is read now. The kernel takes `ESTALE` as a reason to look the path up once more.
    fn elsewhere(&self, ino: u64) -> Refusal {
        self.inodes.leave(ino);
        Refusal::Unknown
    }

    /// None where the node's scope is not there any more.
    fn era(&self, node: &Node) -> Option<Era> {
        Some(Era::of(self.judge.fingerprint(), self.origin(node)?))
    }

    /// Where a node's scope has its values from.
    fn origin(&self, node: &Node) -> Option<u64> {
        let source = self.namespace.sources().own().get(node.scope()?)?;
        Some(source.scope.fingerprint())
    }

    /// As [`Recorder::asked`], for what is recorded whatever comes of it.
    fn recorded(&self, caller: &Caller) -> Asked {
        let asked = Recorder::asked(caller);
        if self.recorder.is_on() {
            asked.gather();
        }
        asked
    }

    /// Records that somebody said no; everything else that looking comes to is not recorded.
    async fn unless_denied<T>(
        &self,
        asked: &Asked,
        result: Result<T, Refusal>,
        question: impl FnOnce() -> Question,
        deadline: Instant,
    ) -> Result<T, Refusal> {
        if let Err(refusal) = &result
            && self.recorder.is_on()
            && recorder::is_denial(refusal)
        {
            self.recorder.refused(asked, question(), refusal, deadline).await;
        }
        result
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

/// Is a snapshot of another version than these facts, as far as `stat` tells?
fn is_another(content: &Content, facts: &Facts) -> bool {
    content.bytes().len() as u64 != facts.size || content.modified() != facts.modified
}
