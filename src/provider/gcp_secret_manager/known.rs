//! What the service said of secrets besides their values: labels, and when versions were made. An access says
//! neither, and asking for it again with every read would spend the small quota of reads.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Versions of one secret whose time is kept: the current one and a few that somebody reads by number.
const MOST_TIMES: usize = 4;

/// By id. As fresh as the last listing or look; versions never change, so their times hold for as long as the
/// secret is the same one.
#[derive(Default)]
pub(super) struct Known(Mutex<State>);

#[derive(Default)]
struct State {
    secrets: HashMap<String, About>,
    /// The service will not tell times before that.
    no_times_until: Option<Instant>,
}

/// One secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct About {
    /// When the secret itself was made: another time is another secret.
    pub(super) made: Option<SystemTime>,
    pub(super) tags: Vec<(String, String)>,
    /// Is it known to be there?
    pub(super) seen: bool,
    times: Vec<(String, Option<SystemTime>)>,
}

impl About {
    pub(super) fn new(made: Option<SystemTime>, labels: HashMap<String, String>) -> Self {
        let mut tags: Vec<(String, String)> = labels.into_iter().collect();
        tags.sort();
        Self { made, tags, seen: true, times: Vec::new() }
    }

    fn keep_times_of(mut self, old: Option<About>) -> Self {
        if let Some(old) = old.filter(|old| old.made == self.made || !old.seen) {
            self.times = old.times;
        }
        self
    }
}

impl Known {
    pub(super) fn tags(&self, id: &str) -> Vec<(String, String)> {
        self.state().secrets.get(id).map(|about| about.tags.clone()).unwrap_or_default()
    }

    pub(super) fn is_there(&self, id: &str) -> bool {
        self.state().secrets.get(id).is_some_and(|about| about.seen)
    }

    pub(super) fn remember(&self, id: &str, about: About) {
        let mut state = self.state();
        let old = state.secrets.remove(id);
        state.secrets.insert(id.to_owned(), about.keep_times_of(old));
    }

    pub(super) fn forget(&self, id: &str) {
        self.state().secrets.remove(id);
    }

    /// A whole listing: forgets what is no longer there.
    pub(super) fn replace(&self, all: HashMap<String, About>) {
        let mut state = self.state();
        let mut old = std::mem::take(&mut state.secrets);
        state.secrets = all.into_iter().map(|(id, about)| (id.clone(), about.keep_times_of(old.remove(&id)))).collect();
    }

    /// When that version was made: outer None if nobody asked yet.
    pub(super) fn time(&self, id: &str, version: &str) -> Option<Option<SystemTime>> {
        let state = self.state();
        let times = &state.secrets.get(id)?.times;
        times.iter().find(|(number, _)| number == version).map(|(_, time)| *time)
    }

    pub(super) fn remember_time(&self, id: &str, version: &str, time: Option<SystemTime>) {
        let mut state = self.state();
        let times = &mut state.secrets.entry(id.to_owned()).or_default().times;
        times.retain(|(number, _)| number != version);
        if times.len() >= MOST_TIMES {
            times.remove(0);
        }
        times.push((version.to_owned(), time));
    }

    pub(super) fn tells_times(&self) -> bool {
        self.state().no_times_until.is_none_or(|until| Instant::now() >= until)
    }

    pub(super) fn no_times_for(&self, pause: Duration) {
        self.state().no_times_until = Some(Instant::now() + pause);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // No step that can panic comes between two that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Option<SystemTime> {
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn a_secret_that_was_made_anew_has_no_times_of_the_old_one() {
        let known = Known::default();
        known.remember("db", About::new(at(1), HashMap::new()));
        known.remember_time("db", "1", at(2));
        known.remember("db", About::new(at(1), HashMap::new()));
        assert_eq!(known.time("db", "1"), Some(at(2)));
        known.replace(HashMap::from([("db".to_owned(), About::new(at(9), HashMap::new()))]));
        assert_eq!(known.time("db", "1"), None);
    }

    #[test]
    fn a_few_times_are_kept_for_each_secret() {
        let known = Known::default();
        for number in 1..=10 {
            known.remember_time("db", &number.to_string(), at(number));
        }
        assert_eq!((known.time("db", "1"), known.time("db", "10")), (None, Some(at(10))));
        assert!(!known.is_there("db"), "a time alone says nothing of a listing");
    }
}
