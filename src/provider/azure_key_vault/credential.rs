//! What the vault's client gets its tokens from.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::{Error as AzureError, ErrorKind as AzureKind};

use super::{error, vault, whoami};
use crate::provider::rest::clean;
use crate::provider::{Error, ErrorKind};

/// Another credential, whose failures are in our words, and which asks for tokens of vaults only.
pub(super) struct Credential {
    inner: Arc<dyn TokenCredential>,
    /// Whose, in an operator's words, such as ``the client secret in FILE``.
    whose: String,
    /// Who the last token is of.
    bearer: Mutex<Option<String>>,
}

impl Credential {
    pub(super) fn new(inner: Arc<dyn TokenCredential>, whose: String) -> Self {
        Self { inner, whose, bearer: Mutex::new(None) }
    }

    /// None before there was a token that says it.
    pub(super) fn bearer(&self) -> Option<String> {
        self.bearer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn whose(&self) -> &str {
        &self.whose
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential")
    }
}

#[async_trait]
impl TokenCredential for Credential {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        if let Some(scope) = scopes.iter().find(|scope| !vault::is_of_vaults(scope)) {
            let text =
                format!("it asks for a token for `{}`, which is no vault's: is `vault_url` right?", clean(scope));
            return Err(AzureError::new(AzureKind::Other, Error::new(ErrorKind::Malformed, text)));
        }
        let token = self.inner.get_token(scopes, options).await.map_err(|error| {
            AzureError::new(AzureKind::Other, error::from_credential(&format!("Azure: {}", self.whose), &error))
        })?;
        *self.bearer.lock().unwrap_or_else(PoisonError::into_inner) = whoami::of_token(token.token.secret());
        Ok(token)
    }
}
