//! From Azure's answers, and its clients' errors, to our errors.
//!
//! What goes into an error's text: the status, and the codes and message of Azure's own errors. Never the answer
//! itself, nor a parser's opinion of it: each may quote a value or a token.

use std::error::Error as StdError;
use std::time::Duration;

use azure_core::error::{Error as AzureError, ErrorKind as AzureKind};
use azure_core::http::RawResponse;
use azure_core::http::headers::HeaderName;
use serde::Deserialize;

use crate::provider::rest::{Reply, clean, object};
use crate::provider::text::{chain, reasons};
use crate::provider::{Error, ErrorKind};

/// Why `call` (such as ``GetSecret of `db` ``) failed.
pub(super) fn from_call(call: &str, error: &AzureError) -> Error {
    if let Some(ours) = ours(error) {
        return Error { detail: format!("{call}: {}", ours.detail), ..ours.clone() };
    }
    match error.kind() {
        AzureKind::HttpResponse { status, raw_response, .. } => {
            answered(call, u16::from(*status), raw_response.as_deref())
        }
        AzureKind::Credential => from_credential(call, error),
        AzureKind::Connection | AzureKind::Io => {
            Error::new(ErrorKind::Unreachable, format!("{call}: no answer: {}", reasons(chain(error))))
        }
        AzureKind::DataConversion => not_understood(call),
        AzureKind::Other if error.source().is_none() => {
            // The client's own sentences, such as that a challenge does not fit the vault.
            Error::new(ErrorKind::Malformed, format!("{call}: {}", clean(&error.to_string())))
        }
        // The client's enum is open; whatever it adds is not known to be an outage.
        _ => Error::new(ErrorKind::Malformed, format!("{call}: failed in a way this hushfs does not know")),
    }
}

/// Our own error, where one of our parts began it.
fn ours(error: &AzureError) -> Option<&Error> {
    if let Some(ours) = error.downcast_ref::<Error>() {
        return Some(ours);
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(ours) = error.downcast_ref::<Error>() {
            return Some(ours);
        }
        if let Some(inner) = error.downcast_ref::<AzureError>().and_then(AzureError::downcast_ref::<Error>) {
            return Some(inner);
        }
        cause = error.source();
    }
    None
}

/// No credentials, or the service that gives them failed. `what` says which.
pub(super) fn from_credential(what: &str, error: &AzureError) -> Error {
    if let Some(ours) = ours(error) {
        return Error { detail: format!("{what}: {}", ours.detail), ..ours.clone() };
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        // Its text may have the token.
        let converts = |error: &AzureError| matches!(error.kind(), AzureKind::DataConversion);
        if error.is::<serde_json::Error>() || error.downcast_ref::<AzureError>().is_some_and(converts) {
            return Error::new(ErrorKind::CredentialsRejected, format!("{what}: what it answers is no token"));
        }
        cause = error.source();
    }
    let text = error.to_string();
    let told = text.split("\nTo troubleshoot").next().unwrap_or_default();
    Error::new(ErrorKind::CredentialsRejected, format!("{what}: {}", clean(told)))
}

/// A success that cannot be understood. Its text has none of the answer.
pub(super) fn not_understood(call: &str) -> Error {
    let text = format!("{call}: the answer is not what Azure answers; is something else at that address?");
    Error::new(ErrorKind::Malformed, text)
}

/// An error as Key Vault writes it.
#[derive(Deserialize)]
struct Complaint {
    code: String,
    #[serde(default)]
    message: String,
    innererror: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    code: Option<String>,
}

fn complaint(body: &[u8]) -> Option<Complaint> {
    #[derive(Deserialize)]
    struct Written {
        error: Complaint,
    }
    object::<Written>(body).map(|written| written.error)
}

pub(super) fn answered(call: &str, status: u16, answer: Option<&RawResponse>) -> Error {
    let complaint = answer.and_then(|answer| complaint(answer.body()));
    let mut text = format!("{call}: Key Vault answered HTTP {status}");
    match &complaint {
        Some(Complaint { code, message, innererror }) => {
            let inner = innererror.as_ref().and_then(|inner| inner.code.as_deref());
            let parts = [Some(code.as_str()), inner.filter(|inner| inner != code), Some(message)];
            for part in parts.into_iter().flatten().filter(|part| !part.is_empty()) {
                text.push_str(&format!(": {}", clean(part)));
            }
        }
        None if (300..400).contains(&status) => {
            text.push_str(", it sends us elsewhere, where the token does not follow; is `vault_url` right?");
        }
        None => text.push_str(" with a body that is no answer of its API; is something else at `vault_url`?"),
    }
    let mut error = Error::new(kind_of(status, complaint.as_ref()), text);
    let wait = answer.and_then(|it| it.headers().get_optional_str(&HeaderName::from_static("retry-after")));
    error.retry_after = wait.and_then(|it| it.trim().parse::<u32>().ok()).map(|it| Duration::from_secs(it.into()));
    error
}

