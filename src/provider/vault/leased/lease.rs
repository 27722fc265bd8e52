//! One lease: what it is of, how long it lasts, and how it is made to last longer or ended.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use rustify_derive::Endpoint;
use serde::Deserialize;
use tokio::time::Instant;

use super::super::error;
use super::super::session::Session;
use crate::provider::rest::object;
use crate::provider::{Error, ErrorKind};
use crate::secret::Secret;

/// The answer's `data`, a JSON object. Held by those who may still read it, and by nobody else.
pub(super) struct Credentials(pub(super) Secret);

/// Credentials that the server has lent us.
pub(super) struct Lease {
    id: Secret,
    /// By which other credentials of the role are told from these; says nothing about the id.
    pub(super) version: String,
    pub(super) made: SystemTime,
    credentials: Weak<Credentials>,
    /// Where nobody is there to take them.
    untaken: Option<Arc<Credentials>>,
    /// Whose lease it is: it ends with that token, which is kept alive for it.
    pub(super) session: Arc<Session>,
    /// How long it was for at first.
    whole: Duration,
    ends: Instant,
    is_renewable: bool,
}

/// What is new in an answer.
pub(super) struct Terms {
    pub(super) id: Secret,
    pub(super) seconds: u64,
    pub(super) is_renewable: bool,
}

/// What the server makes of it.
#[derive(Deserialize)]
pub(super) struct Renewed {
    pub(super) lease_duration: u64,
    renewable: bool,
}

#[derive(Endpoint)]
#[endpoint(path = "sys/leases/renew", method = "POST")]
struct RenewRequest {
    lease_id: String,
}

/// Not waited for by the server: it tries again by itself where what it made cannot be taken back at once.
#[derive(Endpoint)]
#[endpoint(path = "sys/leases/revoke", method = "POST")]
struct RevokeRequest {
    lease_id: String,
}

impl Lease {
    /// `asked`: before the server can have begun to count.
    pub(super) fn new(
        terms: Terms,
        credentials: Secret,
        version: String,
        session: Arc<Session>,
        asked: Instant,
    ) -> Self {
        let credentials = Arc::new(Credentials(credentials));
        let whole = Duration::from_secs(terms.seconds);
        Self {
            id: terms.id,
            version,
            made: SystemTime::now(),
            credentials: Arc::downgrade(&credentials),
            untaken: Some(credentials),
            session,
            whole,
            ends: end(asked, whole),
            is_renewable: terms.is_renewable,
        }
    }

    /// The credentials, while anybody has them.
    pub(super) fn take(&mut self) -> Option<Arc<Credentials>> {
        self.untaken.take().or_else(|| self.credentials.upgrade())
    }

    /// For the next one who asks.
    pub(super) fn keep(&mut self, credentials: Arc<Credentials>) {
        self.untaken = Some(credentials);
    }

    /// How long it lasts if nothing is done about it.
    pub(super) fn left(&self) -> Duration {
        let ends = self.session.end().map_or(self.ends, |end| end.min(self.ends));
        ends.saturating_duration_since(Instant::now())
    }

    /// Is it time for other credentials, so that whoever has read these can use them for a while?
    pub(super) fn is_ending(&self) -> bool {
        let ends = self.session.last_end().map_or(self.ends, |end| end.min(self.ends));
        ends.saturating_duration_since(Instant::now()) < self.whole / 3
    }

    /// Does it end because its token does?
    pub(super) fn ends_with_its_token(&self) -> bool {
        self.session.last_end().is_some_and(|end| end <= self.ends)
    }

    /// Makes it last as long as the server lets it. False where it is over.
    pub(super) async fn renew(&mut self) -> Result<bool, Error> {
        if self.left().is_zero() {
            return Ok(false);
        }
        if !self.is_renewable {
            return Ok(true);
        }
        let call = "renewal of a lease";
        let asked = Instant::now();
        let request = RenewRequest { lease_id: self.id() };
        let reply = self.session.transport.ask(call, Some(&self.session.token), request).await?;
        match reply.status {
            200..300 => {
                let Renewed { lease_duration, renewable } =
                    object(&reply.body).ok_or_else(|| error::not_understood(call))?;
                self.ends = end(asked, Duration::from_secs(lease_duration));
                self.is_renewable = renewable;
                Ok(true)
            }
            // The token is gone and its leases with it, or it may not renew: then this one lasts as long as it does.
            401 | 403 if self.session.is_refused().await? => Ok(false),
            401 | 403 => {
                tracing::warn!("{}", error::from_reply(call, &reply).detail);
                self.is_renewable = false;
                Ok(true)
            }
            // What is said of one that was revoked, or has ended.
            400 | 404 => Ok(false),
            _ => Err(error::from_reply(call, &reply)),
        }
    }

    /// Has the server take back what it lent. That there is nothing to take back is as good.
    pub(super) async fn revoke(&self) -> Result<(), Error> {
        let call = "revocation of a lease";
        let request = RevokeRequest { lease_id: self.id() };
        let reply = self.session.transport.ask(call, Some(&self.session.token), request).await?;
        if reply.is_success() || matches!(reply.status, 400 | 404) {
            return Ok(());
        }
        let mut error = error::from_reply(call, &reply);
        if error.kind == ErrorKind::Denied {
            error.detail.push_str("; the policy must allow `update` of sys/leases/revoke");
        }
        Err(error)
    }

    fn id(&self) -> String {
        String::from_utf8_lossy(self.id.expose()).into_owned()
    }
}

/// A time that no clock reaches is one that nobody waits for.
pub(super) fn end(from: Instant, after: Duration) -> Instant {
    from.checked_add(after).unwrap_or(from)
}
