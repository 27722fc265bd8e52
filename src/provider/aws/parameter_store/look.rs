//! What is at a name, without a value.

use std::time::SystemTime;

use super::describe::{self, Depth, Described};
use super::known::Shape;
use super::names::FullName;
use super::{Shared, reference};
use crate::provider::{Error, ErrorKind, Known, Presence, SecretName};

/// A directory may hold more parameters than are worth counting to find that nothing is below them.
const MOST_PAGES: usize = 5;

pub(super) async fn look(shared: &Shared, name: &SecretName) -> Result<Presence, Error> {
    let Ok(full) = FullName::new(&shared.path, name) else {
        // Neither it nor anything below it can exist.
        return Ok(Presence::NOTHING);
    };
    if reference::refuse_to_list(&shared.path).is_err() {
        return Ok(Presence::UNKNOWN);
    }
    let (own, below) = tokio::join!(describe::own(shared, &full), below(shared, &full));
    // A refusal leaves it unknown; if nothing else was answered either, nobody was there to ask.
    let asked_for_own = full.is_top && own.is_ok();
    let (own, below) = match (own, below) {
        (own, Err(error)) if error.kind != ErrorKind::Denied && !asked_for_own => {
            return Err(own.err().filter(|own| own.kind != ErrorKind::Denied).unwrap_or(error));
        }
        (Err(error), Err(_)) if error.kind != ErrorKind::Denied => return Err(error),
        // Not for as long as an answer is believed: it can be had in a moment.
        (Err(error), _) if error.kind == ErrorKind::Throttled => return Err(error),
        (_, Err(error)) if error.kind == ErrorKind::Throttled => return Err(error),
        (own, below) => (own.ok(), below.ok()),
    };
    if let (Some(own), Some(below)) = (&own, &below)
        && below.is_whole
    {
        let own = own.as_ref().map(Described::as_own);
        shared.known.remember(name.as_str(), Shape { own, directory: below.keys });
    }
    Ok(presence(own, below))
}

/// What is below a name.
#[derive(Debug, Default)]
struct Below {
    /// Parameters directly in it.
    keys: bool,
    /// Parameters further down.
    deeper: bool,
    /// When the latest of its keys last changed.
    changed: Option<SystemTime>,
    /// Was everything seen?
    is_whole: bool,
}

async fn below(shared: &Shared, name: &FullName) -> Result<Below, Error> {
    let call = format!("DescribeParameters below `{}/`", name.as_str());
    let session = shared.aws.session().await?;
    let mut pages = describe::pages(&session, Some((name.as_str(), Depth::All))).send();
    let mut found = Below::default();
    for _ in 0..MOST_PAGES {
        let Some(page) = pages.next().await else {
            found.is_whole = true;
            break;
        };
        let page = page.map_err(|error| shared.aws.failed(&session, &call, &error))?;
        for parameter in describe::listed(page.parameters, &call)?.into_iter().filter_map(Described::of) {
            if name.key_of(&parameter.name.0).is_some() {
                found.keys = true;
                found.changed = found.changed.max(parameter.changed);
            } else if name.below(&parameter.name.0).is_some() {
                found.deeper = true;
            }
        }
    }
    Ok(found)
}

/// None is what was not to be had.
fn presence(own: Option<Option<Described>>, below: Option<Below>) -> Presence {
    let is_whole = below.as_ref().is_some_and(|below| below.is_whole);
    let otherwise = |sure| if sure { Known::No } else { Known::Unknown };
    let there = matches!(&own, Some(Some(_))) || below.as_ref().is_some_and(|below| below.keys);
    let deeper = below.as_ref().is_some_and(|below| below.deeper);
    let changed = own.as_ref().and_then(|own| own.as_ref()?.changed).max(below.and_then(|below| below.changed));
    Presence {
        secret: if there { Known::Yes } else { otherwise(is_whole && own.is_some()) },
        children: if deeper { Known::Yes } else { otherwise(is_whole) },
        changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(own: Option<Option<Described>>, below: Option<Below>) -> (Known, Known) {
        let presence = presence(own, below);
        (presence.secret, presence.children)
    }

    #[test]
    fn no_is_said_only_where_everything_was_seen() {
        let seen = |keys, deeper, is_whole| Some(Below { keys, deeper, changed: None, is_whole });
        assert_eq!(known(Some(None), seen(false, false, true)), (Known::No, Known::No));
        assert_eq!(known(Some(None), seen(false, true, true)), (Known::No, Known::Yes));
        assert_eq!(known(Some(None), seen(true, false, false)), (Known::Yes, Known::Unknown));
        assert_eq!(known(Some(None), seen(false, true, false)), (Known::Unknown, Known::Yes));
        assert_eq!(known(None, seen(false, false, true)), (Known::Unknown, Known::No));
        assert_eq!(known(Some(None), None), (Known::Unknown, Known::Unknown));
        assert_eq!(known(None, None), (Known::Unknown, Known::Unknown));
    }
}
