//! Is the mount what the settings say? Asked where a scope looks empty: the wrong version of the engine looks so.

use std::collections::HashMap;
use std::sync::Arc;

use rustify_derive::Endpoint;
use serde::Deserialize;

use super::{Shared, session, value};
use crate::config::{KvVersion, VaultEngine};
use crate::provider::rest::clean;
use crate::provider::{Error, ErrorKind};

/// For whoever may do anything in the mount; vaultrs has no request for it.
#[derive(Endpoint)]
#[endpoint(path = "sys/internal/ui/mounts/{self.mount}")]
struct MountRequest {
    #[endpoint(skip)]
    mount: String,
}

/// # Errors
/// `Malformed` where the mount is another engine or another version of it. What is not known is no error.
pub(super) async fn check(shared: &Arc<Shared>) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Mount {
        #[serde(rename = "type")]
        engine: String,
        options: Option<HashMap<String, String>>,
    }
    let mount = &shared.place.mount;
    let call = format!("look at the mount `{mount}`");
    let Ok(reply) = session::ask(shared, &call, || MountRequest { mount: mount.clone() }).await else { return Ok(()) };
    let Ok(Mount { engine, options }) = value::data(&call, &reply.body) else { return Ok(()) };
    let malformed = |why: String| Err(Error::new(ErrorKind::Malformed, format!("{call}: {why}")));
    let another = |is: &str, wanted: &str| {
        malformed(format!("it is an engine of the type `{}`, not of the type `{wanted}`; see `kv`", clean(is)))
    };
    let kv = match shared.settings.engine {
        VaultEngine::Kv(kv) if matches!(engine.as_str(), "kv" | "generic") => kv,
        VaultEngine::Leased(leased) if engine == leased.name() => return Ok(()),
        VaultEngine::Kv(_) => return another(&engine, "kv"),
        VaultEngine::Leased(leased) => return another(&engine, leased.name()),
    };
    let is_second = options.is_some_and(|options| options.get("version").is_some_and(|version| version == "2"));
    match (kv, is_second) {
        (KvVersion::One, true) => malformed("it is version 2 of the engine; set kv = 2".into()),
        (KvVersion::Two, false) => malformed("it is version 1 of the engine; set kv = 1".into()),
        (KvVersion::One, false) | (KvVersion::Two, true) => Ok(()),
    }
}
