//! A terminal that does not show what is typed, and shows it again when this process is ended or stopped by a signal that
//! can be taken.

use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe};
use std::thread::{Builder, JoinHandle};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// What ends a process, stops it or has it go on while it waits for somebody to type.
const SIGNALS: [Signal; 6] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP, Signal::SIGCONT];

/// As long as it lives nothing of what is typed is shown.
pub struct Hidden {
    terminal: File,
    shown: Termios,
    /// What was blocked before.
    mask: SigSet,
    /// Dropped, it ends the watcher.
    stays: Option<PipeWriter>,
    watcher: Option<JoinHandle<()>>,
}

impl Hidden {
    pub fn new() -> io::Result<Self> {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let shown = tcgetattr(&terminal)?;
        let mut hidden = shown.clone();
        // By characters, or the kernel cuts what is typed at 4095 bytes.
        hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON);
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        let signals = SigSet::from_iter(SIGNALS);
        let (end, stays) = pipe()?;
        let watcher = Watcher {
            terminal: terminal.try_clone()?,
            shown: shown.clone(),
            hidden: hidden.clone(),
            signals: SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?,
            end,
        };
        // Before the watcher's thread, which blocks what its maker does: a signal waits until one of us takes it.
        let mask = signals.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let mut this = Self { terminal, shown, mask, stays: Some(stays), watcher: None };
        tcsetattr(&this.terminal, OptionalActions::Now, &hidden)?;
        this.watcher = Some(Builder::new().name("terminal".to_owned()).spawn(move || watcher.run())?);
        Ok(this)
    }

    /// What is typed up to the end of the line.
    pub fn line(&self, prompt: &str) -> io::Result<String> {
        // As streams: the terminal's modes are for us alone to set.
        let config = rpassword::ConfigBuilder::new()
            .input_reader(Typed(self.terminal.try_clone()?))
            .output_writer(self.terminal.try_clone()?)
            .build();
        let line = rpassword::prompt_password_with_config(prompt, config)?;
        // The one that was typed is not shown either.
        (&self.terminal).write_all(b"\n")?;
        Ok(line)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        drop(self.stays.take());
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
        set_if_ours(&self.terminal, &self.shown);
        let _ = self.mask.thread_set_mask();
    }
}

/// Waits without reading: who reads in the background is stopped by that, whatever else it has been told meanwhile.
struct Typed(File);

impl Read for Typed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None) {
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
                Ok(_) => return self.0.read(buffer),
            }
        }
    }
}

/// In the background the terminal is another's. One that is gone shows nothing any more.
fn is_ours(terminal: &File) -> bool {
    tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp())
}

fn set_if_ours(terminal: &File, modes: &Termios) {
    if is_ours(terminal) {
        let _ = tcsetattr(terminal, OptionalActions::Now, modes);
    }
}

/// Takes the signals, so that the terminal is as it was before they do what they do.
struct Watcher {
    terminal: File,
    shown: Termios,
    hidden: Termios,
    signals: SignalFd,
    end: PipeReader,
}

impl Watcher {
    fn run(self) {
        loop {
            let mut asked = [PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&self.end, PollFlags::IN)];
            match poll(&mut asked, None) {
                Err(Errno::INTR) => continue,
                Err(_) => return,
                Ok(_) => {}
            }
            let [_, end] = &asked;
            if let Ok(Some(received)) = self.signals.read_signal() {
                let number = i32::try_from(received.ssi_signo).unwrap_or_default();
                if let Ok(signal) = Signal::try_from(number) {
                    self.obey(signal);
                }
            } else if !end.revents().is_empty() {
                return;
            }
        }
    }

    /// What the signal would have done by itself.
    fn obey(&self, signal: Signal) {
        if signal == Signal::SIGCONT {
            if !is_ours(&self.terminal) {
                // As whoever reads there. What ends us has a lower number, and so its turn before.
                let _ = raise(Signal::SIGTTIN);
            }
            return set_if_ours(&self.terminal, &self.hidden);
        }
        set_if_ours(&self.terminal, &self.shown);
        // Ours alone, and waiting until we let it through.
        let only = SigSet::from(signal);
        if raise(signal).is_ok() && only.thread_unblock().is_ok() {
            // It was ignored, or stopped us and we go on.
            let _ = only.thread_block();
        }
        set_if_ours(&self.terminal, &self.hidden);
    }
}
