//! From the SDK's errors to ours.
//!
//! What goes into an error's text: the service's error code, message and request id, or for a failure
//! without an answer the reasons down its chain. Never the answer itself, nor its `Debug` form, nor a
//! parser's opinion of it: each may quote a value.

use std::error::Error as StdError;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::RequestId;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::ErrorMetadata;

use super::body_limit::BodyError;
use crate::provider::text::{Cause, chain, clean, reasons};
use crate::provider::{Error, ErrorKind};

/// The SDK has only a text for credentials that took too long.
const IDENTITY_TIMEOUT: &str = "identity resolver timed out";

/// Here its text quotes the whole request.
const ENDPOINT_UNUSABLE: &str = "failed to apply endpoint";

/// Why `call` (such as ``GetSecretValue of `prod/db` ``) failed.
pub(super) fn from_sdk<E>(call: &str, error: &SdkError<E, Response>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let credentials = chain(error).find_map(|cause| cause.downcast_ref::<CredentialsError>());
    if let Some(credentials) = credentials {
        return from_credentials(call, credentials);
    }
    match error {
        SdkError::ServiceError(context) => {
            let (code, message) = (context.err().code(), context.err().message());
            let status = context.raw().status().as_u16();
            let kind = kind_of_answer(code, message, status);
            let mut error = answered(call, kind, code, message, Some(status), error.request_id());
            error.retry_after = retry_after(context.raw());
            error
        }
        SdkError::ResponseError(context) => {
            let id = error.request_id().map(|id| format!(" (request {})", clean(id))).unwrap_or_default();
            match chain(error).find_map(|cause| cause.downcast_ref::<BodyError>()) {
                Some(body @ BodyError::TooLong(_)) => Error::new(ErrorKind::TooLarge, format!("{call}: {body}{id}")),
                Some(body @ BodyError::Broken(_)) => Error::new(ErrorKind::Unreachable, format!("{call}: {body}{id}")),
                None => {
                    let status = context.raw().status().as_u16();
                    let kind = ErrorKind::of_http_status(status).unwrap_or(ErrorKind::Malformed);
                    let error = answered(call, kind, None, None, Some(status), error.request_id());
                    Error { retry_after: retry_after(context.raw()), ..error }
                }
            }
        }
        SdkError::TimeoutError(_) => Error::new(ErrorKind::TimedOut, format!("{call}: no answer within the timeout")),
        SdkError::DispatchFailure(context) => {
            let why = reasons_below(error);
            if why.contains(IDENTITY_TIMEOUT) {
                return Error::new(ErrorKind::TimedOut, format!("{call}: no AWS credentials within the timeout"));
            }
            if why.contains(ENDPOINT_UNUSABLE) {
                let text = format!("{call}: the AWS configuration has an endpoint that is not a URL; see endpoint_url");
                return Error::new(ErrorKind::Malformed, text);
            }
            let kind = context.as_connector_error().map_or(ErrorKind::Unreachable, kind_of_connector);
            Error::new(kind, format!("{call}: no answer: {why}"))
        }
        SdkError::ConstructionFailure(_) => {
            Error::new(ErrorKind::Malformed, format!("{call}: the request cannot be made: {}", reasons_below(error)))
        }
        // The SDK's enum is open; whatever it adds is not known to be an outage.
        _ => Error::new(ErrorKind::Malformed, format!("{call}: failed in a way this hushfs does not know")),
    }
}

/// The failure of one of many, inside an answer that is none.
pub(super) fn from_batch_item(call: &str, code: Option<&str>, message: Option<&str>) -> Error {
    answered(call, kind_of_answer(code, message, 400), code, message, None, None)
}

/// No credentials, or the service that gives them failed: its silence is an outage, all else a refusal.
fn from_credentials(call: &str, error: &CredentialsError) -> Error {
    let (kind, why) = match chain(error).find_map(from_sts) {
        Some(sts) => (sts.kind, sts.detail),
        None => (kind_of_credentials(error), reasons(chain(error))),
    };
    if kind.is_outage() {
        return Error::new(kind, format!("{call}: AWS credentials cannot be had now: {why}"));
    }
    let hint = "check the profile, the AWS_* variables or the role";
    Error::new(ErrorKind::CredentialsRejected, format!("{call}: no usable AWS credentials: {why}; {hint}"))
}

/// What STS answered, if it was STS.
fn from_sts(cause: Cause<'_>) -> Option<Error> {
    if let Some(error) = cause.downcast_ref::<SdkError<AssumeRoleError, Response>>() {
        return Some(from_sdk("AssumeRole", error));
    }
    let error = cause.downcast_ref::<SdkError<AssumeRoleWithWebIdentityError, Response>>()?;
    Some(from_sdk("AssumeRoleWithWebIdentity", error))
}

fn kind_of_credentials(error: &CredentialsError) -> ErrorKind {
    if matches!(error, CredentialsError::ProviderTimedOut(_)) {
        return ErrorKind::TimedOut;
    }
    for cause in chain(error) {
        if let Some(connector) = cause.downcast_ref::<ConnectorError>() {
            return kind_of_connector(connector);
        }
        let kind = cause.downcast_ref::<ErrorMetadata>().and_then(ErrorMetadata::code).and_then(kind_of_code);
        if let Some(kind) = kind.filter(|kind| kind.is_outage()) {
            return kind;
        }
    }
    ErrorKind::CredentialsRejected
}

