//! The daemon's end of a socket to its broker: one question at a time, each with a number of its own, by which its answer is
//! known, and with a time after which nobody waits for it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags};

use super::protocol::{self, LONGEST};

/// Where questions are put.
#[derive(Debug)]
pub struct Line {
    socket: OwnedFd,
    turn: Mutex<Turn>,
    is_free: Condvar,
}

#[derive(Debug, Clone, Copy, Default)]
struct Turn {
    is_taken: bool,
    /// The number of the last question.
    last: u64,
    /// Its answer has not come: nothing more is asked before, for it would only be heaped up.
    is_open: bool,
}

impl Line {
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket, turn: Mutex::default(), is_free: Condvar::new() }
    }

    /// What is answered, within `patience`, which is for the wait for one's turn as well. At once where an earlier question
    /// is still open.
    ///
    /// # Errors
    /// `TimedOut`; and where the other end is gone.
    pub fn ask(
        &self,
        said: &[u8],
        descriptor: Option<BorrowedFd<'_>>,
        patience: Duration,
    ) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
        let end = Instant::now() + patience;
        let waiting = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.is_free.wait_timeout_while(waiting, patience, |turn| turn.is_taken);
        let (mut turn, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut own = Turn { is_taken: true, ..*turn };
        *turn = own;
        drop(turn);
        let answer = self.ask_in_turn(&mut own, said, descriptor, end);
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = Turn { is_taken: false, ..own };
        self.is_free.notify_one();
        answer
    }

    fn ask_in_turn(
        &self,
        turn: &mut Turn,
        said: &[u8],
        descriptor: Option<BorrowedFd<'_>>,
        end: Instant,
    ) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
        if turn.is_open {
            // It may have come since. Nobody wants it any more.
            self.answer(turn, Instant::now())?;
        }
        turn.last += 1;
        protocol::send(&self.socket, turn.last, said, descriptor, SendFlags::DONTWAIT)?;
        turn.is_open = true;
        self.answer(turn, end)
    }

    fn answer(&self, turn: &mut Turn, end: Instant) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
        let mut bytes = [0; LONGEST];
        loop {
            match protocol::receive(&self.socket, &mut bytes, RecvFlags::DONTWAIT) {
                Ok((number, answer, descriptor)) if number == turn.last => {
                    turn.is_open = false;
                    return Ok((answer.to_vec(), descriptor));
                }
                // To a question that nobody has asked.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(end)?,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn wait(&self, end: Instant) -> io::Result<()> {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
        match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&left)) {
            Ok(0) => Err(io::ErrorKind::TimedOut.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    const AT_ONCE: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(60);

    fn line() -> (Line, OwnedFd) {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        (Line::new(ours), theirs)
    }

    fn asked(of: &OwnedFd) -> (u64, Vec<u8>) {
        let mut bytes = [0; LONGEST];
        let (number, said, _) = protocol::receive(of, &mut bytes, RecvFlags::DONTWAIT).unwrap();
        (number, said.to_vec())
    }

    fn is_late(asked: io::Result<(Vec<u8>, Option<OwnedFd>)>) -> bool {
        asked.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
    }

    #[test]
    fn an_answer_that_comes_too_late_is_nobody_elses() {
        let (line, broker) = line();
        assert!(is_late(line.ask(b"who is a?", None, Duration::from_millis(1))));
        let (first, said) = asked(&broker);
        assert_eq!(said, b"who is a?");
        protocol::send(&broker, first, b"a", None, SendFlags::empty()).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut bytes = [0; LONGEST];
                let (number, said, _) = protocol::receive(&broker, &mut bytes, RecvFlags::empty()).unwrap();
                assert_eq!(said, b"who is b?");
                // What was answered already, once more; a question that is still to come; and nonsense.
                for other in [first, number + 1] {
                    protocol::send(&broker, other, b"not b", None, SendFlags::empty()).unwrap();
                }
                rustix::net::send(&broker, b"?", SendFlags::empty()).unwrap();
                protocol::send(&broker, number, b"b", None, SendFlags::empty()).unwrap();
            });
            assert_eq!(line.ask(b"who is b?", None, LONG).unwrap().0, b"b");
        });
    }

    #[test]
    fn nobody_waits_and_nothing_is_heaped_up_while_an_answer_is_missing() {
        let (line, broker) = line();
        assert!(is_late(line.ask(b"1", None, AT_ONCE)));
        // With the whole patience each would wait a minute, and what is sent would fill the socket.
        for _ in 0..10_000 {
            assert!(is_late(line.ask(b"2", None, LONG)));
        }
        assert_eq!(asked(&broker).1, b"1");
        let mut bytes = [0; LONGEST];
        let nothing = protocol::receive(&broker, &mut bytes, RecvFlags::DONTWAIT).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn whoever_waits_for_a_turn_waits_no_longer_than_for_an_answer() {
        let (line, broker) = line();
        std::thread::scope(|scope| {
            let first = scope.spawn(|| line.ask(b"1", None, LONG));
            let mut bytes = [0; LONGEST];
            let (number, ..) = protocol::receive(&broker, &mut bytes, RecvFlags::empty()).unwrap();
            assert!(is_late(line.ask(b"2", None, Duration::from_millis(1))), "the first has the turn");
            protocol::send(&broker, number, b"one", None, SendFlags::empty()).unwrap();
            assert_eq!(first.join().unwrap().unwrap().0, b"one");
        });
    }

    #[test]
    fn who_is_gone_is_not_waited_for() {
        let (line, broker) = line();
        assert!(is_late(line.ask(b"1", None, AT_ONCE)));
        drop(broker);
        for _ in 0..2 {
            assert!(!is_late(line.ask(b"2", None, LONG)));
        }
    }
}
