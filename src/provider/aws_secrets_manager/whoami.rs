//! Who AWS takes us for.

use super::Shared;
use super::session::Session;
use crate::provider::{Error, ErrorKind};

/// Asks, every time.
pub(super) async fn whoami(shared: &Shared) -> Result<String, Error> {
    let session = shared.sessions.get(shared).await?;
    ask(shared, &session).await
}

/// Asks once in a session: its credentials may change, but not whose they are.
pub(super) async fn remembered<'a>(shared: &Shared, session: &'a Session) -> Result<&'a str, Error> {
    session.caller.get_or_try_init(|| ask(shared, session)).await.map(String::as_str)
}

async fn ask(shared: &Shared, session: &Session) -> Result<String, Error> {
    let answer = session.sts.get_caller_identity().send().await;
    let answer = answer.map_err(|error| shared.sessions.failed(session, "GetCallerIdentity", &error))?;
    let lacks = || Error::new(ErrorKind::Malformed, "GetCallerIdentity: the answer has no ARN");
    let arn = answer.arn.filter(|arn| arn.starts_with("arn:")).ok_or_else(lacks)?;
    Ok(super::error::clean(&arn))
}
