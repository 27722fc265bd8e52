//! From Databricks' answers to our errors.
//!
//! What goes into an error's text: the status, and the code and message of Databricks' own errors. Never the answer
//! itself, nor a parser's opinion of it: each may quote a value.

use serde::Deserialize;

use crate::provider::rest::{Reply, clean, object};
use crate::provider::{Error, ErrorKind};

/// An error as the API writes it.
struct Complaint {
    code: String,
    message: String,
}

/// What a reply means that is not a success. `call` is such as ``secrets/list of `db` ``.
pub(super) fn from_reply(call: &str, reply: &Reply) -> Error {
    let complaint = complaint(reply);
    let kind = match &complaint {
        Some(complaint) => kind_of(complaint, reply.status),
        None => ErrorKind::of_http_status(reply.status).unwrap_or(ErrorKind::Malformed),
    };
    let mut text = format!("{call}: Databricks answered HTTP {}", reply.status);
    match (&complaint, reply.status) {
        (Some(Complaint { code, message }), _) => {
            for part in [code, message].into_iter().filter(|part| !part.is_empty()) {
                text.push_str(&format!(": {}", clean(part)));
            }
        }
        (None, 300..=399) => {
            text.push_str(", it sends us elsewhere, where credentials do not follow");
            // A query may hold anything.
            if let Some(place) = reply.location.as_deref().and_then(|it| it.split(['?', '#']).next()) {
                text.push_str(&format!(" ({})", clean(place)));
            }
            text.push_str("; is `host` the workspace's address?");
        }
        (None, _) => text.push_str(" with a body that is no answer of its API; is something else at `host`?"),
    }
    let mut error = Error::new(kind, text);
    error.retry_after = reply.wait();
    error
}

/// The same for `secrets/get`, which may be refused for not being asked from a notebook.
pub(super) fn from_reading(call: &str, reply: &Reply) -> Error {
    let outside = complaint(reply).is_some_and(|it| it.code == "BAD_REQUEST");
    let mut error = from_reply(call, reply);
    if outside {
        error.kind = ErrorKind::Denied;
        error.detail.push_str(
            "; this workspace gives values to notebooks and jobs only (DBUtils), as the API's documentation has it, \
             and not to REST calls: hushfs cannot read its secrets",
        );
    }
    error
}

/// A success that cannot be understood. Its text has none of the answer.
pub(super) fn not_understood(call: &str) -> Error {
    let text = format!("{call}: the answer is not what Databricks answers; is something else at `host`?");
    Error::new(ErrorKind::Malformed, text)
}

/// Databricks' own error; None where the body is none.
fn complaint(reply: &Reply) -> Option<Complaint> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Code {
        Word(String),
        // Some gateways of theirs put the status there.
        Number(u16),
    }
    #[derive(Deserialize)]
    struct Written {
        error_code: Code,
        #[serde(default)]
        message: String,
    }
    if reply.is_success() {
        return None;
    }
    let Written { error_code, message } = object(&reply.body)?;
    let code = match error_code {
        Code::Word(word) => word,
        Code::Number(number) => number.to_string(),
    };
    Some(Complaint { code, message })
}

fn kind_of(complaint: &Complaint, status: u16) -> ErrorKind {
    // Databricks says 403 of a token that it does not know, with a code or without.
    let message = complaint.message.to_ascii_lowercase();
    let of_token = ["invalid access token", "invalid token", "token has expired", "token is expired", "expired token"];
    if status == 403 && of_token.iter().any(|words| message.contains(words)) {
        return ErrorKind::CredentialsRejected;
    }
    kind_of_code(&complaint.code)
        // A missing path of the API is no missing secret.
        .or_else(|| ErrorKind::of_http_status(status))
        .unwrap_or(ErrorKind::Malformed)
}

