//! The kernel's requests and our answers, and nothing else.
//!
//! A request is turned into a future and polled once, here, on the thread that read it from the kernel:
//! what memory can answer is answered at once. What is not ready is moved, reply and all, to a tokio
//! task, and the thread goes on to the next request. No request waits past its deadline, nor for longer than
//! its caller does, nor for long once nobody can come to the mount any more.

use std::ffi::OsStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use fuser::FopenFlags;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::detached::Detached;
use super::device::Device;
use super::directory;
use super::interrupts::Interrupts;
use super::reply::Reply;
use super::walks::{At, Walks};
use super::wire::{Notice, Operation, Request};
use crate::access::{Caller, mode};
use crate::cache::Failure;
use crate::fs::attributes::Attributes;
use crate::fs::handles::Directory;
use crate::fs::operations::{GRACE, Opened, Operations};
use crate::fs::serving::Serving;
use crate::fs::tally::Request as Kind;
use crate::tree::Refusal;

/// The file system as the kernel calls it.
pub struct Adapter {
    serving: Arc<Serving>,
    runtime: Handle,
    interrupts: Arc<Interrupts>,
    detached: Arc<Detached>,
    walks: Arc<Walks>,
    /// All that the kernel is served through.
    devices: Vec<Arc<Device>>,
}

/// A request that is to be answered.
struct Asking {
    reply: Reply,
    unique: u64,
    node: u64,
    caller: Caller,
    /// What it was read from.
    device: Arc<Device>,
    /// Those that answer it, from its beginning to its end.
    operations: Arc<Operations>,
}

impl Adapter {
    pub fn new(serving: Arc<Serving>, runtime: Handle, detached: Arc<Detached>, devices: Vec<Arc<Device>>) -> Self {
        Self { serving, runtime, interrupts: Arc::default(), detached, walks: Arc::default(), devices }
    }

    /// Answers a message that came from `device`, now or later.
    pub fn take(&self, device: &Arc<Device>, message: &[u8]) {
        let Some(Request { unique, node, caller, operation }) = Request::read(message) else {
            tracing::error!(length = message.len(), "a message from the kernel has no header");
            return;
        };
        let operations = self.serving.now();
        let asking = || {
            let (reply, device) = (Reply::new(device, unique), Arc::clone(device));
            Asking { reply, unique, node, caller, device, operations: Arc::clone(&operations) }
        };
        match operation {
            // These have no answer.
            Ok(Operation::Forget { lookups }) => operations.forget(node, lookups),
            Ok(Operation::BatchForget(all)) => {
                all.into_iter().for_each(|(node, lookups)| operations.forget(node, lookups));
            }
            Ok(Operation::Interrupt { unique: of }) => self.interrupt(unique, of),
            Ok(operation) if operations.events().are_asked_for_by(&caller) => self.touch(operation, asking()),
            Ok(operation) => {
                let mut asking = asking();
                asking.reply = asking.reply.counted(&operations.tally, kind(&operation));
                self.dispatch(operation, asking);
            }
            Err(_) => asking().reply.error(libc::EINVAL),
        }
    }

    fn dispatch(&self, operation: Operation<'_>, asking: Asking) {
        let operations = Arc::clone(&asking.operations);
        match operation {
            Operation::Lookup { name } => self.lookup(asking, name),
            Operation::GetAttr { handle } => {
                let deadline = self.deadline(&asking, None);
                let work = operations.getattr(asking.caller, asking.node, handle, deadline);
                let give = |reply: Reply, found: Attributes| reply.attributes(&found);
                self.answer_on_the_way(asking, deadline, work, |found| Some(At::Node(found?.ino)), give);
            }
            Operation::ReadLink => {
                let deadline = self.deadline(&asking, None);
                let work = operations.readlink(asking.caller, asking.node, deadline);
                // It leads to what is beside it.
                let place = asking.operations.directory_of(asking.node).map(At::Node);
                let give = |reply: Reply, target: String| {
                    reply.bytes(target.as_bytes());
                };
                self.answer_on_the_way(asking, deadline, work, move |_| place, give);
            }
            Operation::Open { for_writing: false } => self.open(asking),
            Operation::Open { for_writing: true } | Operation::SetAttr { .. } | Operation::Change => {
                asking.reply.refused(&Refusal::ReadOnly);
            }
            Operation::Read { handle, offset, size, for_pages } => {
                if for_pages {
                    operations.handles().fills_pages(handle);
                }
                match operations.content(handle) {
                    Ok(content) => asking.reply.part(content.bytes(), offset, size),
                    Err(_) if operations.is_inherited(handle) => {
                        let deadline = self.deadline(&asking, None);
                        let work = operations.recover(handle, deadline);
                        self.answer(asking, deadline, work, move |reply, content| {
                            reply.part(content.bytes(), offset, size);
                        });
                    }
                    Err(refusal) => asking.reply.refused(&refusal),
                }
            }
            Operation::Release { handle } | Operation::ReleaseDir { handle } => {
                operations.release(handle);
                asking.reply.done();
            }
            Operation::OpenDir => self.opendir(asking),
            Operation::ReadDir { handle, offset, size } => {
                self.list(asking, handle, move |operations, listed, ino, reply| {
                    directory::names(operations, listed, ino, offset, size, reply);
                })
            }
            Operation::ReadDirPlus { handle, offset, size } => {
                self.list(asking, handle, move |operations, listed, ino, reply| {
                    directory::all(operations, listed, ino, offset, size, reply);
                });
            }
            Operation::GetXattr { name, size } => {
                let deadline = self.deadline(&asking, None);
                let work = operations.getxattr(asking.caller, asking.node, name.to_owned(), deadline);
                // The kernel asks for the access control list of what it passes, and goes on.
                let passed = (name == mode::XATTR).then_some(At::Node(asking.node));
                let give = move |reply: Reply, value: Vec<u8>| reply.xattr(&value, size);
                self.answer_on_the_way(asking, deadline, work, move |_| passed, give);
            }
            Operation::ListXattr { size } => {
                let deadline = self.deadline(&asking, None);
                let work = operations.listxattr(asking.caller, asking.node, deadline);
                self.answer(asking, deadline, work, move |reply, names| reply.xattr(&names, size));
            }
            Operation::StatFs => {
                asking.reply.bytes(&super::wire::statistics());
            }
            Operation::Destroy => asking.reply.done(),
            // The kernel goes on without, and does not ask again.
            Operation::Other(_) => asking.reply.error(libc::ENOSYS),
            // Once, before anything else; the others have been taken care of.
            Operation::Init { .. }
            | Operation::Forget { .. }
            | Operation::BatchForget(_)
            | Operation::Interrupt { .. } => asking.reply.error(libc::EINVAL),
        }
    }

