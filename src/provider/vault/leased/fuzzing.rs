//! What an engine answers that lends credentials.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::super::fuzzing::check;
use super::super::value::Fields;
use super::credentials::{Lent, account, refusal};
use super::lease::{Renewed, end};
use super::role;
use super::roles::{named, sort_in};
use crate::fuzzing::is_told_in_one_line;
use crate::provider::Listing;
use crate::provider::rest::{Reply, object};

/// However long a lease is said to be, and whatever roles there are said to be.
pub fn leased(reply: &Reply) {
    let body = &reply.body;
    if let Some(lent) = object::<Lent<'_>>(body) {
        let _ = end(Instant::now(), Duration::from_secs(lent.lease_duration));
        if let Some(fields) = lent.data.and_then(|data| object::<Fields<'_>>(data.get().as_bytes())) {
            check(&fields);
        }
    }
    if let Some(renewed) = object::<Renewed>(body) {
        let _ = end(Instant::now(), Duration::from_secs(renewed.lease_duration));
    }
    if let Some(account) = is_told_in_one_line(account("read", body)) {
        assert!(!account.fields.contains_key("ttl"));
        check(&account.fields);
    }
    if let Some(names) = is_told_in_one_line(named("list", body)) {
        roles(names);
    }
    let _ = is_told_in_one_line::<()>(Err(refusal("read", reply)));
}

/// Each is listed once, or left out and named; what is listed can be asked for.
fn roles(names: Vec<String>) {
    let (count, mut listing) = (names.len(), Listing::default());
    for name in names {
        sort_in(name, &mut listing);
    }
    let Listing { secrets, left_out } = listing;
    assert_eq!(secrets.len() + left_out.len(), count);
    let listed: HashSet<&str> = secrets.iter().map(|secret| secret.name.as_str()).collect();
    assert_eq!(listed.len(), secrets.len());
    assert!(secrets.iter().all(|secret| role(&secret.name).is_ok()));
    assert!(!left_out.iter().any(|(name, _)| name.contains(char::is_control)));
}
