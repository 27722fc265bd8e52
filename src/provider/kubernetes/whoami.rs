//! Who Kubernetes takes us for.

use kube::core::params::PostParams;
use serde::Deserialize;

use super::{Shared, error, session};
use crate::provider::rest::{clean, object};
use crate::provider::{Error, ErrorKind};

pub(super) async fn whoami(shared: &Shared) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Review {
        status: Status,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Status {
        user_info: User,
    }
    #[derive(Deserialize)]
    struct User {
        username: String,
    }
    let session = session::usable(shared).await?;
    let at = format!("at {}, namespace {}", session.server(), session.namespace());
    let call = "ask who we are";
    let body = br#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
    let asked = |session: &session::Session| {
        session.at("/apis/authentication.k8s.io/v1/selfsubjectreviews").create(&PostParams::default(), body.to_vec())
    };
    let reply = session::ask(shared, call, asked).await?;
    if reply.is_success() {
        let Review { status: Status { user_info } } = object(&reply.body).ok_or_else(|| error::not_understood(call))?;
        return Ok(format!("{} {at}", clean(&user_info.username)));
    }
    let error = error::from_reply(call, &reply);
    match error.kind {
        // Servers before 1.28 do not have it, and some do not let everybody ask. What was presented was not refused.
        ErrorKind::NotFound | ErrorKind::Denied => Ok(format!("{} {at}", clean(&session.who()))),
        // A path that an old server does not have is no error of its API.
        ErrorKind::Malformed if reply.status == 404 => Ok(format!("{} {at}", clean(&session.who()))),
        ErrorKind::CredentialsRejected
        | ErrorKind::Throttled
        | ErrorKind::Unreachable
        | ErrorKind::TimedOut
        | ErrorKind::TooLarge
        | ErrorKind::Malformed
        | ErrorKind::NoMemory => Err(error),
    }
}
