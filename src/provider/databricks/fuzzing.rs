//! What a workspace answers, and the file of its tools.

use std::hash::RandomState;

use super::error::{from_reading, from_reply};
use super::list::scopes_in;
use super::permissions::granted;
use super::profile::find;
use super::value::{entries, newest, value, version};
use crate::fuzzing::{choice, is_told_in_one_line};
use crate::provider::rest::Reply;

/// Nothing that is answered does harm; every key is listed once.
pub fn databricks(bytes: &[u8]) {
    let (first, body) = choice(bytes);
    if let Some(entries) = is_told_in_one_line(entries("list", body)) {
        assert!(entries.is_sorted_by(|a, b| a.key < b.key));
        let _ = newest(&entries);
        assert!(!version(&entries, &[], &RandomState::new()).is_empty());
    }
    let _ = is_told_in_one_line(value("get", "k", body));
    let scopes = is_told_in_one_line(scopes_in("list", body));
    assert!(scopes.is_none_or(|names| names.is_sorted_by(|a, b| a < b)));
    let granted = is_told_in_one_line(granted("get", body));
    assert!(granted.is_none_or(|words| !words.contains(char::is_control)));
    let status = [400, 401, 403, 404, 429, 500, 503, 302][usize::from(first % 8)];
    let reply = Reply::saying(status, body);
    let _ = is_told_in_one_line::<()>(Err(from_reply("get", &reply)));
    let _ = is_told_in_one_line::<()>(Err(from_reading("get", &reply)));
    if let Ok(text) = std::str::from_utf8(body) {
        let profile = find(text, "DEFAULT");
        assert!(profile.and_then(|it| it.host).is_none_or(|host| !host.contains('\n')));
    }
}
