//! A provider that answers as fast and as often as the published quota of a real one allows, and counts.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hushfs::cache::Clock;
use hushfs::provider::{
    Answer, Error, ErrorKind, Fetched, Known, Listed, Listing, Payload, Presence, Provider, SecretName, VersionSelector,
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
    /// Its questions about names.
    pub names: Names,
    /// How long its refusals ask to wait.
    pub retry_after: Option<Duration>,
    /// Dollars for 10,000 reads, and for 10,000 questions about names.
    pub price: f64,
    pub price_of_names: f64,
}

/// What names cost.
#[derive(Clone, Copy)]
pub struct Names {
    /// So many listings in the time of the quota; None where they count as reads do.
    pub listings: Option<u32>,
    /// The calls that a single name takes.
    pub look: &'static [By],
    /// Names in one page of a listing.
    pub page: usize,
    /// A listing brings a hundred names or more.
    pub lists_many: bool,
}

impl Quota {
    /// The part of it that one in `each` has.
    pub fn part(self, each: u32) -> Self {
        let names = Names { listings: self.names.listings.map(|listings| listings / each), ..self.names };
        Self { reads: self.reads / each, names, ..self }
    }

    pub fn per_second(&self) -> f64 {
        f64::from(self.reads) / self.per.as_secs_f64()
    }
}

/// What came of the calls of one second.
#[derive(Clone, Copy, Default)]
pub struct Second {
    /// Those that the quota of reads counts.
    pub reads: Calls,
    /// Those about names, whichever quota counts them.
    pub names: Calls,
}

#[derive(Clone, Copy, Default)]
pub struct Calls {
    pub answered: u32,
    pub throttled: u32,
    pub lost: u32,
}

impl Calls {
    pub fn all(self) -> u32 {
        self.answered + self.throttled + self.lost
    }

    fn times(self, many: u32) -> Self {
        Self { answered: self.answered * many, throttled: self.throttled * many, lost: self.lost * many }
    }
}

impl Second {
    /// As so many clouds would have it together.
    pub fn times(self, many: u32) -> Self {
        Self { reads: self.reads.times(many), names: self.names.times(many) }
    }
}

/// By which quota a call is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    Reads,
    /// That of reads, too, where there is no other.
    Listings,
}

pub struct Cloud {
    quota: Quota,
    clock: Arc<Virtual>,
    outage: Range<Duration>,
    /// What there is.
    secrets: Vec<SecretName>,
    state: Mutex<State>,
}

struct State {
    reads: Bucket,
    listings: Option<Bucket>,
    seconds: Vec<Second>,
}

/// What is left of a quota, and when that was.
struct Bucket {
    size: f64,
    per: Duration,
    left: f64,
    at: Duration,
}

impl Bucket {
    fn new(size: u32, per: Duration) -> Self {
        Self { size: f64::from(size), per, left: f64::from(size), at: Duration::ZERO }
    }

    fn take(&mut self, now: Duration) -> bool {
        let came = (now - self.at).as_secs_f64() * self.size / self.per.as_secs_f64();
        self.left = (self.left + came).min(self.size);
        self.at = now;
        let is_enough = self.left >= 1.0;
        if is_enough {
            self.left -= 1.0;
        }
        is_enough
    }
}

impl Cloud {
    /// During the outage there is no answer but a broken connection.
    pub fn new(quota: Quota, clock: Arc<Virtual>, outage: Range<Duration>, secrets: Vec<SecretName>) -> Self {
        let state = State {
            reads: Bucket::new(quota.reads, quota.per),
            listings: quota.names.listings.map(|listings| Bucket::new(listings, quota.per)),
            seconds: Vec::new(),
        };
        Self { quota, clock, outage, secrets, state: Mutex::new(state) }
    }

    /// What was called, second by second.
    pub fn seconds(&self) -> Vec<Second> {
        self.state.lock().unwrap().seconds.clone()
    }

    /// As many calls at once, all of which must be answered.
    async fn call(&self, calls: &[By], is_about_names: bool) -> Result<(), Error> {
        let judged: Vec<_> = calls.iter().map(|by| self.judge(*by, is_about_names)).collect();
        // 20 to 60 ms, as a region's own hosts see.
        self.clock.sleep(Duration::from_millis(20) + Duration::from_millis(40).mul_f64(self.clock.chance())).await;
        judged.into_iter().collect()
    }

    fn judge(&self, by: By, is_about_names: bool) -> Result<(), Error> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let whole = now.as_secs() as usize;
        if state.seconds.len() <= whole {
            state.seconds.resize(whole + 1, Second::default());
        }
        let State { reads, listings, seconds } = &mut *state;
        let is_listing = by == By::Listings && listings.is_some();
        let quota = listings.as_mut().filter(|_| is_listing).unwrap_or(reads);
        let Second { reads, names } = &mut seconds[whole];
        let mut counts: Vec<&mut Calls> = Vec::new();
        if !is_listing {
            counts.push(reads);
        }
        if is_about_names {
            counts.push(names);
        }
        if self.outage.contains(&now) {
            counts.into_iter().for_each(|calls| calls.lost += 1);
            return Err(Error::new(ErrorKind::Unreachable, "the connection broke off"));
        }
        if !quota.take(now) {
            counts.into_iter().for_each(|calls| calls.throttled += 1);
            return Err(Error { retry_after: self.quota.retry_after, ..Error::new(ErrorKind::Throttled, "too many") });
        }
        counts.into_iter().for_each(|calls| calls.answered += 1);
        Ok(())
    }
}

impl Provider for Cloud {
    fn kind(&self) -> &'static str {
        self.quota.name
    }

    fn list(&self) -> Answer<'_, Listing> {
        Box::pin(async {
            for _ in self.secrets.chunks(self.quota.names.page) {
                self.call(&[By::Listings], true).await?;
            }
            let listed = |name: &SecretName| Listed { name: name.clone(), changed: None };
            Ok(Listing { secrets: self.secrets.iter().map(listed).collect(), left_out: Vec::new() })
        })
    }

    fn lists_many_in_a_call(&self) -> bool {
        self.quota.names.lists_many
    }

    fn counts_names_apart(&self) -> bool {
        self.quota.names.listings.is_some()
    }

    fn look<'a>(&'a self, name: &'a SecretName) -> Answer<'a, Presence> {
        Box::pin(async move {
            self.call(self.quota.names.look, true).await?;
            let secret = if self.secrets.contains(name) { Known::Yes } else { Known::No };
            Ok(Presence { secret, ..Presence::NOTHING })
        })
    }

    fn fetch<'a>(&'a self, name: &'a SecretName, _: &'a VersionSelector) -> Answer<'a, Fetched> {
        Box::pin(async move {
            self.call(&[By::Reads], false).await?;
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
