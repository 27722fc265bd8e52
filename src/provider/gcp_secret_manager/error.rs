//! From the client's errors to ours.
//!
//! What goes into an error's text: the service's code and message, or for a failure without an answer the
//! reasons down its chain. Never the answer itself, nor its `Debug` form, nor a parser's opinion of it: each may
//! quote a value or a token.

use std::time::Duration;

use google_cloud_auth::build_errors::Error as CredentialsBuilderError;
use google_cloud_auth::errors::CredentialsError;
use google_cloud_gax::client_builder::Error as BuilderError;
use google_cloud_gax::error::Error as CallError;
use google_cloud_gax::error::rpc::{Code, Status, StatusDetails};

use super::quoted::{code_in, without_body};
use crate::provider::text::{Cause, chain, clean, reasons};
use crate::provider::{Error, ErrorKind};

/// Why `call` (such as ``AccessSecretVersion of `db`, version `latest` ``) failed.
pub(super) fn from_call(call: &str, error: &CallError) -> Error {
    let credentials = chain(error).find_map(|cause| cause.downcast_ref::<CredentialsError>());
    if let Some(credentials) = credentials {
        let error = from_credentials(credentials);
        return Error { detail: format!("{call}: {}", error.detail), ..error };
    }
    if let Some(status) = error.status() {
        let mut answered = answered(call, status);
        answered.retry_after = retry_info(status).or_else(|| retry_after(error));
        return answered;
    }
    if let Some(status) = error.http_status_code() {
        let kind = ErrorKind::of_http_status(status).unwrap_or(ErrorKind::Malformed);
        let text = match status {
            300..=399 => {
                format!("{call}: HTTP {status}, it sends us elsewhere, where we do not follow; see endpoint_url")
            }
            _ => format!(
                "{call}: HTTP {status} with a body that is no answer of the service; is something else at that endpoint?"
            ),
        };
        return Error { retry_after: retry_after(error), ..Error::new(kind, text) };
    }
    if error.is_timeout() {
        return Error::new(ErrorKind::TimedOut, format!("{call}: no answer within the timeout"));
    }
    if error.is_connect() || error.is_io() || error.is_transport() {
        return Error::new(ErrorKind::Unreachable, format!("{call}: no answer: {}", reasons_below(error)));
    }
    if error.is_deserialization() {
        return Error::new(ErrorKind::Malformed, format!("{call}: the answer cannot be understood"));
    }
    if error.is_binding() || error.is_serialization() {
        return Error::new(ErrorKind::Malformed, format!("{call}: the request cannot be made"));
    }
    // The client's error is open; whatever it adds is not known to be an outage.
    Error::new(ErrorKind::Malformed, format!("{call}: failed in a way this hushfs does not know"))
}

fn answered(call: &str, status: &Status) -> Error {
    let mut text = format!("{call}: Google answered {}", status.code.name());
    if !status.message.is_empty() {
        text.push_str(&format!(": {}", clean(&status.message)));
    }
    Error::new(kind_of_status(status), text)
}

fn kind_of_status(status: &Status) -> ErrorKind {
    let reason = |wanted: &str| {
        let is = |detail: &StatusDetails| matches!(detail, StatusDetails::ErrorInfo(info) if info.reason == wanted);
        status.details.iter().any(is)
    };
    match status.code {
        Code::NotFound => ErrorKind::NotFound,
        // A token that was made for something else is no refusal of this secret.
        Code::PermissionDenied if reason("ACCESS_TOKEN_SCOPE_INSUFFICIENT") => ErrorKind::CredentialsRejected,
        Code::PermissionDenied => ErrorKind::Denied,
        Code::Unauthenticated => ErrorKind::CredentialsRejected,
        // `API_KEY_INVALID` and its kin are answered as a bad argument.
        Code::InvalidArgument if reason("API_KEY_INVALID") => ErrorKind::CredentialsRejected,
        Code::ResourceExhausted => ErrorKind::Throttled,
        Code::Unavailable | Code::Internal | Code::Aborted => ErrorKind::Unreachable,
        Code::DeadlineExceeded | Code::Cancelled => ErrorKind::TimedOut,
        // Also said of keys of Cloud KMS, which is no word about the version.
        Code::FailedPrecondition if is_about_a_state(&status.message) => ErrorKind::NotFound,
        // The client's enum is open; the rest are answers that none of our calls should get.
        _ => ErrorKind::Malformed,
    }
}

/// `… is in DISABLED state.`
fn is_about_a_state(message: &str) -> bool {
    let upper = message.to_ascii_uppercase();
    ["DISABLED STATE", "DESTROYED STATE", "STATE: DISABLED", "STATE: DESTROYED"].iter().any(|it| upper.contains(it))
}

fn retry_info(status: &Status) -> Option<Duration> {
    let delay = status.details.iter().find_map(|detail| match detail {
        StatusDetails::RetryInfo(info) => info.retry_delay,
        _ => None,
    })?;
    Duration::try_from(delay).ok()
}

/// `Retry-After` in seconds.
fn retry_after(error: &CallError) -> Option<Duration> {
    let value = error.http_headers()?.get(http::header::RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()))
}

