//! Real file events when a version changes, for `inotify` and all that is built on it.
//!
//! The kernel tells watchers of what is done through a mount, and of nothing that we tell it. So somebody of ours does
//! what it tells of: sets a file's times through our own mount, which is answered with what they are. That is a process
//! of its own (`toucher`): the kernel does not let go of whoever waits for an answer, so a daemon that waited for its
//! own could not die. By that process's number its requests are known; they are answered from memory, ask nobody, and
//! are not recorded. Everybody else's are refused.
//!
//! The daemon itself may neither mount nor start a program: its broker (`crate::broker`) does that part (`hands`).
//!
//! Of a file system that is read-only to the kernel nothing can be done that makes events, and of one that is not it
//! asks for a file's times anew after every read. So root's is only for as long as files are touched (`access`).

mod access;
mod hands;
pub mod toucher;
mod untold;

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

pub use self::access::set_read_only as set_read_only_here;
pub use self::hands::Hands;
use self::toucher::Toucher;
use self::untold::Untold;
use super::operations::Operations;
use super::serving::Serving;
use crate::access::Caller;
use crate::broker::{self, Broker};
use crate::tree::{DocumentFile, FileName, Inodes, Node, SecretNode, way_to};

/// Keys of one secret that nobody has looked at, and that are told of to who watches their directory.
const MOST_KEYS: usize = 64;

/// How long what changes after a change is gathered, to be told of together.
const PAUSE: Duration = Duration::from_millis(100);

/// The process that touches files, and what it is at.
#[derive(Debug, Default)]
pub struct Events {
    /// 0 while there is none: no caller has that number.
    process: AtomicU32,
    /// The file, and the directories on the way to it.
    way: Mutex<Vec<Node>>,
}

/// Where files are touched.
#[derive(Debug)]
pub struct Place {
    pub mountpoint: PathBuf,
    /// Of the file system: whatever else may be mounted there one day is left alone.
    pub device: (u32, u32),
    /// To the kernel, where it can send again what was read and not answered.
    pub connection: Option<OwnedFd>,
}

impl Events {
    /// Is a request the process's?
    pub fn are_asked_for_by(&self, caller: &Caller) -> bool {
        caller.pid != 0 && caller.pid == self.process.load(Ordering::Relaxed)
    }

    /// What comes after `parent` on the way to the file, if it is called so.
    pub fn next(&self, parent: &Node, name: &std::ffi::OsStr) -> Option<Node> {
        let way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        let at = way.iter().position(|node| node.inode().as_ref() == parent)?;
        let next = way.get(at + 1)?;
        (next.path().rsplit('/').next()? == name).then(|| next.clone())
    }

    /// A node as whoever the file is of sees it.
    pub fn on_the_way(&self, node: &Node) -> Node {
        let way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        way.iter().find(|it| it.inode().as_ref() == node).unwrap_or(node).clone()
    }

    fn go_to(&self, node: &Node) {
        let mut way = way_to(node);
        way.push(node.clone());
        *self.way.lock().unwrap_or_else(PoisonError::into_inner) = way;
    }
}

/// The thread that has watchers told.
#[derive(Debug)]
pub struct Teller {
    stopped: Arc<AtomicBool>,
    /// Held while files are touched.
    at_work: Arc<Mutex<()>>,
}

