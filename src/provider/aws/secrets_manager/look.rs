//! What is at a name, without its value.

use std::time::SystemTime;

use super::list::{listed, names_starting_with};
use super::names::FullName;
use super::{Shared, known};
use crate::provider::{Error, ErrorKind, Known, Presence, SecretName};

/// Filtered listings may have empty pages; after so many it is not worth knowing.
const MOST_PAGES: usize = 5;

pub(super) async fn look(shared: &Shared, name: &SecretName) -> Result<Presence, Error> {
    let Ok(name) = FullName::new(&shared.prefix, name) else {
        // Neither it nor anything below it can exist.
        return Ok(Presence::NOTHING);
    };
    let (secret, children) = tokio::join!(describe(shared, &name), children(shared, &name));
    let (secret, children) = match (secret, children) {
        (Err(one), Err(other)) => {
            // Refusals leave both unknown; anything else means that nobody was there to ask.
            match [one, other].into_iter().find(|error| error.kind != ErrorKind::Denied) {
                Some(error) => return Err(error),
                None => ((Known::Unknown, None), Known::Unknown),
            }
        }
        // Not for as long as an answer is believed: it can be had in a moment.
        (Err(error), _) | (_, Err(error)) if error.kind == ErrorKind::Throttled => return Err(error),
        (secret, children) => (secret.unwrap_or((Known::Unknown, None)), children.unwrap_or(Known::Unknown)),
    };
    Ok(Presence { secret: secret.0, children, changed: secret.1 })
}

/// Is there a secret of that name, and when did it last change?
async fn describe(shared: &Shared, name: &FullName) -> Result<(Known, Option<SystemTime>), Error> {
    let call = format!("DescribeSecret of `{}`", name.as_str());
    let session = shared.aws.session().await?;
    let answer = match session.client.describe_secret().secret_id(name.as_str()).send().await {
        Ok(answer) => answer,
        Err(error) => {
            let error = shared.aws.failed(&session, &call, &error);
            return if error.kind == ErrorKind::NotFound { Ok((Known::No, None)) } else { Err(error) };
        }
    };
    // Without a name it is no answer, and must not be taken for one that says that the secret is there.
    if answer.name() != Some(name.as_str()) {
        return Err(Error::new(ErrorKind::Malformed, format!("{call}: the answer is about something else")));
    }
    if answer.deleted_date.is_some() {
        return Ok((Known::No, None));
    }
    let changed = answer.last_changed_date.or(answer.created_date);
    shared.known.remember(name.as_str(), known::about(answer.arn, answer.tags));
    Ok((Known::Yes, changed.and_then(|date| SystemTime::try_from(date).ok())))
}

/// Is there any secret below `name/`?
async fn children(shared: &Shared, name: &FullName) -> Result<Known, Error> {
    let below = format!("{}/", name.as_str());
    let call = format!("ListSecrets below `{below}`");
    let session = shared.aws.session().await?;
    let request = session.client.list_secrets().filters(names_starting_with(&below)).max_results(10);
    let mut pages = request.into_paginator().send();
    for _ in 0..MOST_PAGES {
        let Some(page) = pages.next().await else { return Ok(Known::No) };
        let page = page.map_err(|error| shared.aws.failed(&session, &call, &error))?;
        let found = listed(page.secret_list, &call)?.iter().any(|entry| {
            entry.deleted_date.is_none()
                && entry.name().and_then(|full| full.strip_prefix(&below)).is_some_and(|rest| !rest.is_empty())
        });
        if found {
            return Ok(Known::Yes);
        }
    }
    Ok(Known::Unknown)
}