/// No credentials, or the service that gives them failed: its silence is an outage, all else a refusal.
pub(super) fn from_credentials(error: &CredentialsError) -> Error {
    let why = credentials_reasons(error);
    let kind = kind_of_credentials(error);
    if kind.is_outage() {
        return Error::new(kind, format!("Google credentials cannot be had now: {why}"));
    }
    // What Google's own APIs call a refusal, and OAuth does not: of those one alone gives tokens.
    let hint = if why.contains("(PERMISSION_DENIED)") {
        "whoever takes on a service account needs roles/iam.serviceAccountTokenCreator on it"
    } else {
        "check `auth`, GOOGLE_APPLICATION_CREDENTIALS or the attached service account"
    };
    Error::new(ErrorKind::CredentialsRejected, format!("no usable Google credentials: {why}; {hint}"))
}

fn kind_of_credentials(error: &CredentialsError) -> ErrorKind {
    let status = chain(error).filter_map(|it| it.downcast_ref::<CallError>()).find_map(CallError::http_status_code);
    let outage = status.and_then(ErrorKind::of_http_status).filter(|kind| kind.is_outage());
    let lost = chain(error).filter_map(|it| it.downcast_ref::<CallError>()).any(|it| it.is_timeout());
    match outage {
        Some(kind) => kind,
        None if lost => ErrorKind::TimedOut,
        None if error.is_transient() => ErrorKind::Unreachable,
        None => ErrorKind::CredentialsRejected,
    }
}

/// The client library puts whole answers of token services into its texts; of those only the error's code is
/// taken.
fn credentials_reasons(error: &CredentialsError) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in chain(error) {
        let text = if let Some(call) = cause.downcast_ref::<CallError>() {
            match (call.http_status_code(), call.http_payload()) {
                (Some(status), Some(body)) => format!("HTTP {status}{}", code_in(&String::from_utf8_lossy(body))),
                (_, _) => continue,
            }
        } else if cause.is::<serde_json::Error>() {
            "the answer cannot be understood".to_owned()
        } else {
            let text = cause.to_string();
            match without_body(&text) {
                Some(text) => text,
                None => continue,
            }
        };
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
    }
    clean(&texts.join(": "))
}

/// Credentials that cannot even be tried. The library's own text may quote the file.
pub(super) fn from_credentials_builder(what: &str, error: &CredentialsBuilderError) -> Error {
    let why = if error.is_loading() {
        "the file that GOOGLE_APPLICATION_CREDENTIALS names cannot be read"
    } else if error.is_parsing() {
        "the file is not one of Google credentials"
    } else if error.is_missing_field() {
        "the file lacks a field"
    } else if error.is_unknown_type() || error.is_not_supported() {
        "credentials of that type are not supported"
    } else {
        "they cannot be used"
    };
    Error::new(ErrorKind::CredentialsRejected, format!("no usable Google credentials: {what}: {why}"))
}

/// A client that cannot be made.
pub(super) fn from_builder(error: &BuilderError) -> Error {
    if let Some(credentials) = chain(error).find_map(|cause| cause.downcast_ref::<CredentialsError>()) {
        return from_credentials(credentials);
    }
    if error.is_universe_domain_mismatch() {
        let text = "the credentials are of another universe domain than Google Cloud's";
        return Error::new(ErrorKind::CredentialsRejected, text);
    }
    let text = format!("the client cannot be made: {}; see endpoint_url", reasons_below(error));
    Error::new(ErrorKind::Malformed, text)
}

/// The reasons below an error whose own text repeats only the first of them.
fn reasons_below(error: Cause<'_>) -> String {
    reasons(chain(error).skip(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: Code, message: &str) -> ErrorKind {
        kind_of_status(&Status::default().set_code(code).set_message(message))
    }

    #[test]
    fn a_version_that_is_off_is_not_there_and_a_key_that_is_off_is_something_else() {
        let version = "Secret Version [projects/1/secrets/db/versions/3] is in DISABLED state.";
        assert_eq!(kind(Code::FailedPrecondition, version), ErrorKind::NotFound);
        let key = "The Cloud KMS key is disabled: projects/1/locations/global/keyRings/r/cryptoKeys/k";
        assert_eq!(kind(Code::FailedPrecondition, key), ErrorKind::Malformed);
    }

    #[test]
    fn a_service_cannot_fill_the_log() {
        let status = Status::default().set_code(Code::NotFound).set_message("long\r\n".repeat(10_000));
        let error = from_call("GetSecret of `a`", &CallError::service(status));
        assert!(error.detail.len() < 600 && !error.detail.contains('\n'), "{error}");
    }

    #[test]
    fn of_a_token_services_answer_only_the_code_is_told() {
        let text = r#"failed to fetch token, body=<{"error": "invalid_grant", "error_description":"marked"}>"#;
        let error = from_credentials(&CredentialsError::from_msg(false, text));
        assert_eq!(error.kind, ErrorKind::CredentialsRejected);
        assert!(error.detail.contains("invalid_grant") && !error.detail.contains("marked"), "{error}");
        let page = "failed, body=<<html>marked</html>>";
        assert!(!from_credentials(&CredentialsError::from_msg(true, page)).detail.contains("marked"));
    }
}
