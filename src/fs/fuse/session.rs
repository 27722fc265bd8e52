//! The threads that serve the kernel, and those that tell it what has changed and what it is to drop.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::Instant;

use fuser::InitFlags;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::adapter::Adapter;
use super::agreed::{Agreed, GIVES_UP, patience};
use super::detached::Detached;
use super::device::Device;
use super::pulse::{Pulse, Taking};
use super::reply::Reply;
use super::wire::{Agreement, LARGEST_REQUEST, Notice, Operation, Request, agree};
use crate::cache::ValueChange;
use crate::fs::handles::Handles;
use crate::fs::news::{News, Outdated};
use crate::fs::operations::Operations;
use crate::fs::serving::Serving;
use crate::provider::VersionSelector;
use crate::tree::{Inodes, Node, ROOT, SecretNode};

/// More than one, so that a request whose answer is computed at once delays no other; more than two gain
/// nothing on small machines.
const THREADS: usize = 2;

/// How we come by the kernel's end of a mount.
pub enum Beginning {
    /// It has just been mounted.
    New(OwnedFd),
    /// An earlier daemon served it through these.
    Resumed { descriptors: Vec<OwnedFd>, agreed: Agreed },
}

/// A mount that is served.
pub struct Session {
    /// Gets the outcome once it is unmounted.
    pub end: oneshot::Receiver<io::Result<()>>,
    /// What a later daemon can go on with; none where the kernel cannot have that.
    pub descriptors: Vec<OwnedFd>,
    pub agreed: Agreed,
    pub pulse: Arc<Pulse>,
    pub detached: Arc<Detached>,
    devices: Vec<Arc<Device>>,
}

impl Session {
    /// One more descriptor, for [`send_again`]; None where the kernel cannot do that.
    pub fn connection(&self) -> Option<OwnedFd> {
        let sends_again = InitFlags::from_bits_retain(self.agreed.flags).contains(InitFlags::FUSE_HAS_RESEND);
        self.devices.first().filter(|_| sends_again)?.duplicate().ok()
    }

    /// What is not answered yet is left to the next daemon.
    pub fn leave(&self) {
        self.devices.iter().for_each(|device| device.leave());
    }
}

/// Has the kernel give again what was read of a connection and not answered, as whoever read it is dead.
///
/// # Errors
/// Where the connection has ended.
pub fn send_again(connection: OwnedFd) -> io::Result<()> {
    Device::new(connection).notify(Notice::SendAgain)
}

/// Serves the kernel until the mount is gone. `changed` is sent the secrets that have another version than the kernel
/// knows.
pub fn start(
    serving: Arc<Serving>,
    beginning: Beginning,
    runtime: Handle,
    news: Receiver<News>,
    changed: Sender<SecretNode>,
) -> io::Result<Session> {
    let operations = serving.now();
    let (first, mut others, agreed, is_resumed) = match beginning {
        Beginning::New(device) => {
            let device = Arc::new(Device::new(device));
            let agreed = shake_hands(&device, &operations)?;
            (device, Vec::new(), agreed, false)
        }
        Beginning::Resumed { descriptors, agreed } => {
            use_of(&operations, InitFlags::from_bits_retain(agreed.flags));
            let mut devices = descriptors.into_iter().map(|descriptor| Arc::new(Device::new(descriptor)));
            let first = devices.next().ok_or_else(|| io::Error::other("no descriptor"))?;
            (first, devices.collect(), agreed, true)
        }
    };
    let sends_again = InitFlags::from_bits_retain(agreed.flags).contains(InitFlags::FUSE_HAS_RESEND);
    let (devices, kept) = if sends_again {
        let missing = (THREADS - 1).saturating_sub(others.len());
        others.extend(more(&first, missing));
        others.push(first);
        let kept = others.iter().map(|device| device.duplicate()).collect::<io::Result<Vec<_>>>()?;
        (others, kept)
    } else {
        unread(first)?
    };
    let Some(first) = devices.first().map(Arc::clone) else { return Err(io::Error::other("no descriptor")) };
    let again = Arc::clone(&first);
    let pulse = Arc::new(Pulse::new(devices.len()));
    let detached = Arc::new(Detached::default());
    let adapter = Arc::new(Adapter::new(serving, runtime, Arc::clone(&detached), devices.clone()));
    let inodes = Arc::clone(&operations.inodes);
    let versions = Versions::of_known(&inodes);
    let (handles, through) = (Arc::clone(operations.handles()), Arc::clone(&first));
    thread::Builder::new().name("hushfs-pages".into()).spawn(move || drop_pages(&handles, &through))?;
    let teller = move || tell(&inodes, &first, &news, &changed, versions);
    thread::Builder::new().name("hushfs-notify".into()).spawn(teller)?;
    let all = devices.clone();
    let serving = devices.into_iter().enumerate().map(|(number, device)| {
        let (adapter, pulse) = (Arc::clone(&adapter), Arc::clone(&pulse));
        let thread = thread::Builder::new().name(format!("hushfs-serve-{number}"));
        thread.spawn(move || serve(&adapter, &device, || pulse.taking(number)))
    });
    let serving = serving.collect::<io::Result<Vec<_>>>()?;
    let (ended, end) = oneshot::channel();
    let handles = Arc::clone(operations.handles());
    thread::Builder::new().name("hushfs-session".into()).spawn(move || {
        let outcomes = serving.into_iter().map(|it| it.join().unwrap_or_else(|_| Err(io::Error::other("it panicked"))));
        let outcome = outcomes.collect::<Vec<_>>().into_iter().collect::<io::Result<()>>();
        handles.pages().end();
        // The receiver is gone only when the process is ending anyway.
        let _ = ended.send(outcome);
    })?;
    if is_resumed && sends_again {
        again.notify(Notice::SendAgain)?;
    }
    Ok(Session { end, descriptors: kept, agreed, pulse, detached, devices: all })
}

