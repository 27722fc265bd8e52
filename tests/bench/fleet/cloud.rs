//! A provider that answers as fast and as often as the published quota of a real one allows, and counts.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hushfs::cache::Clock;
use hushfs::provider::{
    Answer, Error, ErrorKind, Fetched, Known, Listing, Payload, Presence, Provider, SecretName, VersionSelector,
};
use hushfs::secret::Secret;

use super::clock::Virtual;

/// What a provider publishes.
#[derive(Clone, Copy)]
pub struct Quota {
    pub name: &'static str,
    /// So many reads of values in such a time, for all hosts together.
    pub reads: u32,
    pub per: Duration,
    /// How long its refusals ask to wait.
    pub retry_after: Option<Duration>,
    /// Dollars for 10,000 reads.
    pub price: f64,
}

impl Quota {
    pub fn per_second(&self) -> f64 {
        f64::from(self.reads) / self.per.as_secs_f64()
    }
}

/// In one second.
#[derive(Clone, Copy, Default)]
pub struct Second {
    pub answered: u32,
    pub throttled: u32,
    pub lost: u32,
}

impl Second {
    pub fn calls(self) -> u32 {
        self.answered + self.throttled + self.lost
    }

    /// As so many clouds would have it together.
    pub fn times(self, many: u32) -> Self {
        Self { answered: self.answered * many, throttled: self.throttled * many, lost: self.lost * many }
    }
}

pub struct Cloud {
    quota: Quota,
    clock: Arc<Virtual>,
    outage: Range<Duration>,
    state: Mutex<State>,
}

struct State {
    /// Reads left of the quota, and when that was.
    left: f64,
    at: Duration,
    seconds: Vec<Second>,
}

impl Cloud {
    /// During the outage there is no answer but a broken connection.
    pub fn new(quota: Quota, clock: Arc<Virtual>, outage: Range<Duration>) -> Self {
        let state = State { left: f64::from(quota.reads), at: Duration::ZERO, seconds: Vec::new() };
        Self { quota, clock, outage, state: Mutex::new(state) }
    }

    /// What was called, second by second.
    pub fn seconds(&self) -> Vec<Second> {
        self.state.lock().unwrap().seconds.clone()
    }

    fn read(&self) -> Result<(), Error> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let whole = now.as_secs() as usize;
        if state.seconds.len() <= whole {
            state.seconds.resize(whole + 1, Second::default());
        }
        if self.outage.contains(&now) {
            state.seconds[whole].lost += 1;
            return Err(Error::new(ErrorKind::Unreachable, "the connection broke off"));
        }
        let came = (now - state.at).as_secs_f64() * self.quota.per_second();
        state.left = (state.left + came).min(f64::from(self.quota.reads));
        state.at = now;
        if state.left < 1.0 {
            state.seconds[whole].throttled += 1;
            return Err(Error { retry_after: self.quota.retry_after, ..Error::new(ErrorKind::Throttled, "too many") });
        }
        state.left -= 1.0;
        state.seconds[whole].answered += 1;
        Ok(())
    }
}

impl Provider for Cloud {
    fn kind(&self) -> &'static str {
        self.quota.name
    }

    fn list(&self) -> Answer<'_, Listing> {
        Box::pin(std::future::ready(Ok(Listing::default())))
    }

    fn look<'a>(&'a self, _: &'a SecretName) -> Answer<'a, Presence> {
        let presence = Presence { secret: Known::Yes, children: Known::No, changed: None };
        Box::pin(std::future::ready(Ok(presence)))
    }

    fn fetch<'a>(&'a self, name: &'a SecretName, _: &'a VersionSelector) -> Answer<'a, Fetched> {
        Box::pin(async move {
            let answer = self.read();
            // 20 to 60 ms, as a region's own hosts see.
            self.clock.sleep(Duration::from_millis(20) + Duration::from_millis(40).mul_f64(self.clock.chance())).await;
            answer?;
            Ok(Fetched {
                payload: Payload { raw: Secret::copy_from(b"value")?, keys: None },
                version: "1".to_owned(),
                created: None,
                source: name.to_string(),
                tags: Vec::new(),
                lease: None,
            })
        })
    }

    fn whoami(&self) -> Answer<'_, String> {
        Box::pin(std::future::ready(Ok(self.quota.name.to_owned())))
    }
}
