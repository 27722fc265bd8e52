//! An access token that somebody else keeps fresh in a file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use google_cloud_auth::credentials::{CacheableResource, CredentialsProvider, EntityTag};
use google_cloud_auth::errors::CredentialsError;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderValue};
use zeroize::Zeroizing;

/// Tokens have a few hundred bytes.
const LARGEST: u64 = 64 << 10;

/// Reads the file for every call: a new token counts at once, and an old one is nowhere kept.
#[derive(Debug)]
pub(super) struct TokenFile(pub(super) PathBuf);

impl CredentialsProvider for TokenFile {
    async fn headers(&self, _extensions: Extensions) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let path = self.0.clone();
        let read = tokio::task::spawn_blocking(move || header(&path)).await;
        let value = read
            .map_err(|_| CredentialsError::from_msg(true, "reading token_file was given up"))?
            .map_err(|why| CredentialsError::from_msg(false, format!("token_file {}: {why}", self.0.display())))?;
        let data = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        Ok(CacheableResource::New { entity_tag: EntityTag::new(), data })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

/// `Bearer` and the token. The error never quotes the file.
fn header(path: &Path) -> Result<HeaderValue, String> {
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(LARGEST).read_to_string(&mut text).map_err(|error| error.to_string())?;
    let token = text.trim();
    if token.is_empty() {
        return Err("the file is empty".to_owned());
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the file holds something else than one access token".to_owned());
    }
    let line = Zeroizing::new(format!("Bearer {token}"));
    let mut value = HeaderValue::from_str(&line).map_err(|_| "the token cannot be sent".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_token_is_refused_and_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for text in ["", " \n", "marked one\nmarked two", "marked\u{e9}", "marked \0"] {
            std::fs::write(&path, text).unwrap();
            let error = header(&path).unwrap_err();
            assert!(!error.contains("marked"), "{error}");
        }
        std::fs::write(&path, "ya29.marked\n").unwrap();
        let value = header(&path).unwrap();
        assert_eq!(value.as_bytes(), b"Bearer ya29.marked");
        assert!(!format!("{value:?}").contains("marked"));
    }
}
