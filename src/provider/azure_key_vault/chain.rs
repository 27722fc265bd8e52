//! The credentials of a machine, where nothing says which are meant: the first that gives a token.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::{Error as AzureError, ErrorKind as AzureKind};

use super::error;
use crate::provider::{Error, ErrorKind};

#[derive(Debug)]
pub(super) struct Chain {
    links: Vec<Link>,
    /// The one that answered; past the end for none yet.
    found: AtomicUsize,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) name: &'static str,
    /// How long it is waited for, before the next is tried.
    pub(super) patience: Duration,
    pub(super) credential: Arc<dyn TokenCredential>,
}

impl Chain {
    pub(super) fn new(links: Vec<Link>) -> Self {
        Self { links, found: AtomicUsize::new(usize::MAX) }
    }
}

#[async_trait]
impl TokenCredential for Chain {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        if let Some(link) = self.links.get(self.found.load(Ordering::Relaxed)) {
            return link.credential.get_token(scopes, options).await;
        }
        let mut passed = Vec::new();
        for (at, Link { name, patience, credential }) in self.links.iter().enumerate() {
            match tokio::time::timeout(*patience, credential.get_token(scopes, options.clone())).await {
                Ok(Ok(token)) => {
                    self.found.store(at, Ordering::Relaxed);
                    return Ok(token);
                }
                Ok(Err(error)) => passed.push(error::from_credential(name, &error).detail),
                Err(_) => passed.push(format!("{name}: no answer")),
            }
        }
        let text = format!("no credentials for Azure: {}", passed.join("; "));
        Err(AzureError::new(AzureKind::Other, Error::new(ErrorKind::CredentialsRejected, text)))
    }
}
