//! The threads that serve the kernel, and the one that tells it what has changed.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};
use std::thread;

use fuser::{Config, INodeNo, Notifier, SessionACL};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::adapter::Adapter;
use super::operations::Operations;
use crate::cache::ValueChange;
use crate::provider::VersionSelector;
use crate::tree::Node;

/// More than one, so that a request whose answer is computed at once delays no other; more than two gain
/// nothing on small machines, and each has a buffer of 16 MiB (untouched but for its first page).
const THREADS: usize = 2;

/// Serves a mounted `/dev/fuse` descriptor until it is unmounted. The receiver gets the outcome.
pub fn start(
    operations: Arc<Operations>,
    device: OwnedFd,
    runtime: Handle,
    changes: Receiver<ValueChange>,
) -> io::Result<oneshot::Receiver<io::Result<()>>> {
    let notifier = Arc::new(OnceLock::new());
    let adapter = Adapter::new(Arc::clone(&operations), runtime, Arc::clone(&notifier));
    let mut config = Config::default();
    config.n_threads = Some(THREADS);
    // A descriptor per thread, where the device may be opened again: each then has a queue of its own.
    config.clone_fd = OpenOptions::new().read(true).write(true).open("/dev/fuse").is_ok();
    // Who may do what is decided by `access`, not by fuser.
    let session = fuser::Session::from_fd(adapter, device, SessionACL::All, config)?;
    // Nobody else sets it.
    let _ = notifier.set(session.notifier());
    let changed = session.notifier();
    thread::Builder::new().name("hushfs-notify".into()).spawn(move || tell(&operations, &changed, &changes))?;
    let (ended, end) = oneshot::channel();
    thread::Builder::new().name("hushfs-session".into()).spawn(move || {
        // The receiver is gone only when the process is ending anyway.
        let _ = ended.send(session.run());
    })?;
    Ok(end)
}

/// Takes back what the kernel remembers of values that are not what they were. From a thread of its own:
/// the kernel may need an answer from us before it can listen.
fn tell(operations: &Operations, notifier: &Notifier, changes: &Receiver<ValueChange>) {
    for ValueChange { key, vanished, at } in changes {
        let secret = key.at;
        // Failures mean that the kernel has forgotten the file or the mount is gone.
        for ino in operations.inodes.files_of(&secret) {
            let _guard = operations.inodes.taking_back();
            if !operations.inodes.settled_since(ino, at) {
                let _ = notifier.inval_inode(INodeNo(ino), -1, 0);
            }
        }
        let directory = match key.version {
            VersionSelector::Named(id) => Node::Version(secret, id),
            VersionSelector::Current | VersionSelector::Previous => Node::Directory(secret),
        };
        let directory = INodeNo(operations.inodes.number(&directory));
        for name in vanished {
            let _ = notifier.inval_entry(directory, name.as_ref());
        }
    }
}
