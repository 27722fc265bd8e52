//! The faults, and what is promised during each.

use std::time::Duration;

use super::run::{Seen, TIMEOUT, Warm};
use crate::support::fault_proxy::Fault;
use crate::support::line::Trouble;

/// What is out of order.
pub enum Cause {
    /// The way to the server.
    Line(Trouble),
    /// The server, or something between that speaks HTTP.
    Http(Fault),
    /// Who answers has a certificate of another authority.
    Certificate,
    /// The server's name is none.
    Name,
}

pub struct Row {
    /// Names the scope too.
    pub name: &'static str,
    /// In words.
    pub fault: &'static str,
    pub cause: Cause,
    /// What who reads a secret for the first time may get: an errno, or None for its value.
    cold: &'static [Option<i32>],
    warm: Promise,
    /// Calls a second, at most, however many read.
    most_calls: usize,
}

/// What who reads a secret gets whose value is known and past its ttl.
enum Promise {
    Fresh,
    Stale,
    /// One of the two, now the one and now the other.
    Value,
    Refused(i32),
}

const EBUSY: &[Option<i32>] = &[Some(libc::EBUSY)];
const EIO: &[Option<i32>] = &[Some(libc::EIO)];
const EHOSTUNREACH: &[Option<i32>] = &[Some(libc::EHOSTUNREACH)];
const ETIMEDOUT: &[Option<i32>] = &[Some(libc::ETIMEDOUT)];
/// A resolver may say that there is no such name, or take its time.
const NO_NAME: &[Option<i32>] = &[Some(libc::EHOSTUNREACH), Some(libc::ETIMEDOUT)];

/// For a machine with other things to do. Less than another wait.
const SLACK: Duration = Duration::from_millis(1400);

fn row(name: &'static str, fault: &'static str, cause: Cause, cold: &'static [Option<i32>], warm: Promise) -> Row {
    Row { name, fault, cause, cold, warm, most_calls: 20 }
}

fn answer(status: u16, kind: &str, body: &str) -> Cause {
    Cause::Http(Fault::Answer { status, headers: vec![format!("Content-Type: {kind}")], body: body.into() })
}

pub fn rows() -> Vec<Row> {
    use Cause::{Certificate, Http, Line, Name};
    use Promise::{Fresh, Refused, Stale, Value};
    const JSON: &str = "application/json";
    const PAGE: &str = "<!DOCTYPE html><html><title>Sign in to the network</title></html>";
    // A path takes up to four of them, and all are to be had within `timeout` on a busy machine, too.
    let slow = Http(Fault::Delay(Duration::from_millis(100)));
    vec![
        Row { most_calls: usize::MAX, ..row("slow", "each answer takes 0.1 s", slow, &[None], Fresh) },
        row("late", "each answer takes a minute", Http(Fault::Delay(TIMEOUT * 30)), ETIMEDOUT, Stale),
        row("hang", "calls are taken and never answered", Http(Fault::Hang), ETIMEDOUT, Stale),
        row("half-open", "connections are taken, nothing is said on them", Line(Trouble::HalfOpen), ETIMEDOUT, Stale),
        Row {
            most_calls: usize::MAX,
            ..row(
                "forgotten",
                "idle connections are dead, without a word",
                Line(Trouble::Forgotten),
                &[None, Some(libc::ETIMEDOUT)],
                Value,
            )
        },
        row("refused", "connections are refused", Line(Trouble::Refused), EHOSTUNREACH, Stale),
        row("reset", "connections are reset", Line(Trouble::Reset), EHOSTUNREACH, Stale),
        Row {
            most_calls: usize::MAX,
            ..row(
                "flapping",
                "every other connection is reset",
                Line(Trouble::Flapping),
                &[None, Some(libc::EHOSTUNREACH)],
                Value,
            )
        },
        row("name", "the server's name does not resolve", Name, NO_NAME, Stale),
        row("handshake", "the TLS handshake is broken off", Line(Trouble::HangUp), EHOSTUNREACH, Stale),
        row("certificate", "the certificate is another authority's", Certificate, EHOSTUNREACH, Stale),
        row("hang-up", "calls are taken, and the connection ends", Http(Fault::HangUp), EHOSTUNREACH, Stale),
        row("cut", "the connection ends in the middle of the answer", Http(Fault::CutBody), EHOSTUNREACH, Stale),
        row("throttled", "429 to each call", answer(429, JSON, r#"{"message":"slow down"}"#), EBUSY, Stale),
        row("error", "500 to each call", answer(500, JSON, r#"{"message":"a bad day"}"#), EHOSTUNREACH, Stale),
        row("unavailable", "503 to each call, with a page", answer(503, "text/html", PAGE), EHOSTUNREACH, Stale),
        row("page", "200 with a page of HTML", answer(200, "text/html", PAGE), EIO, Refused(libc::EIO)),
        row("garbage", "200 with half of some JSON", answer(200, JSON, r#"{"value": "#), EIO, Refused(libc::EIO)),
    ]
}

impl Row {
    /// What was seen and should not have been.
    pub fn complaints(&self, seen: &Seen) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut complain = |what: String| complaints.push(format!("{}: {what}", self.name));
        for outcome in seen.cold.iter().filter(|outcome| !self.cold.contains(outcome)) {
            complain(format!("who had no value got {outcome:?} and not one of {:?}", self.cold));
        }
        for warm in &seen.warm {
            let is_kept = match (&self.warm, warm) {
                (Promise::Fresh | Promise::Value, Warm::Fresh) | (Promise::Stale | Promise::Value, Warm::Stale) => true,
                // Before its ttl is over.
                (Promise::Stale | Promise::Refused(_), Warm::Fresh) => true,
                (Promise::Refused(errno), Warm::Refused(got)) => errno == got,
                _ => false,
            };
            if !is_kept {
                complain(format!("who had a value got {warm:?}"));
            }
        }
        if seen.longest > TIMEOUT + SLACK {
            complain(format!("someone waited {:?}", seen.longest));
        }
        let seconds = seen.lasted.as_secs() as usize + 1;
        if seen.calls.is_some_and(|calls| calls / seconds > self.most_calls) {
            complain(format!("{:?} calls for {} reads in {:?}", seen.calls, seen.reads, seen.lasted));
        }
        complaints
    }

    /// Is this how the fault shows, once it is noticed?
    pub fn shows(&self, warm: Warm) -> bool {
        match self.warm {
            Promise::Fresh | Promise::Value => true,
            Promise::Stale => warm == Warm::Stale,
            Promise::Refused(_) => matches!(warm, Warm::Refused(_)),
        }
    }
}
