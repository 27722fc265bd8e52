//! `hushfs store edit NAME`

use std::io::{self, IsTerminal};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command};

use clap::Args;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use super::memory_folder::MemoryFolder;
use super::{ask, input, note, shown};
use crate::cli::{Failure, Status};
use crate::provider::VersionSelector;
use crate::provider::local::{Replace, Store};
use crate::secret::Secret;

#[derive(Debug, Args)]
pub struct EditArgs {
    /// The secret
    name: String,
}

pub fn run(store: &Store, args: EditArgs) -> Result<(), Failure> {
    let name = shown(&args.name);
    let file = store.find(&args.name)?.map_err(|why| {
        Failure::new(Status::NoInput, format!("{why}; `hushfs store set` and `import` make new ones"))
    })?;
    if file.plaintext {
        return Err(Failure::new(Status::Data, format!("{} is not encrypted by age; import it first", file.inside)));
    }
    let before = store.fetch(&args.name, &VersionSelector::Current)?;
    let mut editor = Editor::new()?;
    let folder = MemoryFolder::new()?;
    // The extension lets the editor know the syntax.
    let file_name = file.inside.rsplit('/').next().and_then(|file| file.strip_suffix(".age")).unwrap_or("value");
    let plaintext = folder.write(file_name, before.payload.raw.expose()).map_err(|error| {
        Failure::new(Status::CannotCreate, format!("the plaintext cannot be written to memory: {error}"))
    })?;
    let value = loop {
        editor.run(&plaintext)?;
        let value = read_back(&plaintext, store.max)?;
        match store.validate(file.format, value, "what was edited") {
            Ok(value) => break value,
            Err(error) if io::stdin().is_terminal() && ask(&format!("{error}; edit again?")) => {}
            Err(error) => {
                let failure = Failure::from(error);
                return Err(Failure::new(failure.status, format!("{failure}; `{name}` was not changed")));
            }
        }
    };
    if value.expose() == before.payload.raw.expose() {
        note(&format!("`{name}` was not changed"));
        return Ok(());
    }
    let writer = store.lock()?;
    if writer.fetch(&args.name)?.version != before.version {
        return Err(Failure::new(
            Status::Data,
            format!("`{name}` was changed by someone else while it was edited; it is left as they made it"),
        ));
    }
    writer.put(&args.name, file.format, value.expose(), Replace::SameFormat)?;
    Ok(())
}

fn read_back(path: &Path, max: u64) -> Result<Secret, Failure> {
    let open = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = open.map_err(|error| {
        Failure::new(Status::NoInput, format!("the editor left nothing behind ({error}); nothing was changed"))
    })?;
    input::read_all(file, "what was edited", max)
}

/// The user's editor, and signals that reach it instead of ending us: whatever happens to the editor, the
/// plaintext is removed after it.
struct Editor {
    command: String,
    /// SIGINT, SIGTERM, SIGHUP and SIGQUIT. Made before there is a plaintext, so none is missed.
    signals: [Stream; 4],
    runtime: tokio::runtime::Runtime,
}

impl Editor {
    fn new() -> Result<Self, Failure> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let command = variable("VISUAL").or_else(|| variable("EDITOR")).unwrap_or_else(|| "vi".to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| os(&error))?;
        let signals = {
            let _entered = runtime.enter();
            streams().map_err(|error| os(&error))?
        };
        Ok(Self { command, signals, runtime })
    }

    fn run(&mut self, file: &Path) -> Result<(), Failure> {
        let Self { command, signals, runtime } = self;
        // The variable may have quotes and arguments, so a shell reads it; `exec`, so that signals and the
        // exit status are the editor's own.
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("exec {command} \"$@\""))
            .arg(&*command)
            .arg(file)
            .spawn()
            .map_err(|error| os(&error))?;
        if let Err(error) = runtime.block_on(end_of(&child, signals)) {
            // Without a way to wait for it, it must not go on with a file that is about to vanish.
            let _ = child.kill();
            let _ = child.wait();
            return Err(os(&error));
        }
        let status = child.wait().map_err(|error| os(&error))?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::new(Status::Unavailable, format!("the editor `{command}` failed ({status}); nothing was changed")))
    }
}

/// Waits for the editor's end and passes signals on to it.
async fn end_of(child: &Child, [interrupt, terminate, hangup, quit]: &mut [Stream; 4]) -> io::Result<()> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::NONBLOCK)?;
    // SAFETY: `OwnedFd` owns a valid descriptor, and `AsyncFd` gives nobody a way to close or replace it.
    let pidfd = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }?;
    loop {
        let received = tokio::select! {
            _ = pidfd.readable() => return Ok(()),
            _ = interrupt.recv() => Signal::INT,
            _ = terminate.recv() => Signal::TERM,
            _ = hangup.recv() => Signal::HUP,
            _ = quit.recv() => Signal::QUIT,
        };
        // One that has just ended needs no signal.
        let _ = pidfd_send_signal(pidfd.get_ref(), received);
    }
}

fn streams() -> io::Result<[Stream; 4]> {
    Ok([
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
        signal(SignalKind::quit())?,
    ])
}

fn os(error: &io::Error) -> Failure {
    Failure::new(Status::Os, format!("the editor cannot be run: {error}"))
}
