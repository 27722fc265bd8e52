//! Every secret of a scope.

use std::collections::HashMap;
use std::time::SystemTime;

use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SecretListEntry};

use super::super::iam::About;
use super::{Shared, known};
use crate::provider::pages::Pages;
use crate::provider::{Error, ErrorKind, Listed, Listing, SecretName};

const CALL: &str = "ListSecrets";

/// As many as the service gives at a time.
const PAGE: i32 = 100;

pub(super) async fn list(shared: &Shared) -> Result<Listing, Error> {
    let prefix = &shared.prefix;
    let filters = (!prefix.is_empty()).then(|| vec![names_starting_with(prefix)]);
    let session = shared.aws.session().await?;
    let request = session.client.list_secrets().set_filters(filters);
    let mut pages = request.max_results(PAGE).into_paginator().send();
    let (mut listing, mut abouts) = (Listing::default(), HashMap::new());
    let mut bound = Pages::of(CALL);
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| shared.aws.failed(&session, CALL, &error))?;
        for entry in listed(page.secret_list, CALL)? {
            bound.entry(text_of(&entry))?;
            add(entry, prefix, &mut listing, &mut abouts);
        }
        bound.turn(page.next_token.as_deref())?;
    }
    shared.known.replace(abouts);
    Ok(listing)
}

/// An answer without its list is none: it must not be taken for one that says that nothing is there.
pub(super) fn listed<T>(secrets: Option<Vec<T>>, call: &str) -> Result<Vec<T>, Error> {
    secrets.ok_or_else(|| Error::new(ErrorKind::Malformed, format!("{call}: the answer has no list of secrets")))
}

/// How many bytes of text are kept of an entry, at the most.
fn text_of(entry: &SecretListEntry) -> usize {
    let length = |text: Option<&str>| text.map_or(0, str::len);
    let tags = entry.tags().iter().map(|tag| length(tag.key()) + length(tag.value()));
    length(entry.name()) + length(entry.arn()) + tags.sum::<usize>()
}

fn add(entry: SecretListEntry, prefix: &str, listing: &mut Listing, abouts: &mut HashMap<String, About>) {
    let Some(full) = entry.name.filter(|_| entry.deleted_date.is_none()) else { return };
    // The service's filter has been looser than a prefix of the whole name.
    let Some(name) = full.strip_prefix(prefix) else { return };
    let Some(name) = SecretName::new(name) else {
        listing.left_out.push((full, "its name is the scope's prefix and nothing more".into()));
        return;
    };
    let changed = entry.last_changed_date.or(entry.created_date);
    listing.secrets.push(Listed { name, changed: changed.and_then(|date| SystemTime::try_from(date).ok()) });
    if let Some(about) = known::about(entry.arn, entry.tags) {
        abouts.insert(full, about);
    }
}

pub(super) fn names_starting_with(prefix: &str) -> Filter {
    Filter::builder().key(FilterNameStringType::Name).values(prefix).build()
}