/// One for each thread, so that each has a queue of its own; where the device may not be opened again, one for all.
fn more(first: &Arc<Device>, count: usize) -> impl Iterator<Item = Arc<Device>> {
    (0..count).map(|_| first.again().map_or_else(|_| Arc::clone(first), Arc::new))
}

/// Where the kernel does not send again what a dead daemon had read, nothing is read from the descriptor that is
/// kept: a request ends, with an error, with the descriptor that it was read from. What we serve through, and what
/// is kept.
fn unread(first: Arc<Device>) -> io::Result<(Vec<Arc<Device>>, Vec<OwnedFd>)> {
    match (0..THREADS).map(|_| first.again().map(Arc::new)).collect::<io::Result<Vec<_>>>() {
        Ok(devices) => Ok((devices, vec![first.duplicate()?])),
        Err(_) => Ok((vec![Arc::clone(&first); THREADS], Vec::new())),
    }
}

/// Answers the kernel's first message; what both sides can.
fn shake_hands(device: &Arc<Device>, operations: &Operations) -> io::Result<Agreed> {
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
        let patience = patience(operations.longest_timeout());
        match agree(major, minor, readahead, flags, wanted(operations), patience) {
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
                let both_can = InitFlags::from_bits_retain(flags);
                use_of(operations, both_can);
                let patience = if both_can.contains(GIVES_UP) { patience } else { 0 };
                return Ok(Agreed { flags, patience });
            }
        }
    }
}

/// Never FUSE_ALLOW_IDMAP: with it requests carry no usable uid.
fn wanted(operations: &Operations) -> InitFlags {
    let always = InitFlags::FUSE_PARALLEL_DIROPS
        | InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP
        | InitFlags::FUSE_DO_READDIRPLUS
        | InitFlags::FUSE_READDIRPLUS_AUTO
        | InitFlags::FUSE_HAS_RESEND
        | GIVES_UP;
    // The kernel then asks for each file's list, and goes by it.
    if operations.wants_lists() { always | InitFlags::FUSE_POSIX_ACL } else { always }
}

