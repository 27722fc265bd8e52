//! The threads that serve the kernel, and the one that tells it what has changed.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;

use fuser::InitFlags;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::adapter::Adapter;
use super::device::Device;
use super::reply::Reply;
use super::wire::{Agreement, LARGEST_REQUEST, Notice, Operation, Request, agree};
use crate::cache::ValueChange;
use crate::fs::operations::Operations;
use crate::provider::VersionSelector;
use crate::tree::Node;

/// More than one, so that a request whose answer is computed at once delays no other; more than two gain
/// nothing on small machines.
const THREADS: usize = 2;

/// Serves a mounted `/dev/fuse` descriptor until it is unmounted. The receiver gets the outcome.
pub fn start(
    operations: Arc<Operations>,
    device: OwnedFd,
    runtime: Handle,
    changes: Receiver<ValueChange>,
) -> io::Result<oneshot::Receiver<io::Result<()>>> {
    let device = Arc::new(Device::new(device));
    shake_hands(&device, &operations)?;
    let devices = descriptors(device);
    let Some(first) = devices.first().map(Arc::clone) else { return Err(io::Error::other("no descriptor")) };
    let adapter = Arc::new(Adapter::new(Arc::clone(&operations), runtime, devices.clone()));
    thread::Builder::new().name("hushfs-notify".into()).spawn(move || tell(&operations, &first, &changes))?;
    let serving = devices.into_iter().enumerate().map(|(number, device)| {
        let adapter = Arc::clone(&adapter);
        thread::Builder::new().name(format!("hushfs-serve-{number}")).spawn(move || serve(&adapter, &device))
    });
    let serving = serving.collect::<io::Result<Vec<_>>>()?;
    let (ended, end) = oneshot::channel();
    thread::Builder::new().name("hushfs-session".into()).spawn(move || {
        let outcomes = serving.into_iter().map(|it| it.join().unwrap_or_else(|_| Err(io::Error::other("it panicked"))));
        let outcome = outcomes.collect::<Vec<_>>().into_iter().collect::<io::Result<()>>();
        // The receiver is gone only when the process is ending anyway.
        let _ = ended.send(outcome);
    })?;
    Ok(end)
}

/// One for each thread, so that each has a queue of its own; where the device may not be opened again, one for all.
fn descriptors(first: Arc<Device>) -> Vec<Arc<Device>> {
    let others = (1..THREADS).map(|_| first.again().map_or_else(|_| Arc::clone(&first), Arc::new));
    let mut all: Vec<_> = others.collect();
    all.push(first);
    all
}

/// Answers the kernel's first message.
fn shake_hands(device: &Arc<Device>, operations: &Operations) -> io::Result<()> {
    let mut buffer = vec![0; LARGEST_REQUEST];
    loop {
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "it was unmounted at once");
        let message = device.read(&mut buffer)?.ok_or_else(gone)?;
        let Some(Request { unique, operation: Ok(Operation::Init { major, minor, readahead, flags }), .. }) =
            Request::read(message)
        else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the kernel does not begin as FUSE does"));
        };
        let reply = Reply::new(device, unique);
        match agree(major, minor, readahead, flags, wanted(operations)) {
            Agreement::AskAgain { answer } => {
                reply.bytes(&answer);
            }
            Agreement::TooOld => {
                reply.error(libc::EPROTO);
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    format!("the kernel speaks FUSE {major}.{minor}, which is too old: Linux 4.4 is needed"),
                ));
            }
            Agreement::Reached { answer, flags } => {
                if !reply.bytes(&answer) {
                    return Err(gone());
                }
                use_of(operations, InitFlags::from_bits_retain(flags));
                return Ok(());
            }
        }
    }
}

/// Never FUSE_ALLOW_IDMAP: with it requests carry no usable uid.
fn wanted(operations: &Operations) -> InitFlags {
    let always = InitFlags::FUSE_PARALLEL_DIROPS
        | InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP
        | InitFlags::FUSE_DO_READDIRPLUS
        | InitFlags::FUSE_READDIRPLUS_AUTO;
    // The kernel then asks for each file's list, and goes by it.
    if operations.wants_lists() { always | InitFlags::FUSE_POSIX_ACL } else { always }
}

/// What was wanted and is not there is said once.
fn use_of(operations: &Operations, agreed: InitFlags) {
    let missing = wanted(operations).difference(agreed);
    if operations.wants_lists() && !missing.contains(InitFlags::FUSE_POSIX_ACL) {
        operations.set_lists();
    }
    for (name, flag) in missing.iter_names() {
        if flag == InitFlags::FUSE_POSIX_ACL {
            tracing::warn!(
                "the kernel takes no access control lists of us: `ls -l` shows what is granted to anyone by name as \
                 granted to all; every open is judged all the same"
            );
        } else {
            tracing::info!("the kernel is too old for {name}; going on without it");
        }
    }
}

fn serve(adapter: &Adapter, device: &Arc<Device>) -> io::Result<()> {
    let mut buffer = vec![0; LARGEST_REQUEST];
    while let Some(message) = device.read(&mut buffer)? {
        // Its hook has said what happened, and the request is answered EIO.
        let _ = catch_unwind(AssertUnwindSafe(|| adapter.take(device, message)));
    }
    Ok(())
}

/// Takes back what the kernel remembers of values that are not what they were. From a thread of its own:
/// the kernel may need an answer from us before it can listen.
fn tell(operations: &Operations, device: &Device, changes: &Receiver<ValueChange>) {
    for ValueChange { key, vanished, at } in changes {
        let secret = key.at;
        // Failures mean that the kernel has forgotten the file or the mount is gone.
        for ino in operations.inodes.files_of(&secret) {
            let _guard = operations.inodes.taking_back();
            if !operations.inodes.settled_since(ino, at) {
                let _ = device.notify(Notice::Attributes { ino });
            }
        }
        let directory = match key.version {
            VersionSelector::Named(id) => Node::Version(secret, id),
            VersionSelector::Current | VersionSelector::Previous => Node::Directory(secret),
        };
        let parent = operations.inodes.number(&directory);
        for name in vanished {
            let _ = device.notify(Notice::Entry { parent, name: name.as_ref() });
        }
    }
}
