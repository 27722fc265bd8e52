//! A provider that answers when it is told to, with what is true at that moment or was when it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::provider::{
    Answer, Error, ErrorKind, Fetched, Known, Lease, Listed, Listing, Payload, Presence, Provider, SecretName,
    VersionSelector,
};
use crate::secret::Secret;

/// What is remembered under: who asked for what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A version by its number; None is the current one.
    Value(usize, String, Option<u64>),
    Listing(usize),
    Presence(usize, String),
}

/// How an identity is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Answers,
    Fails(ErrorKind, Option<Duration>),
}

/// What a good answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub text: String,
    /// Of a value.
    pub version: u64,
    pub valid_for: Option<Duration>,
}

pub type Outcome = Result<Said, (ErrorKind, Option<Duration>)>;

/// A call that has not been answered.
struct Pending {
    number: usize,
    key: Key,
    early: Outcome,
    tell: oneshot::Sender<Outcome>,
}

/// The truth, and the calls.
#[derive(Default)]
struct State {
    /// Versions by name, and whether the last of them is there.
    names: BTreeMap<String, (Vec<u64>, bool)>,
    last_version: u64,
    modes: [Option<Mode>; 2],
    lease: Option<Duration>,
    asked: Vec<(usize, Key)>,
    pending: Vec<Pending>,
    calls: usize,
}

#[derive(Clone, Default)]
pub struct Script(Arc<Mutex<State>>);

impl Script {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn rotate(&self, name: &str) {
        let mut state = self.state();
        state.last_version += 1;
        let version = state.last_version;
        let (versions, is_there) = state.names.entry(name.to_owned()).or_default();
        versions.push(version);
        *is_there = true;
    }

    pub fn delete(&self, name: &str) {
        if let Some((_, is_there)) = self.state().names.get_mut(name) {
            *is_there = false;
        }
    }

    pub fn set_mode(&self, who: usize, mode: Mode) {
        self.state().modes[who] = Some(mode);
    }

    pub fn set_lease(&self, lease: Option<Duration>) {
        self.state().lease = lease;
    }

    /// The version that came so many before the newest; 0 where there never was one.
    pub fn version(&self, name: &str, back: usize) -> u64 {
        let state = self.state();
        let versions = state.names.get(name).map(|(versions, _)| versions.as_slice()).unwrap_or_default();
        versions.iter().rev().nth(back).copied().unwrap_or_default()
    }

    /// The calls since this was last asked.
    pub fn new_calls(&self) -> Vec<(usize, Key)> {
        std::mem::take(&mut self.state().asked)
    }

    /// The calls that wait for an answer.
    pub fn pending(&self) -> Vec<usize> {
        self.state().pending.iter().map(|call| call.number).collect()
    }

    /// Answers a call. `late`: with what is true now, and not when it was made.
    pub fn land(&self, number: usize, late: bool) -> Outcome {
        let mut state = self.state();
        let at = state.pending.iter().position(|call| call.number == number).expect("a call");
        let call = state.pending.remove(at);
        let outcome = if late { state.answer(&call.key) } else { call.early };
        let _ = call.tell.send(outcome.clone());
        outcome
    }

    async fn ask(&self, key: Key) -> Result<Said, Error> {
        let answer = {
            let mut state = self.state();
            let (tell, answer) = oneshot::channel();
            let (number, early) = (state.calls, state.answer(&key));
            state.calls += 1;
            state.asked.push((number, key.clone()));
            state.pending.push(Pending { number, key, early, tell });
            answer
        };
        let outcome = answer.await.unwrap_or(Err((ErrorKind::Unreachable, None)));
        outcome.map_err(|(kind, retry_after)| Error { retry_after, ..Error::new(kind, "test") })
    }
}

impl State {
    fn answer(&self, key: &Key) -> Outcome {
        let (Key::Value(who, ..) | Key::Listing(who) | Key::Presence(who, _)) = key;
        if let Some(Mode::Fails(kind, retry_after)) = self.modes[*who] {
            return Err((kind, retry_after));
        }
        let is_there = |name: &String| self.names.get(name).is_some_and(|(_, is_there)| *is_there);
        let plain = |text: String| Ok(Said { text, version: 0, valid_for: None });
        match key {
            Key::Value(_, name, version) => {
                let versions = self.names.get(name).map(|(versions, _)| versions.as_slice()).unwrap_or_default();
                let found = match version {
                    None => versions.last(),
                    Some(version) => versions.iter().find(|known| *known == version),
                };
                let version = *found.filter(|_| is_there(name)).ok_or((ErrorKind::NotFound, None))?;
                Ok(Said { text: format!("{who} reads {name} v{version}"), version, valid_for: self.lease })
            }
            Key::Listing(_) => {
                plain(self.names.keys().filter(|name| is_there(name)).map(|name| format!("{name} ")).collect())
            }
            Key::Presence(_, name) if is_there(name) => plain("Yes".into()),
            Key::Presence(..) => Err((ErrorKind::NotFound, None)),
        }
    }
}

/// The script as one identity sees it.
pub struct Scripted {
    pub script: Script,
    pub who: usize,
}

impl Provider for Scripted {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn list(&self) -> Answer<'_, Listing> {
        Box::pin(async {
            let said = self.script.ask(Key::Listing(self.who)).await?;
            let names = said.text.split_whitespace().filter_map(SecretName::new);
            Ok(Listing { secrets: names.map(|name| Listed { name, changed: None }).collect(), left_out: Vec::new() })
        })
    }

    fn look<'a>(&'a self, name: &'a SecretName) -> Answer<'a, Presence> {
        Box::pin(async {
            match self.script.ask(Key::Presence(self.who, name.to_string())).await {
                Ok(_) => Ok(Presence { secret: Known::Yes, children: Known::No, changed: None }),
                Err(error) if error.kind == ErrorKind::NotFound => Ok(Presence::NOTHING),
                Err(error) => Err(error),
            }
        })
    }

    fn fetch<'a>(&'a self, name: &'a SecretName, version: &'a VersionSelector) -> Answer<'a, Fetched> {
        Box::pin(async {
            let said = match name.as_str().starts_with(super::FILLER) {
                true => Said { text: "x".repeat(super::FILLER_BYTES), version: 1, valid_for: None },
                false => {
                    let number = match version {
                        VersionSelector::Current | VersionSelector::Previous => None,
                        VersionSelector::Named(id) => id.parse().ok(),
                    };
                    self.script.ask(Key::Value(self.who, name.to_string(), number)).await?
                }
            };
            Ok(Fetched {
                payload: Payload { raw: Secret::from_string(said.text)?, keys: None },
                version: said.version.to_string(),
                created: None,
                source: String::new(),
                tags: Vec::new(),
                lease: said.valid_for.map(|valid_for| Lease { valid_for, hold: None }),
            })
        })
    }

    fn whoami(&self) -> Answer<'_, String> {
        Box::pin(async { Ok(String::new()) })
    }
}
