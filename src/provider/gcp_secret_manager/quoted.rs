//! What the client library's texts quote of a token service's answer, which may have a token: of that only the error's code
//! is told.

/// What the library says without the answer; None where nothing is left.
pub(super) fn without_body(text: &str) -> Option<String> {
    // Ours is the word on whether to try again.
    let text = text.replace(" and future attempts will not succeed", "");
    let text = text.replace(" but future attempts may succeed", "");
    match text.split_once(", body=<") {
        Some((before, body)) => Some(format!("{before}{}", code_in(body))),
        None if text.contains("HTTP transport reports") => None,
        None => Some(text),
    }
}

/// ` (invalid_grant)`: the `error` of an OAuth answer, or the `status` of one of Google's.
pub(super) fn code_in(body: &str) -> String {
    for key in ["\"status\"", "\"error\""] {
        let Some((_, rest)) = body.split_once(key) else { continue };
        let rest = rest.trim_start_matches([':', ' ']);
        let Some(rest) = rest.strip_prefix('"') else { continue };
        let code = rest.split('"').next().unwrap_or_default();
        if (1..=60).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_') {
            return format!(" ({code})");
        }
    }
    String::new()
}
