//! Callers who have a signal to take while they wait for us.
//!
//! The kernel tells of each once, and holds the caller until we answer, even one that is to be killed. A system
//! call on a file is not expected to end early, so it does only for those who are to end, or to be told to.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// How often a caller is looked at who has a signal that does not end the wait: another may come, of which the
/// kernel does not tell.
const AGAIN: Duration = Duration::from_millis(50);

/// The requests that are being worked on.
#[derive(Debug, Default)]
pub struct Interrupts(Mutex<HashMap<u64, Arc<Notify>>>);

/// One of them, from its start to its end.
#[derive(Debug)]
pub struct Waiting {
    interrupts: Arc<Interrupts>,
    unique: u64,
    told: Arc<Notify>,
    /// The caller's thread; 0 where it is in no namespace that we see.
    thread: u32,
}

impl Interrupts {
    /// From here on the kernel's word about this request is heard.
    pub fn watch(self: &Arc<Self>, unique: u64, thread: u32) -> Waiting {
        let told = Arc::new(Notify::new());
        self.lock().insert(unique, Arc::clone(&told));
        Waiting { interrupts: Arc::clone(self), unique, told, thread }
    }

    /// The kernel says that the caller of a request has a signal. False where no such request is worked on: it has
    /// been answered, or is not being watched yet.
    pub fn tell(&self, unique: u64) -> bool {
        match self.lock().get(&unique) {
            Some(told) => {
                told.notify_one();
                true
            }
            None => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Notify>>> {
        // Each change is one call on the map: a panic leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Ends when the caller should not wait any longer.
    pub async fn interrupted(&self) {
        self.told.notified().await;
        while !wants_to_leave(self.thread) {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.interrupts.lock().remove(&self.unique);
    }
}

/// Does one of a thread's signals end it, or is one of those that people and supervisors send to end a program?
/// Where that cannot be told, yes.
fn wants_to_leave(thread: u32) -> bool {
    match fs::read_to_string(format!("/proc/{thread}/status")) {
        Ok(status) => Signals::of(&status).is_none_or(|signals| signals.end_the_wait()),
        Err(_) => true,
    }
}

/// Sets of signals, signal 1 in the lowest bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Signals {
    pending: u64,
    caught: u64,
}

/// By default these do nothing, stop the process until it is continued, or continue it.
const HARMLESS: [i32; 8] = [
    libc::SIGCHLD,
    libc::SIGCONT,
    libc::SIGURG,
    libc::SIGWINCH,
    libc::SIGSTOP,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

/// A program that catches these wants to be told at once.
const ENDING: [i32; 5] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGALRM];

fn set(signals: &[i32]) -> u64 {
    signals.iter().filter_map(|signal| u32::try_from(signal - 1).ok()).fold(0, |set, bit| set | 1_u64 << bit)
}

impl Signals {
    /// From `/proc/TID/status`.
    fn of(status: &str) -> Option<Self> {
        let find = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            u64::from_str_radix(line.trim(), 16).ok()
        };
        let (own, shared) = (find("SigPnd:")?, find("ShdPnd:")?);
        let (blocked, ignored) = (find("SigBlk:")?, find("SigIgn:")?);
        Some(Self { pending: (own | shared) & !blocked & !ignored, caught: find("SigCgt:")? })
    }

    fn end_the_wait(self) -> bool {
        let deadly = self.pending & !self.caught & !set(&HARMLESS);
        let caught = self.pending & self.caught & set(&ENDING);
        deadly != 0 || caught != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(pending: &[i32], blocked: &[i32], ignored: &[i32], caught: &[i32]) -> bool {
        let status = format!(
            "Name:\tcat\nSigPnd:\t{:016x}\nShdPnd:\t{:016x}\nSigBlk:\t{:016x}\nSigIgn:\t{:016x}\nSigCgt:\t{:016x}\n",
            0,
            set(pending),
            set(blocked),
            set(ignored),
            set(caught)
        );
        Signals::of(&status).expect("a status").end_the_wait()
    }

    #[test]
    fn who_is_to_end_waits_no_longer() {
        for signal in [libc::SIGKILL, libc::SIGTERM, libc::SIGINT, libc::SIGSEGV, libc::SIGUSR1, libc::SIGPIPE] {
            assert!(ends(&[signal], &[], &[], &[]), "{signal}");
        }
        assert!(ends(&[libc::SIGINT], &[], &[], &[libc::SIGINT]), "a program that catches ^C");
        assert!(ends(&[libc::SIGALRM], &[], &[], &[libc::SIGALRM]), "a program that has set itself a time");
    }

    #[test]
    fn a_signal_that_ends_nothing_does_not_end_the_wait() {
        for signal in HARMLESS {
            assert!(!ends(&[signal], &[], &[], &[]), "{signal}");
        }
        for signal in [libc::SIGUSR1, libc::SIGPROF, libc::SIGURG, libc::SIGCHLD] {
            assert!(!ends(&[signal], &[], &[], &[signal]), "{signal} of a program that catches it");
        }
        assert!(!ends(&[libc::SIGTERM], &[libc::SIGTERM], &[], &[]), "blocked");
        assert!(!ends(&[libc::SIGINT], &[], &[libc::SIGINT], &[]), "ignored");
        assert!(!ends(&[], &[], &[], &[]));
    }

    #[test]
    fn a_status_of_another_form_says_nothing() {
        assert_eq!(Signals::of("SigPnd:\t0\n"), None);
        assert_eq!(Signals::of("SigPnd:\tx\nShdPnd:\t0\nSigBlk:\t0\nSigIgn:\t0\nSigCgt:\t0\n"), None);
    }

    #[test]
    fn a_request_is_heard_of_while_it_is_worked_on() {
        let interrupts = Arc::new(Interrupts::default());
        assert!(!interrupts.tell(7));
        let waiting = interrupts.watch(7, 0);
        assert!(interrupts.tell(7));
        drop(waiting);
        assert!(!interrupts.tell(7));
    }

    #[tokio::test]
    async fn a_caller_of_whom_nothing_can_be_known_is_let_go() {
        let interrupts = Arc::new(Interrupts::default());
        // No thread has this number.
        let waiting = interrupts.watch(7, u32::MAX);
        interrupts.tell(7);
        waiting.interrupted().await;
    }
}