fn kind_of_connector(error: &ConnectorError) -> ErrorKind {
    if error.is_timeout() {
        ErrorKind::TimedOut
    } else if error.is_user() {
        ErrorKind::Malformed
    } else {
        ErrorKind::Unreachable
    }
}

fn kind_of_answer(code: Option<&str>, message: Option<&str>, status: u16) -> ErrorKind {
    let says = |words| message.is_some_and(|text| text.to_lowercase().contains(words));
    match code {
        // The code covers many states of a secret; only this one means that it is gone.
        Some("InvalidRequestException") if says("delet") => ErrorKind::NotFound,
        // What cannot be a name is not one.
        Some("ValidationException" | "InvalidParameterException") if says("invalid name") => ErrorKind::NotFound,
        // Parameter Store's names cannot start with aws or ssm.
        Some("ValidationException") if says("can't be prefixed") => ErrorKind::NotFound,
        _ => code.and_then(kind_of_code).or_else(|| ErrorKind::of_http_status(status)).unwrap_or(ErrorKind::Malformed),
    }
}

/// The codes of the services here, and those that every AWS service or STS may answer.
fn kind_of_code(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "ResourceNotFoundException" | "ParameterNotFound" | "ParameterVersionNotFound" => ErrorKind::NotFound,
        "AccessDeniedException"
        | "AccessDenied"
        | "DecryptionFailure"
        | "DecryptionFailureException"
        | "KMSAccessDeniedException"
        // Parameter Store's word for a key of KMS that is not there, disabled or not ours to use.
        | "InvalidKeyId" => ErrorKind::Denied,
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidClientTokenIdException"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "TokenRefreshRequired"
        | "InvalidToken"
        | "InvalidTokenException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "OptInRequired"
        | "NotAuthorized"
        | "NotAuthorizedException"
        | "AuthFailure"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "RequestInTheFuture" => ErrorKind::CredentialsRejected,
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "LimitExceeded"
        | "LimitExceededException"
        | "BandwidthLimitExceeded"
        | "TooManyUpdates"
        | "SlowDown" => ErrorKind::Throttled,
        "InternalServiceError"
        | "InternalServiceErrorException"
        | "InternalServerError"
        | "InternalFailure"
        | "InternalError"
        | "InternalException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "RegionDisabledException" => ErrorKind::Unreachable,
        "RequestTimeout" | "RequestTimeoutException" => ErrorKind::TimedOut,
        "InvalidRequestException"
        | "InvalidParameterException"
        | "InvalidParameterValue"
        | "ValidationException"
        | "ValidationError"
        | "InvalidNextTokenException"
        | "InvalidNextToken"
        | "InvalidFilterKey"
        | "InvalidFilterOption"
        | "InvalidFilterValue"
        | "UnknownOperationException"
        | "InvalidAction" => ErrorKind::Malformed,
        _ => return None,
    })
}

fn answered(
    call: &str,
    kind: ErrorKind,
    code: Option<&str>,
    message: Option<&str>,
    status: Option<u16>,
    request: Option<&str>,
) -> Error {
    let mut text = format!("{call}: AWS answered ");
    match (code, status) {
        (Some(code), _) => text.push_str(&clean(code)),
        (None, Some(status)) => text.push_str(&format!(
            "HTTP {status} with a body that is no answer of the service; is something else at that endpoint?"
        )),
        (None, None) => text.push_str("an error without a code"),
    }
    if let Some(message) = message.filter(|message| !message.is_empty()) {
        text.push_str(&format!(": {}", clean(message)));
    }
    if let Some(id) = request {
        text.push_str(&format!(" (request {})", clean(id)));
    }
    Error::new(kind, text)
}

/// `Retry-After` in seconds, or AWS's own header in milliseconds.
fn retry_after(response: &Response) -> Option<Duration> {
    let number = |name| response.headers().get(name).and_then(|text| text.trim().parse::<u32>().ok());
    let seconds = number("retry-after").map(|n| Duration::from_secs(n.into()));
    seconds.or_else(|| number("x-amz-retry-after").map(|n| Duration::from_millis(n.into())))
}

/// The reasons below an SDK error whose own text says only which stage failed.
fn reasons_below(error: Cause<'_>) -> String {
    reasons(chain(error).skip(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_marked_for_deletion_is_not_there() {
        let marked = "You can't perform this operation on the secret because it was marked for deletion.";
        assert_eq!(kind_of_answer(Some("InvalidRequestException"), Some(marked), 400), ErrorKind::NotFound);
        let managed = "The secret is managed by another service";
        assert_eq!(kind_of_answer(Some("InvalidRequestException"), Some(managed), 400), ErrorKind::Malformed);
    }

    #[test]
    fn a_code_counts_before_the_status_and_the_status_before_nothing() {
        assert_eq!(kind_of_answer(Some("ThrottlingException"), None, 400), ErrorKind::Throttled);
        assert_eq!(kind_of_answer(Some("NeverHeardOf"), None, 503), ErrorKind::Unreachable);
        assert_eq!(kind_of_answer(None, None, 429), ErrorKind::Throttled);
        assert_eq!(kind_of_answer(Some("NeverHeardOf"), None, 400), ErrorKind::Malformed);
    }

    #[test]
    fn a_service_cannot_fill_the_log() {
        let error = from_batch_item("GetSecretValue of `a`", Some("X\nY"), Some(&"long\r\n".repeat(10_000)));
        assert!(error.detail.len() < 600 && !error.detail.contains('\n'), "{error}");
    }
}
