//! A service account's key file.

use serde_json::Value;

/// # Errors
/// What is wrong with it, without quoting it.
pub(super) fn parse(text: &[u8]) -> Result<Value, String> {
    let key: Value = serde_json::from_slice(text)
        .map_err(|error| format!("not JSON, see line {}: expected the key file of a service account", error.line()))?;
    match key.get("type").and_then(Value::as_str) {
        Some("service_account") => Ok(key),
        Some(_) | None => Err("not the key file of a service account: its `type` is another".into()),
    }
}
