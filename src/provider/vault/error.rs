//! From Vault's answers to our errors.
//!
//! What goes into an error's text: the status and the messages of Vault's own `errors`. Never the answer itself, nor
//! vaultrs' error, nor a parser's opinion of it: each may quote a value.

use rustify::errors::ClientError;
use vaultrs::api::EndpointError;

use crate::provider::rest::{Reply, clean, object};
use crate::provider::{Error, ErrorKind};

/// A request that cannot even be made. vaultrs' own error may quote it.
pub(super) fn unmade(call: &str, error: &ClientError) -> Error {
    let what = match error {
        ClientError::UrlBuildError { .. } | ClientError::UrlParseError { .. } => "the address is no URL",
        ClientError::UrlQueryParseError { .. } => "its query",
        ClientError::DataParseError { .. } => "its body",
        ClientError::EndpointBuildError { .. }
        | ClientError::RequestBuildError { .. }
        | ClientError::ReqwestBuildError { .. } => "it is no HTTP request",
        // Not among what making a request gives.
        ClientError::GenericError { .. }
        | ClientError::RequestError { .. }
        | ClientError::ResponseError { .. }
        | ClientError::ResponseConversionError { .. }
        | ClientError::ResponseParseError { .. }
        | ClientError::ServerResponseError { .. } => "an error of the client",
    };
    Error::new(ErrorKind::Malformed, format!("{call}: the request cannot be made: {what}"))
}

/// What Vault and OpenBao say where there is no such mount or namespace.
const NOWHERE: [&str; 3] = ["no handler for route", "route entry not found", "namespace not found"];

/// What a reply means that is not a success.
pub(super) fn from_reply(call: &str, reply: &Reply) -> Error {
    let (messages, is_vaults) = messages(reply);
    let says = |words: &str| messages.contains(words);
    let (kind, state) = match reply.status {
        // Not that of a secret: to take it for one would make a whole scope vanish over a misspelt setting.
        404 if NOWHERE.iter().any(|words| says(words)) => (ErrorKind::Malformed, "see `mount` and `namespace`"),
        // Vault's own have a body that says so; anybody's page would make every secret vanish.
        404 if is_vaults => (ErrorKind::NotFound, ""),
        401 | 403 => (ErrorKind::Denied, ""),
        408 => (ErrorKind::TimedOut, ""),
        412 => (ErrorKind::Unreachable, "this node has not caught up with the others"),
        429 => (ErrorKind::Throttled, ""),
        472 => (ErrorKind::Unreachable, "this node is a standby for disaster recovery"),
        473 => (ErrorKind::Unreachable, "this node is a performance standby"),
        503 if says("sealed") => (ErrorKind::Unreachable, "it is sealed; unseal it"),
        500..=599 => (ErrorKind::Unreachable, ""),
        300..=399 => {
            let text = "this node is a standby that sends us to the active one, and the token does not follow; let it \
                        forward requests, or set `address` to that of the active node";
            (ErrorKind::Unreachable, text)
        }
        _ => (ErrorKind::Malformed, ""),
    };
    let mut text = format!("{call}: Vault answered HTTP {}", reply.status);
    if !state.is_empty() {
        text.push_str(&format!(" ({state})"));
    }
    // What comes after the path may be anybody's secret.
    let location = reply.location.as_deref().and_then(|it| it.split(['?', '#']).next());
    if let Some(location) = location.filter(|_| (300..=399).contains(&reply.status)) {
        text.push_str(&format!(", to {}", clean(location)));
    }
    if is_vaults {
        if !messages.is_empty() {
            text.push_str(&format!(": {messages}"));
        }
    } else {
        text.push_str(" with a body that is no answer of Vault's; is something else at that address?");
    }
    Error { retry_after: reply.wait(), ..Error::new(kind, text) }
}

/// A success that cannot be understood. Its text has none of the answer.
pub(super) fn not_understood(call: &str) -> Error {
    let text = format!("{call}: the answer is not what Vault answers; is something else at that address?");
    Error::new(ErrorKind::Malformed, text)
}

/// Vault's messages in one line; and is the body Vault's at all?
fn messages(reply: &Reply) -> (String, bool) {
    match object(&reply.body) {
        Some(EndpointError { errors }) => {
            let words = errors.join("; ");
            (clean(&words.split_whitespace().collect::<Vec<_>>().join(" ")), true)
        }
        None => (String::new(), super::value::is_envelope(&reply.body)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use zeroize::Zeroizing;

    use super::*;

    fn reply(status: u16, body: &str) -> Error {
        let body = Zeroizing::new(body.as_bytes().to_vec());
        from_reply(
            "read of `a`",
            &Reply { status, retry_after: Some("7".into()), location: None, challenge: None, body },
        )
    }

    #[test]
    fn every_status_has_its_kind_and_the_wait_that_was_asked_for() {
        let none = r#"{"errors":[]}"#;
        for (status, kind) in [
            (400, ErrorKind::Malformed),
            (403, ErrorKind::Denied),
            (404, ErrorKind::NotFound),
            (405, ErrorKind::Malformed),
            (408, ErrorKind::TimedOut),
            (412, ErrorKind::Unreachable),
            (429, ErrorKind::Throttled),
            (472, ErrorKind::Unreachable),
            (473, ErrorKind::Unreachable),
            (500, ErrorKind::Unreachable),
            (503, ErrorKind::Unreachable),
            (307, ErrorKind::Unreachable),
            (100, ErrorKind::Malformed),
        ] {
            let error = reply(status, none);
            assert_eq!(error.kind, kind, "{status}");
            assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        }
    }

    #[test]
    fn the_state_of_a_server_that_does_not_serve_is_named() {
        assert!(reply(503, r#"{"errors":["Vault is sealed"]}"#).detail.contains("sealed; unseal it"));
        assert!(reply(472, "").detail.contains("disaster recovery"));
        assert!(reply(473, "").detail.contains("performance standby"));
    }

    #[test]
    fn a_page_of_another_server_makes_no_secret_vanish() {
        for page in ["", "<html>not here</html>", "{}", "[]", "null"] {
            let error = reply(404, page);
            assert_eq!(error.kind, ErrorKind::Malformed, "{page}");
            assert!(!error.detail.contains("html"), "{error}");
        }
    }

    #[test]
    fn a_server_cannot_fill_the_log() {
        let long = format!(r#"{{"errors":["{}"]}}"#, r"long\r\n".repeat(10_000));
        let error = reply(400, &long);
        assert!(error.detail.len() < 600 && !error.detail.contains('\n'), "{error}");
    }
}
