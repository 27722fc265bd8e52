//! Who AWS takes us for.

use super::connection::{Connection, Service};
use super::session::Session;
use crate::provider::text::clean;
use crate::provider::{Error, ErrorKind};

/// Asks, every time.
pub(super) async fn whoami<S: Service>(connection: &Connection<S>) -> Result<String, Error> {
    let session = connection.session().await?;
    ask(connection, &session).await
}

/// Asks once in a session: its credentials may change, but not whose they are.
pub(super) async fn remembered<'a, S: Service>(
    connection: &Connection<S>,
    session: &'a Session<S>,
) -> Result<&'a str, Error> {
    session.caller.get_or_try_init(|| ask(connection, session)).await.map(String::as_str)
}

async fn ask<S: Service>(connection: &Connection<S>, session: &Session<S>) -> Result<String, Error> {
    let answer = session.sts.get_caller_identity().send().await;
    let answer = answer.map_err(|error| connection.failed(session, "GetCallerIdentity", &error))?;
    let lacks = || Error::new(ErrorKind::Malformed, "GetCallerIdentity: the answer has no ARN");
    let arn = answer.arn.filter(|arn| arn.starts_with("arn:")).ok_or_else(lacks)?;
    Ok(clean(&arn))
}
