//! Changes as they happen: a watch on the objects' metadata.
//!
//! What has been seen outlives a connection, so that one that ends is gone on from, and a listing that must be made
//! anew tells of what is different and of nothing else.
//!
//! What `kubectl apply` writes into an object's metadata has its values. So a connection that this has come through is not
//! kept: it is closed when nothing more comes, and another goes on from there.

use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use kube::core::Status;
use kube::core::params::WatchParams;
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::names::relative;
use super::object::Partial;
use super::{Shared, error, list, session};
use crate::provider::rest::Stream;
use crate::provider::{Change, Error, ErrorKind};
use crate::secret::wipe_stack;

/// How long the server keeps one open, in seconds.
const LENGTH: u32 = 290;
/// How much longer than that a connection may be silent: one that is dead is not waited for.
const PATIENCE: Duration = Duration::from_secs(LENGTH as u64 + 15);
/// The longest event: an object's metadata, annotations included.
const LARGEST: usize = 4 << 20;
/// What `kubectl apply` calls what it writes there.
const APPLIED: &[u8] = b"last-applied-configuration";
/// How long nothing has come through a connection that has had values in its buffers, before it is closed: so long and up
/// to twice that, as everybody who watches is told at the same moment.
const PAUSE: Duration = Duration::from_secs(5);
/// And if there is no pause.
const LONGEST: Duration = Duration::from_secs(60);

/// What has been seen, in whichever connection.
#[derive(Default)]
pub(super) struct Watched {
    /// The version of each object by its name; None before the first listing.
    versions: Option<HashMap<String, String>>,
    /// Where to go on; None: with a listing.
    from: Option<String>,
}

type Heard<'a> = &'a (dyn Fn(Change) + Send + Sync);

/// Goes on for as long as the server lets it.
pub(super) async fn watch(shared: &Shared, heard: Heard<'_>) -> Result<Infallible, Error> {
    let mut watched = shared.watched.lock().await;
    loop {
        if watched.from.is_none() {
            relist(shared, &mut watched, heard).await?;
        }
        follow(shared, &mut watched, heard).await?;
    }
}

/// Tells of what is not as it was when last seen.
async fn relist(shared: &Shared, watched: &mut Watched, heard: Heard<'_>) -> Result<(), Error> {
    let (objects, version) = list::objects(shared).await?;
    let now: HashMap<String, String> =
        objects.into_iter().map(|it| (it.metadata.name, it.metadata.resource_version)).collect();
    match &watched.versions {
        // What is remembered may be older than this listing.
        None => heard(Change::All),
        Some(before) => {
            let changed =
                now.iter().filter(|(name, version)| before.get(*name) != Some(*version)).map(|(name, _)| name);
            let gone = before.keys().filter(|name| !now.contains_key(*name));
            changed.chain(gone).for_each(|name| tell(shared, name, heard));
        }
    }
    watched.versions = Some(now);
    watched.from = Some(version);
    Ok(())
}

fn tell(shared: &Shared, name: &str, heard: Heard<'_>) {
    if let Some(name) = relative(&shared.settings.prefix, name) {
        heard(Change::Secret(name));
    }
}

/// One connection, until it ends well.
async fn follow(shared: &Shared, watched: &mut Watched, heard: Heard<'_>) -> Result<(), Error> {
    let namespace = session::usable(shared).await?.namespace().to_owned();
    let call = format!("watch {}s of namespace `{namespace}`", shared.kind());
    let mut params = WatchParams::default().timeout(LENGTH);
    params.label_selector.clone_from(&shared.settings.labels);
    let from = watched.from.clone().unwrap_or_default();
    let opened = session::open(shared, &call, |session| session.objects(shared).watch_metadata(&params, &from)).await?;
    let mut lines = match opened {
        Ok(stream) => Lines { stream, pending: Zeroizing::default() },
        Err(reply) if error::is_gone(&reply) => {
            watched.from = None;
            return Ok(());
        }
        Err(reply) => return Err(error::from_reply(&call, &reply)),
    };
    let (mut holds_values_since, pause) = (None::<Instant>, some_pause());
    loop {
        let patience = match holds_values_since {
            None => PATIENCE,
            Some(since) if since.elapsed() >= LONGEST => return Ok(()),
            Some(_) => pause,
        };
        let line = match lines.next(&call, patience).await {
            Err(error) if holds_values_since.is_some() && error.kind == ErrorKind::TimedOut => return Ok(()),
            next => next?,
        };
        let Some(line) = line else { return Ok(()) };
        let event = Event::parse(&call, &line);
        if has_values(&line) {
            holds_values_since.get_or_insert_with(Instant::now);
            wipe_stack();
        }
        match event? {
            Event::Seen(object) => {
                let (name, version) = (object.metadata.name, object.metadata.resource_version);
                watched.from = Some(version.clone());
                let known = watched.versions.get_or_insert_default();
                if known.insert(name.clone(), version.clone()).as_ref() != Some(&version) {
                    tell(shared, &name, heard);
                }
            }
            Event::Gone(object) => {
                watched.from = Some(object.metadata.resource_version);
                watched.versions.get_or_insert_default().remove(&object.metadata.name);
                tell(shared, &object.metadata.name, heard);
            }
            Event::Bookmark(version) => watched.from = Some(version),
            Event::Ended(status) => {
                watched.from = None;
                return error::from_event(&call, &status).map_or(Ok(()), Err);
            }
        }
    }
}

