//! What AppRole's role logs in with: a secret id, which may have come wrapped.

use std::path::Path;

use serde::Deserialize;
use vaultrs::api::sys::requests::UnwrapRequest;

use super::auth::text;
use super::transport::Transport;
use super::{error, value};
use crate::provider::rest::{self, Openness};
use crate::provider::{Error, ErrorKind};
use crate::secret::Secret;

/// A secret id that came wrapped: its wrapping token has been used up, so it is kept for the next login.
pub(super) struct Unwrapped {
    wrapping_token: Secret,
    secret_id: Secret,
}

/// The one that the file holds, or that is wrapped by the token that it holds.
pub(super) async fn read(
    transport: &Transport,
    file: &Path,
    wrapped: bool,
    unwrapped: &mut Option<Unwrapped>,
) -> Result<String, Error> {
    let (written, _) = rest::word("secret_id_file", file, Openness::Private).await?;
    if !wrapped {
        return Ok(text(written.expose()));
    }
    if unwrapped.as_ref().is_none_or(|it| it.wrapping_token.expose() != written.expose()) {
        let secret_id = unwrap(transport, &written, file).await?;
        *unwrapped = Some(Unwrapped { wrapping_token: written, secret_id });
    }
    Ok(text(unwrapped.as_ref().map_or(&[], |it| it.secret_id.expose())))
}

async fn unwrap(transport: &Transport, wrapping_token: &Secret, file: &Path) -> Result<Secret, Error> {
    #[derive(Deserialize)]
    struct Wrapped {
        secret_id: String,
    }
    let call = "unwrapping of the secret id";
    let reply = transport.ask(call, Some(wrapping_token), UnwrapRequest { token: None }).await?;
    if matches!(reply.status, 400 | 403 | 404) {
        let text = format!(
            "{call}: Vault does not take the wrapping token in secret_id_file {}: it can be used once, and within \
             its time only. If nobody of yours has used it, somebody else has: destroy that secret id. Then put a \
             new one there (bao write -wrap-ttl=5m -f auth/approle/role/ROLE/secret-id)",
            file.display()
        );
        return Err(Error::new(ErrorKind::CredentialsRejected, text));
    }
    if !reply.is_success() {
        return Err(error::from_reply(call, &reply));
    }
    let wrapped: Wrapped = value::data(call, &reply.body)?;
    match rest::as_word(wrapped.secret_id.as_bytes()) {
        Some(word) => Ok(Secret::copy_from(word)?),
        None => Err(Error::new(ErrorKind::CredentialsRejected, format!("{call}: what was wrapped is no secret id"))),
    }
}
