//! What goes wrong between hushfs and a server, by a plan that its seed brings back; and what a reader may be told
//! while it does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::history::before;
use super::random::Random;
use crate::support::fault_proxy::{Fault, FaultProxy};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    Slow,
    Hang,
    Reset,
    Cut,
    WrongContent,
    InternalError,
    Unavailable,
    Throttled,
    Denied,
    Flapping,
}

const KINDS: [Kind; 10] = [
    Kind::Slow,
    Kind::Hang,
    Kind::Reset,
    Kind::Cut,
    Kind::WrongContent,
    Kind::InternalError,
    Kind::Unavailable,
    Kind::Throttled,
    Kind::Denied,
    Kind::Flapping,
];

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow answers",
            Self::Hang => "no answer",
            Self::Reset => "connection ends",
            Self::Cut => "body cut in half",
            Self::WrongContent => "another's content",
            Self::InternalError => "500",
            Self::Unavailable => "503",
            Self::Throttled => "throttling",
            Self::Denied => "refusal",
            Self::Flapping => "flapping",
        }
    }

    /// What readers may be told.
    fn errnos(self) -> &'static [i32] {
        match self {
            Self::Slow | Self::Hang => &[libc::ETIMEDOUT, libc::EKEYEXPIRED],
            Self::Reset | Self::Cut | Self::InternalError | Self::Unavailable | Self::Flapping => {
                &[libc::EHOSTUNREACH, libc::EKEYEXPIRED, libc::ETIMEDOUT]
            }
            Self::WrongContent => &[libc::EIO],
            Self::Throttled => &[libc::EBUSY, libc::EKEYEXPIRED, libc::ETIMEDOUT],
            // Where Vault refuses even to say what our token is, it is the token.
            Self::Denied => &[libc::EACCES, libc::EKEYREJECTED],
        }
    }

    /// How long after its end readers may be told of it: a provider that has throttled is left in peace for up to a
    /// minute, and asked by one call then, which may take its time.
    fn lasting(self) -> Duration {
        match self {
            Self::Throttled => Duration::from_secs(65),
            Self::Slow
            | Self::Hang
            | Self::Reset
            | Self::Cut
            | Self::WrongContent
            | Self::InternalError
            | Self::Unavailable
            | Self::Denied
            | Self::Flapping => Duration::ZERO,
        }
    }

    /// What the calls of a scope meet, one after the other.
    fn faults(self, scope: &str, random: &mut Random) -> Vec<Fault> {
        let aws = scope == "aws";
        let answer = |status, code: &str| {
            if aws {
                return Fault::error(status, code);
            }
            Fault::Answer { status, headers: Vec::new(), body: format!(r#"{{"errors":["{code}"]}}"#) }
        };
        let slow = Fault::Delay(random.between(Duration::from_millis(50), Duration::from_millis(1500)));
        match self {
            Self::Slow => vec![slow],
            Self::Hang => vec![Fault::Hang],
            Self::Reset => vec![Fault::HangUp],
            Self::Cut => vec![Fault::CutBody],
            Self::WrongContent => vec![Fault::body("<html><body>Sign in to the network</body></html>")],
            Self::InternalError => vec![answer(500, "InternalServiceError")],
            Self::Unavailable => vec![answer(503, "ServiceUnavailable")],
            Self::Throttled if aws => vec![answer(400, "ThrottlingException")],
            Self::Throttled => vec![answer(429, "request path: rate limit quota exceeded")],
            Self::Denied if aws => vec![answer(400, "AccessDeniedException")],
            Self::Denied => vec![answer(403, "permission denied")],
            Self::Flapping => vec![Fault::Pass, Fault::HangUp, answer(503, "ServiceUnavailable"), Fault::Pass, slow],
        }
    }
}

struct Window {
    kind: Kind,
    from: Instant,
    until: Option<Instant>,
}

/// The faults so far, by scope.
pub struct Faults {
    windows: BTreeMap<&'static str, Mutex<Vec<Window>>>,
}

impl Faults {
    pub fn new(scopes: &[&'static str]) -> Self {
        Self { windows: scopes.iter().map(|&scope| (scope, Mutex::default())).collect() }
    }

    /// Was there any, or the effect of one, at some time between these?
    pub fn any(&self, scope: &str, from: Instant, to: Instant) -> bool {
        self.windows(scope).iter().rev().any(|window| window.lasts_between(from, to))
    }

    /// May a reader have been told `errno` for one that was there between these, or whose effect was?
    pub fn explain(&self, scope: &str, errno: i32, from: Instant, to: Instant) -> bool {
        let explains = |window: &Window| window.lasts_between(from, to) && window.kind.errnos().contains(&errno);
        self.windows(scope).iter().rev().any(explains)
    }

    /// How often each has been.
    pub fn counts(&self) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::new();
        for scope in self.windows.keys() {
            for window in self.windows(scope).iter() {
                *counts.entry(window.kind).or_default() += 1;
            }
        }
        counts
    }

    /// From when to when, for those of a scope.
    pub fn times(&self, scope: &str) -> Vec<(Instant, Instant)> {
        let now = Instant::now();
        self.windows(scope).iter().map(|window| (window.from, window.until.unwrap_or(now))).collect()
    }

    /// Has faults come and go at a scope's proxy until it is told to stop.
    pub fn play(&self, scope: &'static str, proxy: &FaultProxy, random: &mut Random, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            wait(random.between(Duration::from_secs(4), Duration::from_secs(25)), stop);
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let kind = *random.pick(&KINDS);
            let faults = kind.faults(scope, random);
            self.windows(scope).push(Window { kind, from: Instant::now(), until: None });
            proxy.set_in_turn("*", faults);
            // Some last longer than the last good value may be served.
            let longest = if random.one_in(4) { 40 } else { 10 };
            wait(random.between(Duration::from_secs(1), Duration::from_secs(longest)), stop);
            proxy.set_in_turn("*", []);
            if let Some(window) = self.windows(scope).last_mut() {
                window.until = Some(Instant::now());
            }
        }
    }

    fn windows(&self, scope: &str) -> MutexGuard<'_, Vec<Window>> {
        static NONE: Mutex<Vec<Window>> = Mutex::new(Vec::new());
        self.windows.get(scope).unwrap_or(&NONE).lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    /// Or its effect.
    fn lasts_between(&self, from: Instant, to: Instant) -> bool {
        self.touches(from.checked_sub(self.kind.lasting()).unwrap_or(from), to)
    }

    fn touches(&self, from: Instant, to: Instant) -> bool {
        self.from <= to && self.until.is_none_or(|until| until >= from)
    }
}

/// Waits, but not past the stop.
pub fn wait(time: Duration, stop: &AtomicBool) {
    let until = Instant::now() + time;
    while !stop.load(Ordering::Relaxed) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50).min(until.saturating_duration_since(Instant::now())));
    }
}

/// Since when a fault may still be felt at a moment.
pub fn felt_since(at: Instant, margin: Duration) -> Instant {
    before(at, margin)
}
