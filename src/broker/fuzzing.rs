//! What the broker is asked and what the daemon is answered, whoever has the other end.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, socketpair};

use super::line::Line;
use super::process::{Terms, answer};
use super::protocol::{Answer, Found, LONGEST, Request, receive, send};

/// What a message begins with.
const NUMBER: usize = size_of::<u64>();
/// The answer is there already.
const LONG: Duration = Duration::from_secs(60);

/// Both ends of the sockets, and how the broker is started.
pub fn broker(bytes: &[u8]) {
    let bytes = bytes.get(..LONGEST / 2).unwrap_or(bytes);
    asked(bytes);
    answered(bytes);
    started(bytes);
}

/// A message with a number has one answer, with that number; another has none. Neither keeps the next one from its answer.
fn asked(bytes: &[u8]) {
    let (daemon, broker) = pair();
    say(&daemon, bytes);
    send(&daemon, 7, br#""EndTouching""#, None, SendFlags::empty()).expect("there is room");
    net::shutdown(&daemon, Shutdown::Write).expect("it is connected");
    let mut heard = Vec::new();
    answer(broker, |request, descriptor| {
        assert!(descriptor.is_none());
        heard.push(request);
        (Answer::Done, None)
    });
    if let Some((number, said)) = bytes.split_first_chunk::<NUMBER>() {
        let is_understood = serde_json::from_slice::<Request>(said).is_ok();
        let (answered, told) = take(&daemon);
        assert_eq!((answered, told == Answer::Done), (u64::from_ne_bytes(*number), is_understood), "{told:?}");
    }
    assert_eq!(take(&daemon), (7, Answer::Done));
    for request in heard {
        let said = serde_json::to_vec(&request).expect("JSON");
        assert_eq!(serde_json::from_slice::<Request>(&said).expect("a request"), request);
    }
}

/// Whoever asks is told what has the number of the question, and nothing else.
fn answered(bytes: &[u8]) {
    let (daemon, broker) = pair();
    say(&broker, bytes);
    send(&broker, 1, b"=/bin/cat", None, SendFlags::empty()).expect("there is room");
    let (told, _) = Line::new(daemon).ask(b"?", None, LONG).expect("an answer");
    let message = bytes.split_first_chunk::<NUMBER>();
    let own = message.filter(|(number, _)| u64::from_ne_bytes(**number) == 1).map(|(_, said)| said);
    assert_eq!(told, own.unwrap_or(b"=/bin/cat"));
    for said in [bytes, &*told] {
        if let Some(found) = Found::from_bytes(said) {
            assert_eq!(Found::to_bytes(Some(&found)), said);
        }
        if let Ok(answer) = serde_json::from_slice::<Answer>(said) {
            let again = serde_json::to_vec(&answer).expect("JSON");
            assert_eq!(serde_json::from_slice::<Answer>(&again).expect("an answer"), answer);
        }
    }
}

/// What it is to do is all there, or it does nothing.
fn started(bytes: &[u8]) {
    let arguments = || bytes.split(|byte| *byte == 0).map(|argument| OsString::from_vec(argument.to_vec()));
    let flags = arguments().take(5).filter(|argument| argument == "true" || argument == "false").count();
    assert_eq!(Terms::of(arguments()).is_some(), flags == 5 && arguments().count() >= 7);
}

fn pair() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("sockets")
}

/// As it is. An empty message would be the end.
fn say(to: &OwnedFd, bytes: &[u8]) {
    if !bytes.is_empty() {
        net::send(to, bytes, SendFlags::empty()).expect("there is room");
    }
}

fn take(from: &OwnedFd) -> (u64, Answer) {
    let mut bytes = [0; LONGEST];
    let (number, told, _) = receive(from, &mut bytes, RecvFlags::DONTWAIT).expect("an answer");
    (number, serde_json::from_slice(told).expect("an answer that the daemon understands"))
}
