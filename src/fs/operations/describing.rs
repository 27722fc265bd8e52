//! What the kernel is told of a node: its number and attributes, and those of what is open.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::Operations;
use crate::access::Caller;
use crate::fs::attributes::Attributes;
use crate::fs::handles::Snapshot;
use crate::fs::recorder::Recorder;
use crate::tree::{Content, Facts, Found, Kind, Node, ROOT, Refusal};

impl Operations {
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

    pub(super) fn describe(&self, ino: u64, found: &Found) -> Attributes {
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
}

/// Is a snapshot of another version than these facts, as far as `stat` tells?
fn is_another(content: &Content, facts: &Facts) -> bool {
    content.bytes().len() as u64 != facts.size || content.modified() != facts.modified
}
