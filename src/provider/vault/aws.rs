//! The auth method `aws`, of the type `iam`: the server shows STS a request that we have signed, and learns who we are.

use std::time::Duration;

use rustify_derive::Endpoint;

use crate::provider::Error;

#[derive(Endpoint)]
#[endpoint(path = "auth/{self.mount}/login", method = "POST")]
pub(super) struct LoginRequest {
    #[endpoint(skip)]
    mount: String,
    role: String,
    iam_http_request_method: &'static str,
    /// This and what follows is in base64; the headers are an object, each with a list of values.
    iam_request_url: String,
    iam_request_body: String,
    iam_request_headers: String,
}

/// The header that binds the proof to one server, so that no other one can use it.
#[cfg(feature = "aws")]
const SERVER_ID: &str = "x-vault-aws-iam-server-id";

#[cfg(feature = "aws")]
pub(super) async fn login(
    mount: &str,
    role: &str,
    region: Option<&str>,
    server_id: Option<&str>,
    deadline: Duration,
) -> Result<LoginRequest, Error> {
    use std::collections::BTreeMap;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use crate::provider::ErrorKind;
    use crate::provider::aws::caller_identity::prove;

    let proof = prove(region, server_id.map(|value| (SERVER_ID, value)), deadline).await?;
    let headers: BTreeMap<&str, [&str; 1]> =
        proof.headers.iter().map(|(name, value)| (name.as_str(), [value.as_str()])).collect();
    let headers = serde_json::to_vec(&headers)
        .map_err(|_| Error::new(ErrorKind::Malformed, "AWS login: the headers cannot be written"))?;
    Ok(LoginRequest {
        mount: mount.to_owned(),
        role: role.to_owned(),
        iam_http_request_method: "POST",
        iam_request_url: STANDARD.encode(proof.url),
        iam_request_body: STANDARD.encode(proof.body),
        iam_request_headers: STANDARD.encode(headers),
    })
}

#[cfg(not(feature = "aws"))]
pub(super) async fn login(
    _: &str,
    _: &str,
    _: Option<&str>,
    _: Option<&str>,
    _: Duration,
) -> Result<LoginRequest, Error> {
    Err(not_built_in())
}

/// The configuration refuses the method in such a build already.
#[cfg(any(test, not(feature = "aws")))]
fn not_built_in() -> Error {
    let text = "this hushfs was built without the feature `aws`, which the method \"aws\" needs";
    Error::new(crate::provider::ErrorKind::Malformed, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_aws_says_so_and_is_no_outage() {
        let error = not_built_in();
        assert!(error.detail.contains("without the feature `aws`") && !error.kind.is_outage(), "{error}");
    }
}
