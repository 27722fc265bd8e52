//! What a vault, or something else in its place, answers.

use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::{RawResponse, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::answered;
use super::names::{is_possible, parts};
use super::transport::{What, is_answer};
use super::whoami::of_token;
use crate::fuzzing::{choice, is_told_in_one_line};

/// Nothing that is answered does harm, and what a server says is told in one line.
pub fn azure(bytes: &[u8]) {
    let (first, body) = choice(bytes);
    let status: u16 = [400, 401, 403, 404, 429, 500, 503, 302][usize::from(first % 8)];
    let mut headers = Headers::new();
    headers.insert(HeaderName::from_static("retry-after"), String::from_utf8_lossy(body).into_owned());
    let answer = RawResponse::from_bytes(StatusCode::from(status), headers, body.to_vec());
    let _ = is_told_in_one_line::<()>(Err(answered("get", status, Some(&answer))));
    if is_answer(&What::Vault(String::new()), body) {
        assert!(is_answer(&What::Tokens, body));
    }
    let id = std::str::from_utf8(body).ok().and_then(parts);
    assert!(id.is_none_or(|(name, _)| is_possible(&name)));
    let claims = [String::from_utf8_lossy(body).into_owned(), format!("a.{}.c", URL_SAFE_NO_PAD.encode(body))];
    for who in claims.iter().filter_map(|token| of_token(token)) {
        assert!(!who.is_empty() && !who.contains(char::is_control) && who.chars().count() <= 400, "{who:?}");
    }
}
