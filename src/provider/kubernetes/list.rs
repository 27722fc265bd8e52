//! The objects of the namespace, as metadata.

use kube::core::params::{GetParams, ListParams};

use super::names::relative;
use super::object::{Page, Partial};
use super::{Shared, error, session};
use crate::provider::pages::Pages;
use crate::provider::{Error, ErrorKind, Listed, Listing};

/// Objects in one answer.
const PAGE: u32 = 500;

/// A listing that breaks off because it took too long is begun anew so many times.
const ROUNDS: usize = 2;

pub(super) async fn list(shared: &Shared) -> Result<Listing, Error> {
    let (objects, _) = objects(shared).await?;
    if objects.is_empty() {
        judge_namespace(shared).await?;
    }
    let mut listing = Listing::default();
    for object in objects {
        if let Some(name) = relative(&shared.settings.prefix, &object.metadata.name) {
            listing.secrets.push(Listed { name, changed: object.metadata.changed() });
        }
    }
    Ok(listing)
}

/// All objects with the scope's labels, and the version of the whole.
pub(super) async fn objects(shared: &Shared) -> Result<(Vec<Partial>, String), Error> {
    let session = session::usable(shared).await?;
    let call = format!("list {}s of namespace `{}`", shared.kind(), session.namespace());
    let mut size = PAGE;
    for _ in 0..ROUNDS {
        if let Some(all) = from_the_start(shared, &call, &mut size).await? {
            return Ok(all);
        }
    }
    Err(Error::new(ErrorKind::Unreachable, format!("{call}: it changes faster than it can be read")))
}

/// None: it has become too old on the way.
async fn from_the_start(shared: &Shared, call: &str, size: &mut u32) -> Result<Option<(Vec<Partial>, String)>, Error> {
    let (mut objects, mut next) = (Vec::new(), None::<String>);
    let mut bound = Pages::of(call);
    loop {
        let mut page = ListParams::default().limit(*size);
        page.label_selector.clone_from(&shared.settings.labels);
        page.continue_token.clone_from(&next);
        let reply = match session::ask(shared, call, |session| session.objects(shared).list_metadata(&page)).await {
            // Annotations may be long.
            Err(error) if error.kind == ErrorKind::TooLarge && *size > 1 => {
                *size = (*size / 8).max(1);
                continue;
            }
            answer => answer?,
        };
        if error::is_gone(&reply) && next.is_some() {
            return Ok(None);
        }
        if !reply.is_success() {
            return Err(error::from_reply(call, &reply));
        }
        let page = Page::parse(call, &reply.body)?;
        let (version, token) = (page.metadata.resource_version.clone(), page.metadata.next.clone());
        for object in page.items() {
            bound.entry(object.metadata.text())?;
            objects.push(object);
        }
        bound.turn(Some(&token))?;
        if token.is_empty() {
            return Ok(Some((objects, version)));
        }
        next = Some(token);
    }
}

/// The listing of a namespace that does not exist is empty, too. Who may not look at namespaces is not told.
async fn judge_namespace(shared: &Shared) -> Result<(), Error> {
    let namespace = session::usable(shared).await?.namespace().to_owned();
    let call = format!("get Namespace `{namespace}`");
    let asked =
        |session: &session::Session| session.at("/api/v1/namespaces").get_metadata(&namespace, &GetParams::default());
    let reply = session::ask(shared, &call, asked).await?;
    if reply.is_success() {
        return Ok(());
    }
    let error = error::from_reply(&call, &reply);
    if error.kind == ErrorKind::NotFound { Err(error) } else { Ok(()) }
}