/// What was wanted and is not there is said once.
fn use_of(operations: &Operations, agreed: InitFlags) {
    let missing = wanted(operations).difference(agreed);
    // Also where there is nothing to show yet: an earlier daemon had, or a reload will.
    if agreed.contains(InitFlags::FUSE_POSIX_ACL) {
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

fn serve<'a>(adapter: &Adapter, device: &Arc<Device>, taking: impl Fn() -> Taking<'a>) -> io::Result<()> {
    let mut buffer = vec![0; LARGEST_REQUEST];
    while let Some(message) = device.read(&mut buffer)? {
        let _taking = taking();
        // Its hook has said what happened, and the request is answered EIO.
        let _ = catch_unwind(AssertUnwindSafe(|| adapter.take(device, message)));
    }
    Ok(())
}

/// Has the kernel drop what it has in its page cache of files that nobody has open any more. It waits for pages that are
/// being read, and nothing interrupts that: a daemon that was killed would not end while it waits for its own answer. So
/// it is told of a file only while nobody has it open, and so nothing of it is being read. From a thread of its own, so
/// that no caller waits for it, but who opens that very file.
fn drop_pages(handles: &Handles, device: &Device) {
    while let Some(closed) = handles.pages().closed() {
        for ino in closed {
            if let Some(_closed) = handles.keep_closed(ino) {
                // A failure means that the kernel has forgotten the file, and its pages, or the mount is gone.
                let _ = device.notify(Notice::Pages { ino });
            }
        }
    }
}

/// Takes back what the kernel remembers and is not so any more, and then has those told who watch it. From a thread of
/// its own: the kernel may need an answer from us before it can listen.
fn tell(inodes: &Inodes, device: &Device, news: &Receiver<News>, changed: &Sender<SecretNode>, mut versions: Versions) {
    for news in news {
        match news {
            News::Value(change) => {
                if let Some(secret) = tell_of_value(inodes, device, change, &mut versions) {
                    // Nobody listens where events cannot be made.
                    let _ = changed.send(secret);
                }
            }
            News::Configuration(outdated, told) => {
                versions.doubt(&outdated);
                tell_of_configuration(inodes, device, &outdated);
                // Whoever waited has gone on, or is gone.
                let _ = told.send(());
            }
        }
    }
}

/// The secret, if it has another current version than the kernel knows.
fn tell_of_value(inodes: &Inodes, device: &Device, change: ValueChange, versions: &mut Versions) -> Option<SecretNode> {
    let ValueChange { key, version, is_change, vanished, at } = change;
    let secret = key.at;
    let is_current = key.version == VersionSelector::Current;
    let is_new = is_current && version.is_some_and(|version| versions.is_another(inodes, &secret, version));
    if is_change || is_new {
        take_back(inodes, device, &secret, at);
    }
    let directory = match key.version {
        VersionSelector::Named(id) => Node::Version(secret.clone(), id),
        VersionSelector::Current | VersionSelector::Previous => Node::Directory(secret.clone()),
    };
    let parent = inodes.number(&directory);
    for name in vanished {
        let _ = device.notify(Notice::Entry { parent, name: name.as_ref() });
    }
    is_new.then_some(secret)
}

fn take_back(inodes: &Inodes, device: &Device, secret: &SecretNode, at: Instant) {
    // Failures mean that the kernel has forgotten the file or the mount is gone.
    for ino in inodes.files_of(secret) {
        let _guard = inodes.taking_back();
        if !inodes.settled_since(ino, at) {
            let _ = device.notify(Notice::Attributes { ino });
        }
    }
}

/// Attributes come with access control lists, which the kernel takes back with them.
fn tell_of_configuration(inodes: &Inodes, device: &Device, outdated: &Outdated) {
    for ino in inodes.known(|node| outdated.covers(node)) {
        let _guard = inodes.taking_back();
        let _ = device.notify(Notice::Attributes { ino });
    }
    for scope in &outdated.gone {
        let _ = device.notify(Notice::Entry { parent: ROOT, name: scope.as_str().as_ref() });
    }
}

/// The last version of each secret that the kernel knows: memory may have forgotten it by the time that another comes.
#[derive(Default)]
struct Versions {
    known: HashMap<SecretNode, String>,
    /// When there are so many, they are looked through for those that the kernel has forgotten.
    limit: usize,
}

impl Versions {
    /// What the kernel knows of an earlier daemon may be of any version.
    fn of_known(inodes: &Inodes) -> Self {
        let secrets = inodes.secrets().into_iter();
        Self { known: secrets.map(|secret| (secret, String::new())).collect(), limit: 0 }
    }

    /// A version of another place may have the same name.
    fn doubt(&mut self, outdated: &Outdated) {
        for (secret, version) in &mut self.known {
            if outdated.scopes.contains(&secret.scope) || outdated.gone.contains(&secret.scope) {
                version.clear();
            }
        }
    }

    fn is_another(&mut self, inodes: &Inodes, secret: &SecretNode, version: String) -> bool {
        if self.known.len() >= self.limit {
            self.known.retain(|secret, _| !inodes.files_of(secret).is_empty());
            self.limit = self.known.len().saturating_mul(2).max(1024);
        }
        match self.known.get_mut(secret) {
            Some(known) if *known == version => false,
            Some(known) => {
                *known = version;
                true
            }
            None => {
                self.known.insert(secret.clone(), version);
                false
            }
        }
    }
}