    /// For the process that makes events.
    fn touch(&self, operation: Operation<'_>, asking: Asking) {
        match operation {
            Operation::Lookup { name } => match asking.operations.look_up_to_touch(asking.node, name) {
                Ok(found) => {
                    if !asking.reply.entry(&found) {
                        asking.operations.forget(found.ino, 1);
                    }
                }
                Err(refusal) => asking.reply.refused(&refusal),
            },
            Operation::GetAttr { .. } | Operation::SetAttr { only_times: true } => {
                match asking.operations.attributes_to_touch(asking.node) {
                    Ok(found) => asking.reply.attributes(&found),
                    Err(refusal) => asking.reply.refused(&refusal),
                }
            }
            operation => self.dispatch(operation, asking),
        }
    }

    fn lookup(&self, asking: Asking, name: &OsStr) {
        let operations = Arc::clone(&asking.operations);
        let deadline = self.deadline(&asking, Some(name));
        let work = operations.lookup(asking.caller, asking.node, name.to_owned(), deadline);
        let giver = Arc::clone(&asking.operations);
        let give = move |reply: Reply, found: Attributes| {
            if !reply.entry(&found) {
                giver.forget(found.ino, 1);
            }
        };
        let again = At::Refused(asking.node, name.to_owned());
        let got_to = |found: Option<&Attributes>| Some(found.map_or(again, |found| At::Node(found.ino)));
        self.answer_on_the_way(asking, deadline, work, got_to, give);
    }

    fn open(&self, asking: Asking) {
        // Direct: what read(2) gives stays out of the page cache.
        const FLAGS: FopenFlags = FopenFlags::FOPEN_DIRECT_IO.union(FopenFlags::FOPEN_NOFLUSH);
        let operations = Arc::clone(&asking.operations);
        let deadline = self.deadline(&asking, None);
        let work = operations.open(asking.caller, asking.node, deadline);
        let (runtime, interrupts) = (self.runtime.clone(), Arc::clone(&self.interrupts));
        let giver = Arc::clone(&asking.operations);
        let (device, unique, ino, thread) = (Arc::clone(&asking.device), asking.unique, asking.node, asking.caller.pid);
        self.answer(asking, deadline, work, move |reply, Opened { handle, doubtful_size }| {
            let give = move |operations: &Operations| {
                if !reply.opened(handle, FLAGS) {
                    operations.take_back(handle);
                }
            };
            let Some(change) = doubtful_size else { return give(&giver) };
            // The kernel may wait for a thread that serves it.
            runtime.spawn_blocking(move || {
                let _waiting = interrupts.watch(unique, thread);
                let guard = giver.inodes.taking_back();
                // It fails where the kernel has forgotten the file, and then nothing is stale.
                let _ = device.notify(Notice::Attributes { ino });
                giver.inodes.settle(ino, change);
                drop(guard);
                give(&giver);
            });
        });
    }

    fn opendir(&self, asking: Asking) {
        let operations = Arc::clone(&asking.operations);
        let deadline = self.deadline(&asking, None);
        let work = operations.opendir(asking.caller, asking.node, deadline);
        let giver = Arc::clone(&asking.operations);
        self.answer(asking, deadline, work, move |reply, handle| {
            if !reply.opened(handle, FopenFlags::empty()) {
                giver.take_back(handle);
            }
        });
    }

