//! fuser's requests and replies, and nothing else.
//!
//! A request is turned into a future and polled once, here, on the thread that read it from the kernel:
//! what memory can answer is answered at once. What is not ready is moved, reply and all, to a tokio
//! task, and the thread goes on to the next request. No request waits past its deadline.

use std::ffi::OsStr;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig,
    LockOwner, Notifier, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyXattr, Request,
};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::attributes::Attributes;
use super::errno;
use super::operations::{GRACE, Opened, Operations};
use crate::access::Caller;
use crate::cache::Failure;
use crate::tree::{Entry, Kind, ROOT, Refusal};

/// The file system as fuser calls it.
pub struct Adapter {
    operations: Arc<Operations>,
    runtime: Handle,
    /// Set once the session exists.
    notifier: Arc<OnceLock<Notifier>>,
}

impl Adapter {
    pub fn new(operations: Arc<Operations>, runtime: Handle, notifier: Arc<OnceLock<Notifier>>) -> Self {
        Self { operations, runtime, notifier }
    }

    fn answer<T: 'static>(
        &self,
        deadline: Instant,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
        reply: impl FnOnce(Result<T, Refusal>) + Send + 'static,
    ) {
        let _context = self.runtime.enter();
        let mut work = Box::pin(work);
        let first = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut Context::from_waker(Waker::noop()))));
        // A panic would end this thread, and the kernel's requests with it. A reply that is dropped answers EIO.
        let done = catch_unwind(AssertUnwindSafe(|| match first {
            Ok(Poll::Ready(result)) => reply(result),
            Ok(Poll::Pending) => {
                self.runtime.spawn(async move {
                    let late = |_| Err(Refusal::Failed(Failure::Deadline));
                    reply(tokio::time::timeout_at(deadline + GRACE, work).await.unwrap_or_else(late));
                });
            }
            Err(_) => reply(Err(Refusal::Defect)),
        }));
        drop(done);
    }
}

fn caller(request: &Request) -> Caller {
    Caller { uid: request.uid(), gid: request.gid(), pid: request.pid() }
}

fn number(refusal: &Refusal) -> Errno {
    Errno::from_i32(errno::of(refusal))
}

fn attr(attributes: &Attributes) -> FileAttr {
    FileAttr {
        ino: INodeNo(attributes.ino),
        size: attributes.size,
        blocks: attributes.size.div_ceil(512),
        atime: attributes.modified,
        mtime: attributes.modified,
        ctime: attributes.modified,
        crtime: attributes.modified,
        kind: file_type(attributes.kind),
        perm: attributes.mode,
        // 1 for directories says that the number of sub-directories is not told; find(1) relies on it.
        nlink: 1,
        uid: attributes.uid,
        gid: attributes.gid,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::Directory => FileType::Directory,
        Kind::File => FileType::RegularFile,
        Kind::Link => FileType::Symlink,
    }
}

fn reply_xattr(result: Result<Vec<u8>, Refusal>, size: u32, reply: ReplyXattr) {
    match result {
        Err(refusal) => reply.error(number(&refusal)),
        Ok(value) => match (size, u32::try_from(value.len())) {
            (0, Ok(length)) => reply.size(length),
            (room, Ok(length)) if length <= room => reply.data(&value),
            _ => reply.error(number(&Refusal::BufferTooSmall)),
        },
    }
}

/// The offset that the kernel gives back to go on after an entry. 0 is the start.
fn after(index: usize) -> u64 {
    index as u64 + 1
}

/// The entries from `offset` on, `.` and `..` first, each with its index.
fn entries_from(entries: &[Entry], offset: u64) -> impl Iterator<Item = (usize, Option<&Entry>)> {
    let all = [None, None].into_iter().chain(entries.iter().map(Some)).enumerate();
    all.skip(usize::try_from(offset).unwrap_or(usize::MAX))
}

fn dot(index: usize) -> &'static str {
    if index == 0 { "." } else { ".." }
}

