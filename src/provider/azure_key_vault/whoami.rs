//! Who Azure takes us for, as our token says: Key Vault has no such question.

use azure_security_keyvault_secrets::models::SecretClientListSecretPropertiesOptions;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::TryStreamExt as _;
use serde::Deserialize;

use super::{Shared, session};
use crate::provider::rest::{clean, object};
use crate::provider::{Error, ErrorKind};

/// Claims have a few thousand characters.
const LONGEST: usize = 64 << 10;

/// Lists one secret, for the vault says what kind of token it wants; whether it lets us list is another question.
pub(super) async fn whoami(shared: &Shared) -> Result<String, Error> {
    let who = session::ask(shared, "GetSecrets", |session| async move {
        let options = SecretClientListSecretPropertiesOptions { maxresults: Some(1), ..Default::default() };
        let who = || session.credential.bearer().unwrap_or_else(|| session.credential.whose().to_owned());
        match session.client.list_secret_properties(Some(options))?.into_pages().try_next().await {
            Ok(_) => Ok(who()),
            Err(error) if super::error::from_call("GetSecrets", &error).kind == ErrorKind::Denied => Ok(who()),
            Err(error) => Err(error),
        }
    });
    Ok(format!("{} at {}", who.await?, shared.vault.url()))
}

/// From the claims in a token. Nobody checks the token's signature here: it is for people to read.
pub(super) fn of_token(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        #[serde(alias = "azp")]
        appid: Option<String>,
        oid: Option<String>,
        tid: Option<String>,
        #[serde(alias = "unique_name")]
        upn: Option<String>,
    }
    let claims = token.split('.').nth(1).filter(|claims| claims.len() <= LONGEST)?;
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let Claims { appid, oid, tid, upn } = object(&claims)?;
    let parts = [("user", upn), ("application", appid), ("object", oid), ("tenant", tid)];
    let told: Vec<String> = parts.into_iter().filter_map(|(what, id)| Some(format!("{what} {}", id?))).collect();
    (!told.is_empty()).then(|| clean(&told.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(claims: &str) -> Option<String> {
        of_token(&format!("head.{}.signature", URL_SAFE_NO_PAD.encode(claims)))
    }

    #[test]
    fn a_token_says_whose_it_is() {
        let told = of(r#"{"appid":"app-1","oid":"obj-1","tid":"tenant-1","aud":"https://vault.azure.net","x":[1]}"#);
        assert_eq!(told.as_deref(), Some("application app-1, object obj-1, tenant tenant-1"));
        assert_eq!(of(r#"{"upn":"a@example.com\n"}"#).as_deref(), Some("user a@example.com "));
        for odd in ["", "{}", "[]", "null", r#"{"oid":1}"#] {
            assert_eq!(of(odd), None, "{odd}");
        }
        for odd in ["", "opaque", "..", "a.!.c"] {
            assert_eq!(of_token(odd), None, "{odd}");
        }
    }
}