    /// A directory that an earlier daemon opened is listed anew.
    fn list(
        &self,
        asking: Asking,
        handle: u64,
        give: impl FnOnce(&Operations, &Directory, u64, Reply) + Send + 'static,
    ) {
        let (operations, ino) = (Arc::clone(&asking.operations), asking.node);
        if let Ok(listed) = operations.directory(handle) {
            return give(&operations, &listed, ino, asking.reply);
        }
        let deadline = self.deadline(&asking, None);
        let work = Arc::clone(&operations).opendir(asking.caller, ino, deadline);
        self.answer(asking, deadline, work, move |reply, handle| {
            match operations.directory(handle) {
                Ok(listed) => give(&operations, &listed, ino, reply),
                Err(refusal) => reply.refused(&refusal),
            }
            operations.release(handle);
        });
    }

    /// By when its answer must be in hand. `name`: what is looked for in the node.
    fn deadline(&self, asking: &Asking, name: Option<&OsStr>) -> Instant {
        self.walks.deadline(asking.caller.pid, asking.node, name, asking.operations.deadline(asking.node))
    }

    /// What no part of a path is, or the last one.
    fn answer<T: 'static>(
        &self,
        asking: Asking,
        deadline: Instant,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
        give: impl FnOnce(Reply, T) + Send + 'static,
    ) {
        self.answer_on_the_way(asking, deadline, work, |_| None, give);
    }

    /// What may be a part of a path: `got_to` says from where its call may go on, of the answer, or of None where it is
    /// refused.
    fn answer_on_the_way<T: 'static>(
        &self,
        asking: Asking,
        deadline: Instant,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
        got_to: impl FnOnce(Option<&T>) -> Option<At> + Send + 'static,
        give: impl FnOnce(Reply, T) + Send + 'static,
    ) {
        let Asking { reply, unique, node, caller, operations, .. } = asking;
        let end = move |reply: Reply, result| {
            match result {
                Ok(answer) => give(reply, answer),
                Err(refusal) => reply.refused(&refusal),
            }
            // Not before the kernel has its answer: a reload waits for that.
            drop(operations);
        };
        let _context = self.runtime.enter();
        let mut work = Box::pin(work);
        let first = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut Context::from_waker(Waker::noop()))));
        // A panic would end this thread, and the kernel's requests with it. A reply that is dropped answers EIO.
        let done = catch_unwind(AssertUnwindSafe(|| match first {
            Ok(Poll::Ready(result)) => {
                self.walks.has_gone(caller.pid, node, got_to(result.as_ref().ok()));
                end(reply, result);
            }
            Ok(Poll::Pending) => {
                let waiting = self.interrupts.watch(unique, caller.pid);
                let (detached, walks) = (Arc::clone(&self.detached), Arc::clone(&self.walks));
                self.runtime.spawn(async move {
                    let result = tokio::select! {
                        biased;
                        result = work => result,
                        () = tokio::time::sleep_until(deadline + GRACE) => Err(Refusal::Failed(Failure::Deadline)),
                        () = waiting.interrupted() => Err(Refusal::Interrupted),
                        () = detached.is_over() => Err(Refusal::Failed(Failure::Deadline)),
                    };
                    // Before the kernel has its answer, after which the next request may come at once.
                    match got_to(result.as_ref().ok()) {
                        Some(at) => walks.may_go_on(caller.pid, at, deadline),
                        None => walks.has_gone(caller.pid, node, None),
                    }
                    end(reply, result);
                });
            }
            Err(_) => end(reply, Err(Refusal::Defect)),
        }));
        drop(done);
    }

    /// The caller of request `of` has a signal to take.
    fn interrupt(&self, unique: u64, of: u64) {
        if self.interrupts.tell(of) {
            return;
        }
        // Read by another thread, which has yet to say so: the kernel tells it again. It takes this from the descriptor
        // that the request was read from; if it has been answered meanwhile, from none.
        let _ = self.devices.iter().find(|device| device.refuse(unique, libc::EAGAIN).is_ok());
    }
}

/// As what the answer is counted.
fn kind(operation: &Operation<'_>) -> Kind {
    match operation {
        Operation::Lookup { .. } => Kind::Lookup,
        Operation::GetAttr { .. } => Kind::GetAttr,
        Operation::ReadLink => Kind::ReadLink,
        Operation::Open { .. } => Kind::Open,
        Operation::Read { .. } => Kind::Read,
        Operation::Release { .. } => Kind::Release,
        Operation::OpenDir => Kind::OpenDir,
        Operation::ReadDir { .. } | Operation::ReadDirPlus { .. } => Kind::ReadDir,
        Operation::ReleaseDir { .. } => Kind::ReleaseDir,
        Operation::GetXattr { .. } => Kind::GetXattr,
        Operation::ListXattr { .. } => Kind::ListXattr,
        Operation::StatFs => Kind::StatFs,
        Operation::SetAttr { .. }
        | Operation::Change
        | Operation::Other(_)
        | Operation::Destroy
        | Operation::Init { .. }
        | Operation::Forget { .. }
        | Operation::BatchForget(_)
        | Operation::Interrupt { .. } => Kind::Other,
    }
}
