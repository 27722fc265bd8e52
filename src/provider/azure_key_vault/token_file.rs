//! A token that a platform puts into a file, as Kubernetes does, to be exchanged for one of Azure's.

use std::path::PathBuf;

use async_trait::async_trait;
use azure_core::error::{Error as AzureError, ErrorKind as AzureKind};
use azure_core::http::ClientMethodOptions;
use azure_identity::ClientAssertion;

use crate::provider::rest::{Openness, word};

/// Reads the file for every exchange; Azure's own keeps it for ten minutes, and it may live for less.
#[derive(Debug)]
pub(super) struct TokenFile(pub(super) PathBuf);

#[async_trait]
impl ClientAssertion for TokenFile {
    async fn secret(&self, _options: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        let read = word("token_file", &self.0, Openness::Any).await;
        let (token, _) = read.map_err(|error| AzureError::new(AzureKind::Other, error))?;
        // One word of visible ASCII.
        Ok(String::from_utf8_lossy(token.expose()).into_owned())
    }
}