impl Teller {
    /// Nobody is told of anything more. Waits until it is done with the file that it is at.
    pub fn stop(self) {
        self.stopped.store(true, Ordering::Relaxed);
        drop(self.at_work.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Has the watchers of the secrets told that come through `changed`, until there is no sender any more.
///
/// # Errors
/// Where no thread can be started.
pub fn start(serving: Arc<Serving>, place: Place, changed: Receiver<SecretNode>) -> io::Result<Teller> {
    let teller = Teller { stopped: Arc::default(), at_work: Arc::default() };
    let (stopped, at_work) = (Arc::clone(&teller.stopped), Arc::clone(&teller.at_work));
    thread::Builder::new().name("hushfs-events".into()).spawn(move || {
        let mut untold = Untold::default();
        while untold.wait(&changed, &place) {
            let operations = serving.now();
            let nodes: Vec<Node> = untold.secrets().iter().flat_map(|secret| to_touch(&operations, secret)).collect();
            let working = at_work.lock().unwrap_or_else(PoisonError::into_inner);
            if nodes.is_empty() || stopped.load(Ordering::Relaxed) {
                untold.clear();
                continue;
            }
            untold.after(touch(&operations, &place, &nodes, &stopped), &place);
            drop((working, operations));
            thread::sleep(PAUSE);
        }
    })?;
    Ok(teller)
}

/// After a daemon that ended while it touched files: the file system is read-only to the kernel again.
pub fn set_read_only(place: &Place) {
    if let Err(error) = by_broker().and_then(|broker| broker.set_read_only(place.device)) {
        tracing::warn!(
            "{} stays writable to the kernel, so reads are slower; every write is refused: {error}",
            place.mountpoint.display()
        );
    }
}

fn touch(operations: &Operations, place: &Place, nodes: &[Node], stopped: &AtomicBool) -> io::Result<()> {
    let events = operations.events();
    let broker = by_broker()?;
    let touching = broker.begin_touching(place.device, place.connection.as_ref().map(AsFd::as_fd))?;
    // Closed last: to the process that is the daemon's death, and everybody's requests would be given to us once more.
    let mut toucher = Toucher::told_through(touching.socket);
    let _end = End(broker);
    events.process.store(touching.process, Ordering::Relaxed);
    // Before the process is collected and another may come to have its number.
    let _gone = Gone(events);
    for node in nodes {
        if stopped.load(Ordering::Relaxed) {
            break;
        }
        events.go_to(node);
        match toucher.touch(&node.path())? {
            Ok(()) => {}
            // The file is gone, or bits keep us out.
            Err(error) => tracing::debug!("no event for {}: {error}", node.path()),
        }
    }
    Ok(())
}

fn by_broker() -> io::Result<&'static Broker> {
    broker::installed().ok_or_else(|| io::Error::other("there is no process that may"))
}

/// The process is collected, and the file system what it was.
struct End<'a>(&'a Broker);

impl Drop for End<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.end_touching() {
            tracing::warn!("the file system stays writable to the kernel, so reads are slower: {error}");
        }
    }
}

struct Gone<'a>(&'a Events);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.process.store(0, Ordering::Relaxed);
    }
}

/// The files of a secret that the kernel knows, and so may be watched, and where it knows the directory its keys. Not
/// these where callers may know of different keys: whoever watches the directory is told their names.
fn to_touch(operations: &Operations, secret: &SecretNode) -> Vec<Node> {
    let mut nodes = known_files(&operations.inodes, secret);
    let directory = Node::Directory(secret.clone());
    if !operations.wants_lists()
        && operations.inodes.node(operations.inodes.number(&directory)).is_some()
        && let Some(good) = operations.namespace().current(secret)
    {
        let file = |name: &FileName| Node::File(secret.clone(), None, DocumentFile::Key(name.clone()));
        let keys = good.value.keys.iter().take(MOST_KEYS).map(|key| file(&key.file));
        for node in keys {
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
    }
    nodes
}

/// Each once, also where the kernel knows it by a number that was left to who has it and by that of its path.
fn known_files(inodes: &Inodes, secret: &SecretNode) -> Vec<Node> {
    let mut files: Vec<Node> = Vec::new();
    for node in inodes.files_of(secret).into_iter().filter_map(|ino| inodes.node(ino)) {
        // A version is what it is.
        if matches!(*node, Node::File(_, None, _)) && !files.contains(&node) {
            files.push(Node::clone(&node));
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ScopeName;
    use crate::provider::Identity;
    use crate::tree::SecretPath;

    #[test]
    fn a_file_that_is_known_by_two_numbers_is_touched_once() {
        let path = SecretPath::child(None, &FileName::parse("db".as_ref()).unwrap()).unwrap();
        let secret = SecretNode { scope: ScopeName::new("a").unwrap(), identity: Identity::Own, path };
        let file = |version: Option<&str>| {
            let version = version.map(str::to_owned);
            Node::File(secret.clone(), version, DocumentFile::Raw)
        };
        let inodes = Inodes::new();
        let (left, _) = inodes.remember(&file(None));
        inodes.leave(left);
        assert_ne!(inodes.remember(&file(None)).0, left);
        inodes.remember(&file(Some("1")));
        assert_eq!(inodes.files_of(&secret).len(), 3);
        assert_eq!(known_files(&inodes, &secret), [file(None)]);
    }
}
