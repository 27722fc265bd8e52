//! What the ACLs of secret scopes let us do.
//!
//! An ACL is shown only to who has MANAGE, and says nothing of groups. But listing a scope's keys needs READ, as
//! reading their values does, and every read begins with it: where it is refused, so is the read.

use std::sync::Arc;

use serde::Deserialize;
use tokio::task::JoinSet;

use super::names::ScopeName;
use super::{Shared, error, list, session, whoami};
use crate::provider::rest::{clean, object};
use crate::provider::{Error, ErrorKind, Known, Permission, SecretName};

/// Secret scopes that are asked about at the same time.
const AT_ONCE: usize = 8;

pub(super) async fn permissions(shared: &Arc<Shared>, names: &[SecretName]) -> Result<Vec<Permission>, Error> {
    let mut answers: Vec<Option<Permission>> = vec![None; names.len()];
    let mut pending = names.iter().enumerate();
    let mut under_way = JoinSet::new();
    // Of one it is people who ask: they get the ACL's own words too.
    let in_words = names.len() == 1;
    loop {
        while under_way.len() < AT_ONCE
            && let Some((at, name)) = pending.next()
        {
            let (shared, name) = (Arc::clone(shared), name.clone());
            under_way.spawn(async move { (at, one(&shared, &name, in_words).await) });
        }
        match under_way.join_next().await {
            None => break,
            Some(Ok((at, permission))) => {
                let permission = permission?;
                if let Some(place) = answers.get_mut(at) {
                    *place = Some(permission);
                }
            }
            // A panic in a parser, or the runtime is shutting down.
            Some(Err(_)) => return Err(Error::new(ErrorKind::Malformed, "asking about permissions was broken off")),
        }
    }
    Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(|| unknown("there was no answer"))).collect())
}

async fn one(shared: &Arc<Shared>, name: &SecretName, in_words: bool) -> Result<Permission, Error> {
    let Ok(name) = ScopeName::new(&shared.settings.prefix, name) else {
        return Ok(unknown("no secret scope can have this name"));
    };
    match list::keys(shared, &name).await {
        Ok(_) => {
            let mut why = format!("secrets/list of `{}` is allowed, which needs READ", name.as_str());
            if in_words {
                why.push_str(&format!("; {}", acl(shared, &name).await));
            }
            Ok(Permission { read: Known::Yes, why })
        }
        Err(error) => match error.kind {
            ErrorKind::Denied => Ok(Permission { read: Known::No, why: error.detail }),
            ErrorKind::NotFound => Ok(unknown(&error.detail)),
            ErrorKind::CredentialsRejected
            | ErrorKind::Throttled
            | ErrorKind::Unreachable
            | ErrorKind::TimedOut
            | ErrorKind::TooLarge
            | ErrorKind::Malformed
            | ErrorKind::NoMemory => Err(error),
        },
    }
}

fn unknown(why: &str) -> Permission {
    Permission { read: Known::Unknown, why: why.to_owned() }
}

/// The ACL of ourselves, or why it is not to be had.
async fn acl(shared: &Arc<Shared>, name: &ScopeName) -> String {
    let asked = async {
        let me = whoami::user_name(shared).await?;
        let call = format!("secrets/acls/get of `{}` for {}", name.as_str(), clean(&me));
        let query = [("scope", name.as_str()), ("principal", me.as_str())];
        let reply = session::get(shared, &call, "/api/2.0/secrets/acls/get", &query).await?;
        if !reply.is_success() {
            return Err(error::from_reply(&call, &reply));
        }
        Ok(format!("its ACL gives {} {}", clean(&me), granted(&call, &reply.body)?))
    };
    match asked.await {
        Ok(text) => text,
        Err(error) if error.kind == ErrorKind::Denied => "its ACL is shown only to who has MANAGE".to_owned(),
        Err(error) if error.kind == ErrorKind::NotFound => "its ACL does not name us, so a group does".to_owned(),
        Err(error) => format!("its ACL is not known: {}", error.detail),
    }
}

/// `READ`, `WRITE` or `MANAGE`, as an ACL has it.
pub(super) fn granted(call: &str, body: &[u8]) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Acl {
        permission: String,
    }
    let Acl { permission } = object(body).ok_or_else(|| error::not_understood(call))?;
    Ok(clean(&permission))
}