fn kind_of(status: u16, complaint: Option<&Complaint>) -> ErrorKind {
    match (status, complaint) {
        (401, _) => ErrorKind::CredentialsRejected,
        (403, _) => ErrorKind::Denied,
        // Anybody's page would make every secret vanish.
        (404, Some(complaint)) if complaint.code.ends_with("NotFound") => ErrorKind::NotFound,
        (408, _) => ErrorKind::TimedOut,
        (429, _) => ErrorKind::Throttled,
        (300..=399 | 500..=599, _) => ErrorKind::Unreachable,
        _ => ErrorKind::Malformed,
    }
}

/// What gives tokens gave none. Microsoft Entra ID says why in OAuth's form, App Service in its own.
pub(super) fn no_token(place: &str, reply: &Reply) -> Error {
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(alias = "code")]
        error: Option<String>,
        #[serde(alias = "message")]
        error_description: Option<String>,
    }
    let kind = match reply.status {
        408 => ErrorKind::TimedOut,
        429 => ErrorKind::Throttled,
        300..=399 | 500..=599 => ErrorKind::Unreachable,
        _ => ErrorKind::CredentialsRejected,
    };
    let mut text = format!("{place} gives no token: HTTP {}", reply.status);
    match object::<Refusal>(&reply.body) {
        Some(Refusal { error, error_description }) => {
            for part in [error, error_description].into_iter().flatten() {
                text.push_str(&format!(": {}", clean(part.lines().next().unwrap_or_default())));
            }
        }
        None => text.push_str(" with a body that is no answer of a token service"),
    }
    Error { retry_after: reply.wait(), ..Error::new(kind, text) }
}

#[cfg(test)]
mod tests {
    use azure_core::http::StatusCode;
    use azure_core::http::headers::Headers;
    use zeroize::Zeroizing;

    use super::*;

    fn told(status: u16, body: &str) -> Error {
        let mut headers = Headers::new();
        headers.insert(HeaderName::from_static("retry-after"), "7");
        answered("c", status, Some(&RawResponse::from_bytes(StatusCode::from(status), headers, body.to_owned())))
    }

    #[test]
    fn what_key_vault_refuses_is_told_with_its_inner_code() {
        let body = r#"{"error":{"code":"Forbidden","message":"not allowed","innererror":{"code":"SecretDisabled"}}}"#;
        let error = told(403, body);
        assert_eq!(error.kind, ErrorKind::Denied);
        assert!(error.detail.contains("Forbidden: SecretDisabled: not allowed"), "{error}");
    }

    #[test]
    fn a_page_of_another_server_makes_no_secret_vanish_and_is_not_quoted() {
        assert_eq!(told(404, r#"{"error":{"code":"SecretNotFound","message":"m"}}"#).kind, ErrorKind::NotFound);
        for page in ["", "<html>CANARY</html>", "{}", "[]", "null", r#"{"error":"CANARY"}"#] {
            let error = told(404, page);
            assert!(error.kind == ErrorKind::Malformed && !error.detail.contains("CANARY"), "{error}");
        }
        assert_eq!(told(429, "").retry_after, Some(Duration::from_secs(7)));
        assert_eq!(told(429, "").kind, ErrorKind::Throttled);
        assert_eq!(told(503, "<html>").kind, ErrorKind::Unreachable);
        assert_eq!(told(302, "").kind, ErrorKind::Unreachable);
        assert_eq!(told(401, "").kind, ErrorKind::CredentialsRejected);
        assert_eq!(told(400, "").kind, ErrorKind::Malformed);
    }

    #[test]
    fn a_token_services_refusal_and_its_outage_are_told_apart() {
        let of = |status, body: &str| {
            let body = Zeroizing::new(body.as_bytes().to_vec());
            no_token("login", &Reply { status, retry_after: None, location: None, challenge: None, body })
        };
        let body = r#"{"error":"invalid_client","error_description":"AADSTS7000215: wrong\r\nTrace ID: 1"}"#;
        let error = of(401, body);
        assert_eq!(error.kind, ErrorKind::CredentialsRejected);
        assert!(error.detail.ends_with("invalid_client: AADSTS7000215: wrong"), "{error}");
        assert_eq!(of(503, "CANARY").kind, ErrorKind::Unreachable);
        assert!(!of(400, "CANARY").detail.contains("CANARY"));
    }
}
