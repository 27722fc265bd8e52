//! Opening a file: who may read it, what it holds then, and whether that can be at its inode.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Operations, question};
use crate::access::audit::{self, Cache};
use crate::access::{Action, Caller};
use crate::cache::Served;
use crate::fs::handles::Era;
use crate::fs::judge;
use crate::fs::ledger::OpenFile;
use crate::fs::opener::{Opener, Who};
use crate::fs::readers::Read;
use crate::fs::recorder::{Asked, Granted, Question};
use crate::tree::{Content, Node, Refusal};

/// An opened file.
pub struct Opened {
    pub handle: u64,
    /// The kernel may remember another size: that must be taken back before the opener asks for it, and
    /// [`Inodes::settle`](crate::tree::Inodes::settle) be called with this.
    pub doubtful_size: Option<u64>,
}

impl Operations {
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

    /// What a file holds, for who may read it.
    pub(super) async fn read(
        &self,
        asked: &Asked,
        node: &Node,
        deadline: Instant,
    ) -> Result<(Granted, Content), Refusal> {
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
        let (version, age) = (Some(document.version.clone()), Some(self.namespace.memory().age(&document.good)));
        Ok((Granted { why: reason.words(), version, cache: Some(cache), age }, content))
    }

    /// A version that is not known to be the current one counts as one before.
    pub(super) fn question_of_a_read(&self, node: &Node) -> Question {
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
    pub(super) fn era(&self, node: &Node) -> Option<Era> {
        Some(Era::of(self.judge.fingerprint(), self.origin(node)?))
    }

    /// Where a node's scope has its values from.
    fn origin(&self, node: &Node) -> Option<u64> {
        let source = self.namespace.sources().own().get(node.scope()?)?;
        Some(source.scope.fingerprint())
    }
}