/// By what the API's documentation and its SDKs call errors.
fn kind_of_code(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "RESOURCE_DOES_NOT_EXIST" | "NOT_FOUND" => ErrorKind::NotFound,
        "PERMISSION_DENIED" | "FEATURE_DISABLED" => ErrorKind::Denied,
        "UNAUTHENTICATED" | "INVALID_TOKEN" | "TOKEN_EXPIRED" | "CUSTOMER_UNAUTHORIZED" => {
            ErrorKind::CredentialsRejected
        }
        "REQUEST_LIMIT_EXCEEDED" | "RESOURCE_EXHAUSTED" | "TOO_MANY_REQUESTS" | "RATE_LIMIT_EXCEEDED" => {
            ErrorKind::Throttled
        }
        "INTERNAL_ERROR"
        | "TEMPORARILY_UNAVAILABLE"
        | "UNAVAILABLE"
        | "SERVICE_UNDER_MAINTENANCE"
        | "WORKSPACE_TEMPORARILY_UNAVAILABLE"
        | "ABORTED"
        | "IO_ERROR" => ErrorKind::Unreachable,
        "DEADLINE_EXCEEDED" | "TIMEOUT" => ErrorKind::TimedOut,
        "BAD_REQUEST"
        | "MALFORMED_REQUEST"
        | "INVALID_PARAMETER_VALUE"
        | "INVALID_REQUEST"
        | "INVALID_STATE"
        | "ENDPOINT_NOT_FOUND"
        | "NOT_IMPLEMENTED" => ErrorKind::Malformed,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use zeroize::Zeroizing;

    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        let body = Zeroizing::new(body.as_bytes().to_vec());
        let location = Some("https://x/login.html?t=CANARY".into());
        Reply { status, retry_after: Some("7".into()), location, challenge: None, body }
    }

    fn kind(status: u16, code: &str, message: &str) -> ErrorKind {
        let body = serde_json::json!({"error_code": code, "message": message}).to_string();
        from_reply("secrets/list of `a`", &reply(status, &body)).kind
    }

    #[test]
    fn a_code_counts_before_the_status_and_the_status_before_nothing() {
        assert_eq!(kind(404, "RESOURCE_DOES_NOT_EXIST", ""), ErrorKind::NotFound);
        assert_eq!(kind(403, "PERMISSION_DENIED", "no READ"), ErrorKind::Denied);
        assert_eq!(kind(400, "REQUEST_LIMIT_EXCEEDED", ""), ErrorKind::Throttled);
        assert_eq!(kind(503, "NEVER_HEARD_OF", ""), ErrorKind::Unreachable);
        assert_eq!(kind(429, "NEVER_HEARD_OF", ""), ErrorKind::Throttled);
        assert_eq!(kind(400, "NEVER_HEARD_OF", ""), ErrorKind::Malformed);
        assert_eq!(kind(404, "ENDPOINT_NOT_FOUND", ""), ErrorKind::Malformed);
        assert_eq!(from_reply("c", &reply(429, "{}")).retry_after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_token_that_is_refused_is_told_from_a_secret_that_is() {
        assert_eq!(kind(403, "403", "Invalid access token."), ErrorKind::CredentialsRejected);
        assert_eq!(from_reply("c", &reply(401, r#"{"error_code":401}"#)).kind, ErrorKind::CredentialsRejected);
        assert_eq!(kind(403, "PERMISSION_DENIED", "User u has no READ permission"), ErrorKind::Denied);
    }

    #[test]
    fn a_page_of_another_server_makes_no_secret_vanish_and_is_not_quoted() {
        for (status, kind) in [(404, ErrorKind::Malformed), (403, ErrorKind::Denied), (302, ErrorKind::Unreachable)] {
            for page in ["", "<html>CANARY</html>", "{}", "[]", "null", r#"{"error_code":{"a":"CANARY"}}"#] {
                let error = from_reply("c", &reply(status, page));
                assert_eq!(error.kind, kind, "{status} {page}");
                assert!(!error.detail.contains("CANARY"), "{error}");
            }
        }
    }

    #[test]
    fn only_a_reading_is_refused_for_being_outside_of_a_notebook() {
        let bad = reply(400, r#"{"error_code":"BAD_REQUEST","message":"only from DBUtils"}"#);
        let error = from_reading("secrets/get of `a`", &bad);
        assert_eq!(error.kind, ErrorKind::Denied);
        assert!(error.detail.contains("notebooks"), "{error}");
        assert_eq!(from_reply("c", &bad).kind, ErrorKind::Malformed);
        assert_eq!(from_reading("c", &reply(400, "{}")).kind, ErrorKind::Malformed);
    }
}
