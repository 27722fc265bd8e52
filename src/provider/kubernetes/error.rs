//! From the API server's answers to our errors.
//!
//! What goes into an error's text: the status, and the reason and message of Kubernetes' own `Status`. Never the answer
//! itself, nor a parser's opinion of it: each may quote a value.

use std::time::Duration;

use kube::core::Status;
use kube::core::response::reason;

use crate::provider::rest::{Reply, clean, object};
use crate::provider::{Error, ErrorKind};

/// What a reply means that is not a success. `call` is such as ``get secret `db` of namespace `n` ``.
pub(super) fn from_reply(call: &str, reply: &Reply) -> Error {
    let status = status(reply);
    let kind = match &status {
        Some(status) => kind_of(&status.reason, reply.status),
        None => kind_of_code(reply.status).unwrap_or(ErrorKind::Malformed),
    };
    let mut text = format!("{call}: Kubernetes answered HTTP {}", reply.status);
    match (&status, reply.status) {
        (Some(status), _) => {
            for part in [&status.reason, &status.message].into_iter().filter(|part| !part.is_empty()) {
                text.push_str(&format!(": {}", clean(part)));
            }
        }
        (None, 300..=399) => {
            text.push_str(", it sends us elsewhere, where credentials do not follow");
            // A query may hold anything.
            if let Some(place) = reply.location.as_deref().and_then(|it| it.split(['?', '#']).next()) {
                text.push_str(&format!(" ({})", clean(place)));
            }
        }
        (None, _) => text.push_str(" with a body that is no answer of its API; is something else at that address?"),
    }
    let mut error = Error::new(kind, text);
    let asked = status.and_then(|it| it.details).map_or(0, |details| details.retry_after_seconds);
    error.retry_after = reply.wait().or_else(|| (asked > 0).then(|| Duration::from_secs(asked.into())));
    error
}

/// The same of an event in a watch, which has a status of its own. None: it says so of the version to go on from.
pub(super) fn from_event(call: &str, status: &Status) -> Option<Error> {
    if status.code == 410 || status.reason == reason::GONE || status.reason == reason::EXPIRED {
        return None;
    }
    let text = format!("{call}: Kubernetes ended it: {}: {}", clean(&status.reason), clean(&status.message));
    Some(Error::new(kind_of(&status.reason, status.code), text))
}

/// Does it say that what we go on from is too old?
pub(super) fn is_gone(reply: &Reply) -> bool {
    reply.status == 410
}

/// A success that cannot be understood. Its text has none of the answer.
pub(super) fn not_understood(call: &str) -> Error {
    let text = format!("{call}: the answer is not what Kubernetes answers; is something else at that address?");
    Error::new(ErrorKind::Malformed, text)
}

/// Kubernetes' own error; None where the body is none.
fn status(reply: &Reply) -> Option<Status> {
    #[derive(serde::Deserialize)]
    struct Kind<'a> {
        #[serde(borrow)]
        kind: std::borrow::Cow<'a, str>,
    }
    let is_status = object::<Kind<'_>>(&reply.body).is_some_and(|it| it.kind == "Status");
    is_status.then(|| object(&reply.body)).flatten()
}

fn kind_of(reason: &str, code: u16) -> ErrorKind {
    kind_of_reason(reason)
        // Only a status of its own says that there is no such thing; this is one.
        .or_else(|| (code == 404).then_some(ErrorKind::NotFound))
        .or_else(|| kind_of_code(code))
        .unwrap_or(ErrorKind::Malformed)
}

/// By what the API calls its errors.
fn kind_of_reason(text: &str) -> Option<ErrorKind> {
    Some(match text {
        reason::UNAUTHORIZED => ErrorKind::CredentialsRejected,
        reason::FORBIDDEN => ErrorKind::Denied,
        reason::NOT_FOUND => ErrorKind::NotFound,
        reason::TOO_MANY_REQUESTS => ErrorKind::Throttled,
        reason::SERVER_TIMEOUT
        | reason::INTERNAL_ERROR
        | reason::SERVICE_UNAVAILABLE
        | reason::STORAGE_READ_ERROR
        | reason::EXPIRED
        | reason::GONE
        | reason::CONFLICT => ErrorKind::Unreachable,
        reason::TIMEOUT => ErrorKind::TimedOut,
        reason::REQUEST_ENTITY_TOO_LARGE => ErrorKind::TooLarge,
        reason::BAD_REQUEST
        | reason::INVALID
        | reason::METHOD_NOT_ALLOWED
        | reason::NOT_ACCEPTABLE
        | reason::UNSUPPORTED_MEDIA_TYPE
        | reason::ALREADY_EXISTS => ErrorKind::Malformed,
        _ => return None,
    })
}

/// What a code says where no known reason does.
fn kind_of_code(code: u16) -> Option<ErrorKind> {
    // A page of a listing that is not kept any more.
    if code == 410 { Some(ErrorKind::Unreachable) } else { ErrorKind::of_http_status(code) }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        let body = Zeroizing::new(body.as_bytes().to_vec());
        Reply { status, retry_after: None, location: Some("https://x/login?t=CANARY".into()), challenge: None, body }
    }

    fn kind(code: u16, reason: &str) -> ErrorKind {
        let body = serde_json::json!({"kind": "Status", "status": "Failure", "reason": reason, "code": code});
        from_reply("get", &reply(code, &body.to_string())).kind
    }

    #[test]
    fn a_reason_counts_before_the_code_and_the_code_before_nothing() {
        assert_eq!(kind(404, "NotFound"), ErrorKind::NotFound);
        assert_eq!(kind(404, ""), ErrorKind::NotFound);
        assert_eq!(kind(403, "Forbidden"), ErrorKind::Denied);
        assert_eq!(kind(401, "Unauthorized"), ErrorKind::CredentialsRejected);
        assert_eq!(kind(429, "TooManyRequests"), ErrorKind::Throttled);
        assert_eq!(kind(500, "NeverHeardOf"), ErrorKind::Unreachable);
        assert_eq!(kind(504, "Timeout"), ErrorKind::TimedOut);
        assert_eq!(kind(418, "NeverHeardOf"), ErrorKind::Malformed);
    }

    #[test]
    fn the_wait_may_stand_in_the_status() {
        let body = r#"{"kind":"Status","reason":"TooManyRequests","details":{"retryAfterSeconds":9}}"#;
        assert_eq!(from_reply("get", &reply(429, body)).retry_after, Some(Duration::from_secs(9)));
    }

    #[test]
    fn a_page_of_another_server_makes_no_secret_vanish_and_is_not_quoted() {
        for (status, kind) in [(404, ErrorKind::Malformed), (403, ErrorKind::Denied), (302, ErrorKind::Unreachable)] {
            for page in ["", "<html>CANARY</html>", "{}", "[]", "null", r#"{"kind":"Secret","data":{"a":"CANARY"}}"#] {
                let error = from_reply("get", &reply(status, page));
                assert_eq!(error.kind, kind, "{status} {page}");
                assert!(!error.detail.contains("CANARY"), "{error}");
            }
        }
    }
}
