//! Who Vault takes us for.

use std::sync::Arc;

use serde::Deserialize;
use vaultrs::api::token::requests::LookupTokenSelfRequest;

use super::{Shared, session, value};
use crate::provider::Error;
use crate::provider::rest::clean;

/// The token's display name and its policies; never the token.
pub(super) async fn whoami(shared: &Arc<Shared>) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Token {
        display_name: String,
        #[serde(default)]
        policies: Vec<String>,
        identity_policies: Option<Vec<String>>,
    }
    let call = "auth/token/lookup-self";
    let reply = session::ask(shared, call, || LookupTokenSelfRequest {}).await?;
    let token: Token = value::data(call, &reply.body)?;
    let mut policies = token.policies;
    policies.extend(token.identity_policies.unwrap_or_default());
    policies.sort();
    policies.dedup();
    Ok(clean(&format!("{} (policies: {})", token.display_name, policies.join(", "))))
}
