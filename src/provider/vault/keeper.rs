//! Renews a token before it ends.

use std::sync::Weak;
use std::time::Duration;

use serde::Deserialize;
use vaultrs::api::token::requests::{LookupTokenSelfRequest, RenewTokenSelfRequest};

use super::auth::Lease;
use super::session::Session;
use super::{error, value};
use crate::provider::ErrorKind;

/// A lease is renewed when this share of it has passed.
const RENEW_AT: f64 = 2.0 / 3.0;
/// The shortest time between two attempts to renew.
const BREATH: Duration = Duration::from_secs(1);
/// The longest one, whatever the server asks for: the token's life goes on meanwhile.
const LONGEST_BREATH: Duration = Duration::from_secs(60);

/// Renews a session's token for as long as it can be renewed and is in use.
pub(super) async fn keep(session: Weak<Session>, lease: Option<Lease>) {
    let mut lease = match lease {
        Some(lease) => lease,
        None => match lookup(&session).await {
            Some(lease) => lease,
            None => return,
        },
    };
    let first = lease;
    while lease.seconds > 0 && lease.renewable {
        let wait = Duration::from_secs(lease.seconds).mul_f64(RENEW_AT).max(BREATH);
        tokio::time::sleep(wait).await;
        let Some(renewed) = renew_before_its_end(&session, first).await else { return };
        lease = renewed;
    }
}

/// How long a token lives that nobody has told us about. None where the server will not say: then it is used
/// until it is refused.
async fn lookup(session: &Weak<Session>) -> Option<Lease> {
    #[derive(Deserialize)]
    struct Token {
        ttl: u64,
        #[serde(default)]
        renewable: bool,
    }
    let session = session.upgrade()?;
    let call = "look at the token's lease";
    let reply = session.transport.ask(call, Some(&session.token), LookupTokenSelfRequest {}).await.ok()?;
    let token: Token = value::data(call, &reply.body).ok()?;
    let lease = Lease { seconds: token.ttl, renewable: token.renewable };
    session.lives(lease, lease);
    Some(lease)
}

/// Renews, again and again while the server cannot be reached. None where there is nothing more to renew.
async fn renew_before_its_end(session: &Weak<Session>, first: Lease) -> Option<Lease> {
    let call = "renewal of the token";
    loop {
        let session = session.upgrade()?;
        if session.is_over() {
            return None;
        }
        let request = RenewTokenSelfRequest { increment: None };
        let answer = session.transport.ask(call, Some(&session.token), request).await;
        let error = match answer {
            Ok(reply) if reply.is_success() => {
                let auth = value::auth(call, &reply.body).ok()?;
                let lease = Lease { seconds: auth.lease_duration, renewable: auth.renewable };
                session.lives(lease, first);
                return Some(lease);
            }
            Ok(reply) => error::from_reply(call, &reply),
            Err(error) => error,
        };
        match error.kind {
            ErrorKind::Throttled | ErrorKind::Unreachable | ErrorKind::TimedOut | ErrorKind::NoMemory => {}
            ErrorKind::NotFound
            | ErrorKind::Denied
            | ErrorKind::CredentialsRejected
            | ErrorKind::TooLarge
            | ErrorKind::Malformed => return None,
        }
        drop(session);
        tokio::time::sleep(error.retry_after.unwrap_or(BREATH).clamp(BREATH, LONGEST_BREATH)).await;
    }
}
