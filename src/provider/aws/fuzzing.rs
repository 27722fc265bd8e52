//! What a service of AWS, or something else in its place, answers.

use aws_sdk_sts::error::{ErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_smithy_runtime_api::http::{Response, StatusCode};
use aws_smithy_types::body::SdkBody;

use super::error::{from_batch_item, from_sdk};
use super::iam::fuzzing::iam;
use super::parameter_store::fuzzing::parameters;
use crate::fuzzing::{choice, is_told_in_one_line};
use crate::provider::ErrorKind;

/// Nothing that is answered does harm, and what a service says is told in one line.
pub fn aws(bytes: &[u8]) {
    iam(bytes);
    let (first, body) = choice(bytes);
    let text = String::from_utf8_lossy(body);
    parameters(&text);
    refused(first, &text);
}

/// A code, and behind a newline what is said of it; each may be missing.
fn refused(first: u8, text: &str) {
    let (code, message) = text.split_once('\n').unwrap_or((text, ""));
    let (code, message) = (Some(code).filter(|it| !it.is_empty()), Some(message).filter(|it| !it.is_empty()));
    let item = from_batch_item("GetSecretValue of `a`", code, message);
    // Of a single one of many: whatever is said, it is an answer.
    assert!(item.kind != ErrorKind::TooLarge && item.retry_after.is_none());
    let _ = is_told_in_one_line::<()>(Err(item));
    let mut metadata = ErrorMetadata::builder();
    if let Some(code) = code {
        metadata = metadata.code(code);
    }
    if let Some(message) = message {
        metadata = metadata.message(message);
    }
    let error = SdkError::service_error(AssumeRoleError::generic(metadata.build()), reply(first, text, text));
    let _ = is_told_in_one_line::<()>(Err(from_sdk("AssumeRole", &error)));
    // The body and the parser's own words may quote a value.
    let marked = format!("marked {text}");
    let raw = reply(first, "7", &marked);
    let error: SdkError<AssumeRoleError, Response> = SdkError::response_error(marked, raw);
    let error = from_sdk("AssumeRole", &error);
    assert!(!error.detail.contains("marked"), "{}", error.detail);
    let _ = is_told_in_one_line::<()>(Err(error));
}

fn reply(first: u8, header: &str, body: &str) -> Response {
    let status: u16 = [400, 401, 403, 404, 429, 500, 503, 302][usize::from(first % 8)];
    let mut reply = Response::new(StatusCode::try_from(status).expect("a status"), SdkBody::from(body));
    for name in ["retry-after", "x-amz-retry-after", "x-amzn-requestid"] {
        // What cannot be a header is none.
        let _ = reply.headers_mut().try_insert(name, header.to_owned());
    }
    reply
}