impl Filesystem for Adapter {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Never FUSE_ALLOW_IDMAP: with it requests carry no usable uid.
        let wanted = [
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_READDIRPLUS_AUTO,
        ];
        // The kernel then asks for each file's list, and goes by it.
        if self.operations.wants_lists() {
            match config.add_capabilities(InitFlags::FUSE_POSIX_ACL) {
                Ok(()) => self.operations.set_lists(),
                Err(_) => tracing::warn!(
                    "the kernel takes no access control lists of us: `ls -l` shows what is granted to anyone by name as \
                     granted to all; every open is judged all the same"
                ),
            }
        }
        for flag in wanted {
            if config.add_capabilities(flag).is_err() {
                tracing::info!("the kernel is too old for {flag:?}; going on without it");
            }
        }
        Ok(())
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let operations = Arc::clone(&self.operations);
        let deadline = operations.deadline(parent.0);
        let work = operations.lookup(caller(request), parent.0, name.to_owned(), deadline);
        self.answer(deadline, work, |result| match result {
            Ok(found) => reply.entry(&found.valid_for, &attr(&found), Generation(0)),
            Err(refusal) => reply.error(number(&refusal)),
        });
    }

    fn forget(&self, _request: &Request, ino: INodeNo, nlookup: u64) {
        self.operations.inodes.forget(ino.0, nlookup);
    }

    fn getattr(&self, request: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        let operations = Arc::clone(&self.operations);
        let deadline = operations.deadline(ino.0);
        let work = operations.getattr(caller(request), ino.0, fh.map(|fh| fh.0), deadline);
        self.answer(deadline, work, |result| match result {
            Ok(found) => reply.attr(&found.valid_for, &attr(&found)),
            Err(refusal) => reply.error(number(&refusal)),
        });
    }

    fn readlink(&self, request: &Request, ino: INodeNo, reply: ReplyData) {
        let operations = Arc::clone(&self.operations);
        let deadline = operations.deadline(ino.0);
        let work = operations.readlink(caller(request), ino.0, deadline);
        self.answer(deadline, work, |result| match result {
            Ok(target) => reply.data(target.as_bytes()),
            Err(refusal) => reply.error(number(&refusal)),
        });
    }

    fn open(&self, request: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let operations = Arc::clone(&self.operations);
        let deadline = operations.deadline(ino.0);
        let work = operations.open(caller(request), ino.0, deadline);
        let (runtime, notifier) = (self.runtime.clone(), Arc::clone(&self.notifier));
        // Direct: values stay out of the page cache.
        let flags = FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_NOFLUSH;
        let answerer = Arc::clone(&self.operations);
        self.answer(deadline, work, move |result| match result {
            Err(refusal) => reply.error(number(&refusal)),
            Ok(Opened { handle, doubtful_size: None }) => reply.opened(FileHandle(handle), flags),
            Ok(Opened { handle, doubtful_size: Some(change) }) => {
                // Telling the kernel from the thread that serves it could deadlock.
                runtime.spawn_blocking(move || {
                    if let Some(notifier) = notifier.get() {
                        let _guard = answerer.inodes.taking_back();
                        // It fails where the kernel has forgotten the file, and then nothing is stale.
                        let _ = notifier.inval_inode(ino, -1, 0);
                        answerer.inodes.settle(ino.0, change);
                    }
                    reply.opened(FileHandle(handle), flags);
                });
            }
        });
    }

    fn read(
        &self,
        _request: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.operations.content(fh.0) {
            Err(refusal) => reply.error(number(&refusal)),
            Ok(content) => {
                let bytes = content.bytes();
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let end = start.saturating_add(size as usize).min(bytes.len());
                reply.data(&bytes[start..end]);
            }
        }
    }

    fn release(
        &self,
        _request: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.operations.release(fh.0);
        reply.ok();
    }

    fn opendir(&self, request: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let operations = Arc::clone(&self.operations);
        let deadline = operations.deadline(ino.0);
        let work = operations.opendir(caller(request), ino.0, deadline);
        self.answer(deadline, work, |result| match result {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::empty()),
            Err(refusal) => reply.error(number(&refusal)),
        });
    }

    fn readdir(&self, _request: &Request, ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let directory = match self.operations.directory(fh.0) {
            Ok(directory) => directory,
            Err(refusal) => return reply.error(number(&refusal)),
        };
        for (index, entry) in entries_from(&directory.entries, offset) {
            let full = match entry {
                None => reply.add(ino, after(index), FileType::Directory, dot(index)),
                Some(Entry { name, found }) => {
                    let number = INodeNo(self.operations.inodes.number(&found.node));
                    reply.add(number, after(index), file_type(found.facts.kind), name)
                }
            };
            if full {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(
        &self,
        _request: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let directory = match self.operations.directory(fh.0) {
            Ok(directory) => directory,
            Err(refusal) => return reply.error(number(&refusal)),
        };
        for (index, entry) in entries_from(&directory.entries, offset) {
            let full = match entry {
                None => {
                    let itself = dot_attr(ino);
                    reply.add(ino, after(index), dot(index), &Duration::ZERO, &itself, Generation(0))
                }
                Some(Entry { name, found }) => {
                    let attributes = self.operations.remember_aged(found, directory.age());
                    let number = INodeNo(attributes.ino);
                    let ttl = attributes.valid_for;
                    let full = reply.add(number, after(index), name, &ttl, &attr(&attributes), Generation(0));
                    if full {
                        // Not given to the kernel after all.
                        self.operations.inodes.forget(attributes.ino, 1);
                    }
                    full
                }
            };
            if full {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _request: &Request, _ino: INodeNo, fh: FileHandle, _flags: OpenFlags, reply: ReplyEmpty) {
        self.operations.release(fh.0);
        reply.ok();
    }

    fn getxattr(&self, request: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let operations = Arc::clone(&self.operations);
        let deadline = operations.deadline(ino.0);
        let work = operations.getxattr(caller(request), ino.0, name.to_owned(), deadline);
        self.answer(deadline, work, move |result| reply_xattr(result, size, reply));
    }

    fn listxattr(&self, request: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let operations = Arc::clone(&self.operations);
        let deadline = operations.deadline(ino.0);
        let work = operations.listxattr(caller(request), ino.0, deadline);
        self.answer(deadline, work, move |result| reply_xattr(result, size, reply));
    }
}

/// `.` and `..` in a listing: the kernel takes the name and the type, and asks for the rest itself.
fn dot_attr(ino: INodeNo) -> FileAttr {
    let epoch = std::time::SystemTime::UNIX_EPOCH;
    FileAttr {
        ino: INodeNo(ino.0.max(ROOT)),
        size: 0,
        blocks: 0,
        atime: epoch,
        mtime: epoch,
        ctime: epoch,
        crtime: epoch,
        kind: FileType::Directory,
        perm: 0,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 0,
        flags: 0,
    }
}
