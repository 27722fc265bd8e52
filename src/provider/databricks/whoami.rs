//! Who Databricks takes us for.

use std::sync::Arc;

use serde::Deserialize;

use super::{Shared, error, session};
use crate::provider::Error;
use crate::provider::rest::{clean, object};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Me {
    user_name: String,
    display_name: Option<String>,
}

async fn me(shared: &Arc<Shared>) -> Result<Me, Error> {
    let call = "scim/v2/Me";
    let reply = session::get(shared, call, "/api/2.0/preview/scim/v2/Me", &[]).await?;
    if !reply.is_success() {
        return Err(error::from_reply(call, &reply));
    }
    object(&reply.body).ok_or_else(|| error::not_understood(call))
}

/// As ACLs have it: a user's address, or a service principal's application id.
pub(super) async fn user_name(shared: &Arc<Shared>) -> Result<String, Error> {
    Ok(me(shared).await?.user_name)
}

pub(super) async fn whoami(shared: &Arc<Shared>) -> Result<String, Error> {
    let Me { user_name, display_name } = me(shared).await?;
    let host = session::host(shared).await?;
    let name = display_name.filter(|name| *name != user_name).map(|name| format!(" ({name})")).unwrap_or_default();
    Ok(clean(&format!("{user_name}{name} at {host}")))
}
