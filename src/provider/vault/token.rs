//! A token that somebody else got for us.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::auth::Granted;
use crate::provider::rest::{self, Openness};
use crate::provider::{Error, ErrorKind};
use crate::secret::Secret;

/// The one in the file that is set; else in `VAULT_TOKEN`; else in `~/.vault-token`.
pub(super) async fn find(file: Option<&Path>) -> Result<Granted, Error> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".vault-token"));
    let path = match file {
        Some(path) => path.to_owned(),
        None => {
            if let Some(value) = std::env::var_os("VAULT_TOKEN").filter(|value| !value.is_empty()) {
                let value = Zeroizing::new(value.into_encoded_bytes());
                let word = rest::as_word(&value).ok_or_else(|| {
                    Error::new(ErrorKind::CredentialsRejected, "VAULT_TOKEN holds something that can be no token")
                })?;
                return Ok(Granted { token: Secret::copy_from(word)?, lease: None, file: None });
            }
            match home() {
                Some(path) if rest::stamp(&path).await.is_some() => path,
                Some(_) | None => {
                    let text = "no Vault token: set `auth` in the scope, VAULT_TOKEN, or log in with `bao login` or \
                                `vault login`, which write ~/.vault-token";
                    return Err(Error::new(ErrorKind::CredentialsRejected, text));
                }
            }
        }
    };
    let what = if file.is_some() { "token_file" } else { "the token file" };
    let (token, stamp) = rest::word(what, &path, Openness::Private).await?;
    Ok(Granted { token, lease: None, file: Some((path, Some(stamp))) })
}
