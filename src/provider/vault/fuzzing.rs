//! What a server of Vault's, or something else in its place, answers.

use std::collections::{BTreeMap, HashMap};

use serde::de::IgnoredAny;

use super::error::from_reply;
use super::leased::fuzzing::leased;
use super::permissions::{Capabilities, judge};
use super::value::{Fields, Metadata, Versioned, auth, data, is_gone, payload, time};
use crate::fuzzing::{choice, is_told_in_one_line};
use crate::provider::rest::Reply;
use crate::provider::{Error, Known};

/// Nothing that is answered does harm, and a secret's raw value has the fields of its keys.
pub fn vault(bytes: &[u8]) {
    let (first, body) = choice(bytes);
    if let Some(secret) = is_told_in_one_line(data::<Versioned<'_>>("read", body)) {
        let _ = time(&secret.metadata.created_time);
        if let Some(fields) = &secret.data {
            check(fields);
        }
    }
    if let Some(fields) = is_told_in_one_line(data::<Fields<'_>>("read", body)) {
        check(&fields);
    }
    if let Some(metadata) = is_told_in_one_line(data::<Metadata>("look", body)) {
        for version in metadata.versions.values() {
            let _ = is_gone(version.destroyed, &version.deletion_time, std::time::SystemTime::UNIX_EPOCH);
        }
    }
    let _ = is_told_in_one_line(auth("login", body).map(|auth| auth.client_token.len()));
    let status = [400, 403, 404, 429, 472, 500, 503, 307][usize::from(first % 8)];
    let reply = Reply::saying(status, body);
    let _ = is_told_in_one_line::<()>(Err(from_reply("read", &reply)));
    leased(&reply);
    capabilities(body);
    concealed(reply, first);
}

/// A no is only what is said in one word.
fn capabilities(body: &[u8]) {
    let Some(told) = is_told_in_one_line(data::<HashMap<String, Capabilities>>("permissions", body)) else { return };
    for (path, Capabilities(words)) in told {
        let permission = judge(&path, &words);
        assert_eq!(permission.read == Known::No, words == ["deny"], "{words:?}");
        assert!(!permission.why.contains(char::is_control), "{:?}", permission.why);
    }
}

pub(super) fn check(fields: &Fields<'_>) {
    let payload = payload("read", fields);
    let _ = is_told_in_one_line(payload.as_ref().map(|_| ()).map_err(|error| Error::new(error.kind, &*error.detail)));
    let Ok(payload) = payload else { return };
    let keys = payload.keys.expect("fields are keys");
    let raw: BTreeMap<String, IgnoredAny> = serde_json::from_slice(payload.raw.expose()).expect("JSON");
    assert!(raw.keys().eq(keys.iter().map(|(name, _)| name)));
}

/// A credential that is quoted is not in the answer any more.
fn concealed(mut reply: Reply, first: u8) {
    let length = usize::from(first).min(reply.body.len());
    let credential = reply.body[..length].to_vec();
    reply.conceal(&credential);
    let is_there = || reply.body.windows(length).any(|window| window == credential);
    // What takes its place may make one that has the same character.
    assert!(length == 0 || credential.contains(&b'*') || !is_there());
}
