//! A terminal that does not show what is typed, and shows it again however this process ends.

use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, PipeWriter, Write, pipe};
use std::thread::{Builder, JoinHandle};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

/// What ends a process, or stops it, while it waits for somebody to type.
const SIGNALS: [Signal; 5] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP];

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
            .input_reader(self.terminal.try_clone()?)
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
        // A terminal that is gone shows nothing any more.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.shown);
        let _ = self.mask.thread_set_mask();
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
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.shown);
        // Ours alone, and waiting until we let it through.
        let only = SigSet::from(signal);
        if raise(signal).is_ok() && only.thread_unblock().is_ok() {
            // It was ignored, or stopped us and we go on.
            let _ = only.thread_block();
        }
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.hidden);
    }
}
