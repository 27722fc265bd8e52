//! What memory is to do, said once more and as plainly as can be: no locks, no tasks, time is a number.

use std::collections::BTreeMap;
use std::time::Duration;

use super::script::{Key, Outcome, Said};
use crate::config::CacheSettings;
use crate::provider::ErrorKind;

/// How long a reader takes from one part of a path to the next.
const A_MOMENT: Duration = Duration::from_millis(500);
/// Rounding of what is a share of a time.
const ROUNDING: Duration = Duration::from_millis(1);

/// What a reader gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Got {
    Fresh(String),
    Stale(String),
    /// The provider's word, or its silence.
    Failed(ErrorKind),
    /// As before, and there was an answer that is too old.
    Expired(ErrorKind),
    Deadline,
}

impl Got {
    fn is_silence(&self) -> bool {
        match self {
            Self::Expired(_) | Self::Deadline => true,
            Self::Failed(kind) => kind.is_outage(),
            Self::Fresh(_) | Self::Stale(_) => false,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Good {
    pub said: Said,
    pub fetched: Duration,
    pub ends: Option<Duration>,
    pub outdated: bool,
    /// It may be refreshed ahead from the first on, and must be from the second on.
    window: (Duration, Duration),
}

#[derive(Debug, Clone, Copy)]
struct Bad {
    kind: ErrorKind,
    at: Duration,
    until: Duration,
    in_a_row: u32,
}

#[derive(Debug, Clone, Default)]
struct Kept {
    good: Option<Good>,
    bad: Option<Bad>,
    /// When the good answer came that has been wiped.
    expired: Option<Duration>,
}

/// A reader who waits.
#[derive(Debug, Clone)]
struct Waiter {
    id: usize,
    fallback: Option<String>,
    /// It came after a change that the flight may not have seen.
    asks_again: bool,
}

#[derive(Debug)]
struct Flight {
    key: Key,
    /// The call, once it has been seen.
    call: Option<usize>,
    outdated: bool,
    /// Forgotten: its answer is for those who wait, and not kept.
    void: bool,
    waiters: Vec<Waiter>,
}

enum Verdict {
    Fresh(Good),
    Stale { good: Good, retry: bool },
    Refuse(Got),
    Fetch(Option<Good>),
}

pub struct Model {
    pub now: Duration,
    settings: CacheSettings,
    kept: BTreeMap<Key, Kept>,
    flights: Vec<Flight>,
    /// What may be asked for by now and need not.
    may: Vec<Key>,
    /// Readers who have been answered, and with what.
    pub answered: Vec<(usize, Got)>,
}

impl Model {
    pub fn new(settings: CacheSettings) -> Self {
        Self {
            now: Duration::ZERO,
            settings,
            kept: BTreeMap::new(),
            flights: Vec::new(),
            may: Vec::new(),
            answered: Vec::new(),
        }
    }

    /// A reader comes. Whoever cannot wait is answered at once.
    pub fn read(&mut self, key: &Key, id: usize, waits: bool) {
        if let Key::Value(who, name, Some(version)) = key
            && let Verdict::Fresh(good) = self.judge(&Key::Value(*who, name.clone(), None))
            && good.said.version == *version
        {
            return self.answer(key, id, Got::Fresh(good.said.text));
        }
        if let Key::Value(who, name, _) = key
            && self.has_just_timed_out(&Key::Presence(*who, name.clone()))
            && let Verdict::Fetch(Some(good)) = self.judge(key)
        {
            return self.answer(key, id, Got::Stale(good.said.text));
        }
        if let Some(got) = self.listed(key) {
            return self.answered.push((id, got));
        }
        self.ask(key, id, waits);
    }

    fn ask(&mut self, key: &Key, id: usize, waits: bool) {
        match self.judge(key) {
            Verdict::Fresh(good) => {
                let is_waiting = self.kept[key].bad.is_some_and(|bad| self.now < bad.until);
                if !is_waiting && self.now >= good.window.1 + ROUNDING {
                    self.start(key);
                } else if !is_waiting && self.now + ROUNDING >= good.window.0 && self.flight(key).is_none() {
                    self.may.push(key.clone());
                }
                self.answer(key, id, Got::Fresh(good.said.text));
            }
            Verdict::Stale { good, retry } => {
                if retry {
                    self.start(key);
                }
                self.answer(key, id, Got::Stale(good.said.text));
            }
            Verdict::Refuse(got) => self.answer(key, id, got),
            Verdict::Fetch(fallback) => {
                self.start(key);
                let fallback = fallback.map(|good| good.said.text);
                if !waits {
                    return self.answer(key, id, fallback.map_or(Got::Deadline, Got::Stale));
                }
                if let Some(flight) = self.flight(key) {
                    flight.waiters.push(Waiter { id, fallback, asks_again: flight.outdated });
                }
            }
        }
    }

    /// Has somebody who asked just waited in vain? Nobody waits twice in one `open`.
    fn has_just_timed_out(&self, key: &Key) -> bool {
        let bad = self.kept.get(key).and_then(|kept| kept.bad);
        bad.is_some_and(|bad| bad.kind == ErrorKind::TimedOut && self.now < bad.at + A_MOMENT)
    }

    /// What a listing in memory says of a name, where that is believed.
    fn listed(&self, key: &Key) -> Option<Got> {
        let Key::Presence(who, name) = key else { return None };
        let Verdict::Fresh(listing) = self.judge(&Key::Listing(*who)) else { return None };
        let is_there = has(&listing, name);
        let is_new = self.now - listing.fetched < self.settings.negative_ttl;
        (is_there || is_new).then(|| presence(is_there))
    }

    /// Answers a reader; about a name, with what else is known of it.
    fn answer(&mut self, key: &Key, id: usize, got: Got) {
        let got = match (key, got) {
            (Key::Presence(..), Got::Failed(ErrorKind::NotFound)) => presence(false),
            // Stale or not, it is what is there.
            (Key::Presence(..), Got::Stale(text)) => Got::Fresh(text),
            (Key::Presence(who, name), got) if got.is_silence() => {
                let listing = match self.judge(&Key::Listing(*who)) {
                    Verdict::Fresh(good) | Verdict::Stale { good, .. } => Some(good),
                    Verdict::Fetch(fallback) => fallback,
                    Verdict::Refuse(_) => None,
                };
                let value = self.kept.get(&Key::Value(*who, name.clone(), None));
                let has_value = value.is_some_and(|kept| kept.good.is_some());
                match listing.map(|listing| has(&listing, name)) {
                    Some(is_there) if is_there || !has_value => presence(is_there),
                    Some(_) | None => got,
                }
            }
            (_, got) => got,
        };
        self.answered.push((id, got));
    }

    /// The provider has answered a call.
    pub fn land(&mut self, call: usize, outcome: Outcome) {
        let at = self.flights.iter().position(|flight| flight.call == Some(call)).expect("a flight");
        let flight = self.flights.remove(at);
        // Nobody may ask about a name in vain: that it may not be told is an answer.
        let outcome = match (&flight.key, outcome) {
            (Key::Presence(..), Err((ErrorKind::Denied, _))) => {
                Ok(Said { text: "Unknown".into(), version: 0, valid_for: None })
            }
            (_, outcome) => outcome,
        };
        let got = if flight.void {
            match &outcome {
                Ok(said) => Got::Fresh(said.text.clone()),
                Err((kind, _)) => Got::Failed(*kind),
            }
        } else {
            let got = self.remember(&flight.key, &outcome);
            if flight.outdated {
                self.outdate_kept(&flight.key);
            }
            got
        };
        for waiter in flight.waiters {
            match (&got, waiter.fallback) {
                _ if waiter.asks_again => self.ask(&flight.key, waiter.id, true),
                (got, Some(fallback)) if got.is_silence() => self.answer(&flight.key, waiter.id, Got::Stale(fallback)),
                _ => self.answer(&flight.key, waiter.id, got.clone()),
            }
        }
    }

    fn remember(&mut self, key: &Key, outcome: &Outcome) -> Got {
        let now = self.now;
        let previous = self.kept.remove(key).unwrap_or_default();
        match outcome {
            Ok(said) => {
                let ends = said.valid_for.map(|valid| now + valid);
                let life = self.fresh_for(key, now, ends);
                let window = (now + life.mul_f64(0.72), now + life.mul_f64(0.8));
                let good = Good { said: said.clone(), fetched: now, ends, outdated: false, window };
                if let (Key::Value(who, name, None), Some(old)) = (key, previous.good)
                    && old.said.version != said.version
                {
                    let named = Key::Value(*who, name.clone(), Some(old.said.version));
                    let old = Good { fetched: now, outdated: false, window, ..old };
                    self.kept.insert(named, Kept { good: Some(old), bad: None, expired: None });
                }
                self.kept.insert(key.clone(), Kept { good: Some(good), bad: None, expired: None });
                Got::Fresh(said.text.clone())
            }
            Err((kind, retry_after)) if kind.is_outage() => {
                let in_a_row = previous.bad.map_or(0, |bad| bad.in_a_row) + 1;
                let doubled = Duration::from_millis(500) * 2_u32.pow(in_a_row.min(20) - 1);
                let pause = match retry_after {
                    Some(asked) => (*asked).clamp(Duration::from_millis(500), Duration::from_secs(300)),
                    None => doubled.min(self.settings.negative_ttl),
                };
                let bad = Some(Bad { kind: *kind, at: now, until: now + pause, in_a_row });
                let had_one = previous.good.is_some() || previous.expired.is_some();
                self.kept.insert(key.clone(), Kept { bad, ..previous });
                if had_one { Got::Expired(*kind) } else { Got::Failed(*kind) }
            }
            Err((kind, _)) => {
                let bad = Bad { kind: *kind, at: now, until: now + self.settings.negative_ttl, in_a_row: 1 };
                self.kept.insert(key.clone(), Kept { good: None, bad: Some(bad), expired: None });
                // Who may not have the current version any more has no other one either.
                if let (Key::Value(who, name, None), Some(_)) = (key, previous.good) {
                    self.kept
                        .retain(|other, _| !matches!(other, Key::Value(by, of, Some(_)) if by == who && of == name));
                }
                Got::Failed(*kind)
            }
        }
    }

    fn judge(&self, key: &Key) -> Verdict {
        let Some(kept) = self.kept.get(key) else { return Verdict::Fetch(None) };
        let is_name = !matches!(key, Key::Value(..));
        let servable = kept.good.clone().filter(|good| {
            let until = good.fetched + self.ttl(key) + self.settings.max_stale;
            !self.settings.max_stale.is_zero() && self.now < good.ends.map_or(until, |ends| until.min(ends))
        });
        if let Some(good) = kept.good.clone()
            && !good.outdated
            && self.now < good.fetched + self.fresh_for(key, good.fetched, good.ends)
        {
            return Verdict::Fresh(good);
        }
        match (kept.bad, servable) {
            (Some(bad), Some(good)) if self.now < bad.until && bad.kind.is_outage() => {
                Verdict::Stale { good, retry: false }
            }
            (Some(bad), None) if self.now < bad.until && bad.kind.is_outage() => {
                let had_one = kept.good.is_some() || kept.expired.is_some();
                Verdict::Refuse(if had_one { Got::Expired(bad.kind) } else { Got::Failed(bad.kind) })
            }
            (Some(bad), _) if self.now < bad.until => Verdict::Refuse(Got::Failed(bad.kind)),
            (Some(bad), Some(good)) if is_name && bad.kind.is_outage() && self.now < bad.until + self.ttl(key) => {
                Verdict::Stale { good, retry: true }
            }
            (_, servable) => Verdict::Fetch(servable),
        }
    }

    fn ttl(&self, key: &Key) -> Duration {
        match key {
            Key::Value(..) => self.settings.ttl,
            Key::Listing(_) | Key::Presence(..) => self.settings.list_ttl,
        }
    }

    /// Of what ends by itself only the first half counts.
    fn fresh_for(&self, key: &Key, fetched: Duration, ends: Option<Duration>) -> Duration {
        ends.map_or(self.ttl(key), |ends| self.ttl(key).min(ends.saturating_sub(fetched) / 2))
    }

    fn flight(&mut self, key: &Key) -> Option<&mut Flight> {
        self.flights.iter_mut().find(|flight| flight.key == *key && !flight.void)
    }

    /// One call for a key at a time.
    pub fn start(&mut self, key: &Key) {
        if self.flight(key).is_none() {
            let flight = Flight { key: key.clone(), call: None, outdated: false, void: false, waiters: Vec::new() };
            self.flights.push(flight);
        }
    }

    /// The calls that were made since this was last told.
    pub fn made(&mut self, calls: Vec<(usize, Key)>) -> Result<(), String> {
        for (call, key) in calls {
            if self.flight(&key).is_none() && self.may.contains(&key) {
                self.start(&key);
            }
            match self.flight(&key) {
                Some(flight) if flight.call.is_none() => flight.call = Some(call),
                Some(_) => return Err(format!("a second call at a time for {key:?}")),
                None => return Err(format!("nobody should ask for {key:?}")),
            }
        }
        self.may.clear();
        match self.flights.iter().find(|flight| flight.call.is_none()) {
            Some(flight) => Err(format!("nobody has asked for {:?}", flight.key)),
            None => Ok(()),
        }
    }

    /// The provider has told of a change of this name, or of whatever it may be.
    pub fn told(&mut self, name: Option<&str>) {
        let is_meant = |of: &str| name.is_none_or(|name| name == of);
        let mut keys: Vec<Key> = self.kept.keys().cloned().collect();
        keys.extend(self.flights.iter().map(|flight| flight.key.clone()));
        keys.sort();
        keys.dedup();
        for key in keys {
            let is_wanted = match &key {
                Key::Listing(_) => true,
                Key::Presence(_, of) | Key::Value(_, of, None) => is_meant(of),
                Key::Value(..) => false,
            };
            if !is_wanted {
                continue;
            }
            if let Some(flight) = self.flight(&key) {
                flight.outdated = true;
            }
            self.outdate_kept(&key);
            let is_held = self.kept.get(&key).is_some_and(|kept| kept.good.is_some());
            if is_held && matches!(key, Key::Value(..)) && matches!(self.judge(&key), Verdict::Fetch(_)) {
                self.start(&key);
            }
        }
    }

    fn outdate_kept(&mut self, key: &Key) {
        let Some(kept) = self.kept.get_mut(key) else { return };
        kept.bad = kept.bad.filter(|bad| bad.kind.is_outage());
        if let Some(good) = &mut kept.good {
            good.outdated = true;
        }
        if kept.good.is_none() && kept.bad.is_none() && kept.expired.is_none() {
            self.kept.remove(key);
        }
    }

    /// An operator has it all forgotten, or what is of this name.
    pub fn forget(&mut self, name: Option<&str>) {
        self.forget_where(|key, _| is_below(key, name));
    }

    fn forget_where(&mut self, is_wanted: impl Fn(&Key, bool) -> bool) {
        let holds = |kept: &BTreeMap<Key, Kept>, key: &Key| kept.get(key).is_some_and(|kept| kept.good.is_some());
        for flight in &mut self.flights {
            flight.void |= is_wanted(&flight.key, holds(&self.kept, &flight.key));
        }
        self.kept.retain(|key, kept| !is_wanted(key, kept.good.is_some()));
    }

    /// An operator has asked for it all anew, or for what is of this name. The values that are asked for.
    pub fn renew(&mut self, name: Option<&str>) -> Vec<Key> {
        self.forget_where(|key, is_held| is_below(key, name) && !(is_held && matches!(key, Key::Value(..))));
        let keys = self.kept.keys().filter(|key| matches!(key, Key::Value(_, _, None)) && is_below(key, name));
        keys.cloned().collect()
    }

    /// The call for a key, if there is one on its way.
    pub fn call(&mut self, key: &Key) -> Option<usize> {
        self.flight(key).and_then(|flight| flight.call)
    }

    /// Everything has been pushed out of the memory for values.
    pub fn evict(&mut self) {
        self.kept.retain(|key, _| !matches!(key, Key::Value(..)));
    }

    /// What is past any use has been let go of.
    pub fn sweep(&mut self) {
        let keys: Vec<Key> = self.kept.keys().cloned().collect();
        for key in keys {
            // What is asked for at the moment is looked at when it has landed.
            if self.flight(&key).is_some() {
                continue;
            }
            let (now, longest) = (self.now, self.ttl(&key) + self.settings.max_stale);
            let Some(kept) = self.kept.get_mut(&key) else { continue };
            if let Some(good) = &kept.good {
                if now >= good.ends.unwrap_or(good.fetched + longest) {
                    kept.expired = Some(good.fetched);
                    kept.good = None;
                }
                continue;
            }
            let is_bad = kept.bad.is_some_and(|bad| {
                let longer = if bad.kind.is_outage() { self.settings.negative_ttl } else { Duration::ZERO };
                now < bad.until + longer
            });
            let day = Duration::from_secs(24 * 3600);
            if !is_bad && kept.expired.is_none_or(|at| now >= at + longest + day) {
                self.kept.remove(&key);
            }
        }
    }

    /// Every value in memory: its text, when it came, and whether it is known to be an old one.
    pub fn values(&self) -> BTreeMap<Key, (String, Duration, bool)> {
        let goods = self.kept.iter().filter_map(|(key, kept)| Some((key, kept.good.as_ref()?)));
        let values = goods.filter(|(key, _)| matches!(key, Key::Value(..)));
        values.map(|(key, good)| (key.clone(), (good.said.text.clone(), good.fetched, good.outdated))).collect()
    }

    /// Readers who still wait.
    pub fn waiting(&self) -> usize {
        self.flights.iter().map(|flight| flight.waiters.len()).sum()
    }
}

fn has(listing: &Good, name: &str) -> bool {
    listing.said.text.split_whitespace().any(|listed| listed == name)
}

fn presence(is_there: bool) -> Got {
    Got::Fresh(if is_there { "Yes" } else { "No" }.into())
}

/// A listing is below every name: it tells of them.
fn is_below(key: &Key, name: Option<&str>) -> bool {
    match key {
        Key::Listing(_) => true,
        Key::Value(_, of, _) | Key::Presence(_, of) => name.is_none_or(|name| name == of),
    }
}