fn has_values(line: &[u8]) -> bool {
    line.windows(APPLIED.len()).any(|part| part == APPLIED)
}

/// Another one for each connection.
fn some_pause() -> Duration {
    PAUSE + Duration::from_millis(RandomState::new().hash_one(()) % 5000)
}

pub(super) enum Event {
    /// New, or changed.
    Seen(Partial),
    Gone(Partial),
    /// Nothing has changed up to this version.
    Bookmark(String),
    Ended(Status),
}

impl Event {
    pub(super) fn parse(call: &str, line: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Written<'a> {
            #[serde(borrow, rename = "type")]
            kind: Cow<'a, str>,
            #[serde(borrow)]
            object: &'a RawValue,
        }
        #[derive(Deserialize)]
        struct Mark {
            metadata: Version,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            resource_version: String,
        }
        let broken = || error::not_understood(call);
        let written: Written<'_> = serde_json::from_slice(line).map_err(|_| broken())?;
        let text = written.object.get();
        let partial = || serde_json::from_str::<Partial>(text).map_err(|_| broken());
        match &*written.kind {
            "ADDED" | "MODIFIED" => partial().map(Self::Seen),
            "DELETED" => partial().map(Self::Gone),
            "BOOKMARK" => {
                let Mark { metadata } = serde_json::from_str(text).map_err(|_| broken())?;
                Ok(Self::Bookmark(metadata.resource_version))
            }
            "ERROR" => serde_json::from_str(text).map(Self::Ended).map_err(|_| broken()),
            _ => Err(broken()),
        }
    }
}

/// A stream, cut where its lines end.
struct Lines {
    stream: Stream,
    pending: Zeroizing<Vec<u8>>,
}

impl Lines {
    /// Silence for longer than `patience` is an error.
    async fn next(&mut self, call: &str, patience: Duration) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let mut searched = 0;
        loop {
            let rest = self.pending.get(searched..).unwrap_or_default();
            if let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
                // Whoever takes the line takes the memory: none of it stays behind what is left.
                let rest = self.pending.split_off(searched + at + 1);
                return Ok(Some(std::mem::replace(&mut self.pending, Zeroizing::new(rest))));
            }
            searched = self.pending.len();
            if searched > LARGEST {
                return Err(Error::new(
                    ErrorKind::TooLarge,
                    format!("{call}: an event is longer than {LARGEST} bytes"),
                ));
            }
            match self.stream.next(call, patience).await? {
                Some(more) => self.pending.extend_from_slice(&more),
                // What is not ended by a line's end is not whole.
                None => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubectl_has_applied_is_seen_in_an_event() {
        let event = |annotations: &str| format!(r#"{{"object":{{"metadata":{{"annotations":{annotations}}}}}}}"#);
        assert!(has_values(
            event(r#"{"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":{}}"}"#).as_bytes()
        ));
        for none in ["{}", r#"{"last-applied":"x"}"#] {
            assert!(!has_values(event(none).as_bytes()), "{none}");
        }
        assert!(!has_values(b""));
        assert!((0..100).all(|_| (PAUSE..PAUSE * 2).contains(&some_pause())));
    }

    #[test]
    fn events_are_told_apart_and_what_is_none_is_malformed() {
        let parse = |text: &str| Event::parse("watch", text.as_bytes());
        let object = r#"{"metadata":{"name":"a","resourceVersion":"7"}}"#;
        for kind in ["ADDED", "MODIFIED"] {
            assert!(
                matches!(parse(&format!(r#"{{"type":"{kind}","object":{object}}}"#)), Ok(Event::Seen(_))),
                "{kind}"
            );
        }
        assert!(matches!(parse(&format!(r#"{{"type":"DELETED","object":{object}}}"#)), Ok(Event::Gone(_))));
        let mark = r#"{"type":"BOOKMARK","object":{"kind":"Secret","metadata":{"resourceVersion":"9"}}}"#;
        assert!(matches!(parse(mark), Ok(Event::Bookmark(version)) if version == "9"));
        let gone = r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}"#;
        let Ok(Event::Ended(status)) = parse(gone) else { panic!("no end") };
        assert!(error::from_event("watch", &status).is_none());
        for odd in ["", "{}", "null", r#"{"type":"CANARY","object":{}}"#, r#"{"type":"ADDED","object":"CANARY"}"#] {
            let Err(error) = parse(odd) else { panic!("{odd} was taken") };
            assert!(error.kind == ErrorKind::Malformed && !error.detail.contains("CANARY"), "{error}");
        }
    }
}
