//! An access token that somebody else keeps fresh in a file.

use std::path::{Path, PathBuf};

use google_cloud_auth::credentials::{CacheableResource, CredentialsProvider, EntityTag};
use google_cloud_auth::errors::CredentialsError;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use crate::provider::rest::{Openness, word};
use crate::provider::{Error, ErrorKind};

/// Reads the file for every call: a new token counts at once, and an old one is nowhere kept.
#[derive(Debug)]
pub(super) struct TokenFile(pub(super) PathBuf);

impl CredentialsProvider for TokenFile {
    async fn headers(&self, _extensions: Extensions) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let value = header(&self.0).await;
        let value = value.map_err(|error| CredentialsError::from_msg(error.kind.is_outage(), error.detail))?;
        let data = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        Ok(CacheableResource::New { entity_tag: EntityTag::new(), data })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

/// `Bearer` and the token. The error never quotes the file.
async fn header(path: &Path) -> Result<HeaderValue, Error> {
    let (token, _) = word("token_file", path, Openness::Private).await?;
    let line = Zeroizing::new([b"Bearer ", token.expose()].concat());
    let mut value = HeaderValue::from_bytes(&line)
        .map_err(|_| Error::new(ErrorKind::CredentialsRejected, "the token cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_file_that_is_no_token_is_refused_and_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        for text in ["", " \n", "marked one\nmarked two", "marked\u{e9}", "marked \0"] {
            std::fs::write(&path, text).unwrap();
            let error = header(&path).await.unwrap_err();
            assert!(error.kind == ErrorKind::CredentialsRejected && !error.detail.contains("marked"), "{error}");
        }
        std::fs::write(&path, "ya29.marked\n").unwrap();
        let value = header(&path).await.unwrap();
        assert_eq!(value.as_bytes(), b"Bearer ya29.marked");
        assert!(!format!("{value:?}").contains("marked"));
    }
}
