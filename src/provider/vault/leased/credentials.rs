//! The credentials of a role: those that are lent already, or new ones.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustify_derive::Endpoint;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::error::{from_reply, not_understood};
use super::super::fetch::payload;
use super::super::session::{self, Session};
use super::super::value::{self, Fields};
use super::super::{Shared, fetch};
use super::lease::{Lease, Terms};
use super::table::Role;
use super::{Paths, dynamic, fixed, role};
use crate::config::LeasedEngine;
use crate::provider::rest::{Reply, clean, object};
use crate::provider::{self, Error, ErrorKind, Fetched, SecretName, VersionSelector};
use crate::secret::{Secret, wipe_stack};

#[derive(Endpoint)]
#[endpoint(path = "{self.mount}/{self.credentials}/{self.role}")]
struct CredentialsRequest {
    #[endpoint(skip)]
    mount: String,
    #[endpoint(skip)]
    credentials: &'static str,
    #[endpoint(skip)]
    role: String,
}

pub(in super::super) async fn fetch(
    shared: &Arc<Shared>,
    engine: LeasedEngine,
    name: &SecretName,
    version: &VersionSelector,
) -> Result<Fetched, Error> {
    let asked = Asked { shared: Arc::clone(shared), engine, role: role(name)?.to_owned() };
    let slot = shared.leases.slot(&asked.role);
    let version = version.clone();
    let (answer, answered) = oneshot::channel();
    // Goes on when the reader leaves: what has been lent must be known, to be given to the next one and back.
    tokio::spawn(async move {
        let mut role = slot.lock().await;
        let fetched = match version {
            VersionSelector::Current => asked.current(&mut role).await,
            VersionSelector::Previous => Err(asked.no_version("no older credentials are kept")),
            VersionSelector::Named(version) => asked.named(&mut role, &version).await,
        };
        // It was parsed in this task, and not where it is waited for.
        wipe_stack();
        if let Err(Ok(Fetched { lease: Some(provider::Lease { hold: Some(hold), .. }), version, .. })) =
            answer.send(fetched)
            && let Ok(credentials) = hold.downcast()
            && let Some(lease) = role.find(&version)
        {
            lease.keep(credentials);
        }
    });
    match answered.await {
        Ok(fetched) => fetched,
        // A panic in a parser, or the runtime is shutting down.
        Err(_) => Err(Error::new(ErrorKind::Unreachable, "asking for credentials was broken off")),
    }
}

/// What an engine lends.
#[derive(Deserialize)]
pub(super) struct Lent<'a> {
    lease_id: String,
    pub(super) lease_duration: u64,
    renewable: bool,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
}

/// The account of a static role.
pub(super) struct Account<'a> {
    pub(super) fields: Fields<'a>,
    /// Seconds until its password is changed.
    left: Option<u64>,
    /// When that was last done.
    changed: Option<SystemTime>,
}

pub(super) fn account<'a>(call: &str, body: &'a [u8]) -> Result<Account<'a>, Error> {
    let mut fields: Fields<'a> = value::data(call, body)?;
    // Counts down from answer to answer; it is told as the end of the lease.
    let left = fields.remove("ttl").and_then(|text| text.get().parse::<u64>().ok());
    let changed = fields.get("last_vault_rotation").or_else(|| fields.get("last_bao_rotation"));
    let changed = changed.and_then(|text| value::time(text.get().trim_matches('"')));
    Ok(Account { fields, left, changed })
}

/// A role that is asked for.
struct Asked {
    shared: Arc<Shared>,
    engine: LeasedEngine,
    role: String,
}

impl Asked {
    fn path(&self, paths: Paths) -> String {
        format!("{}/{}/{}", self.shared.place.mount, paths.credentials, self.role)
    }

    fn call(&self, paths: Paths) -> String {
        format!("read of `{}`", self.path(paths))
    }

    fn no_version(&self, why: &str) -> Error {
        Error::new(ErrorKind::NotFound, format!("{}: {why}", self.call(dynamic(self.engine))))
    }

    async fn current(&self, role: &mut Role) -> Result<Fetched, Error> {
        if role.is_fixed
            && let Some(paths) = fixed(self.engine)
        {
            match self.of_fixed(paths).await {
                Err(error) if error.kind == ErrorKind::NotFound => role.is_fixed = false,
                other => return other,
            }
        }
        if let Some(fetched) = self.lent(role).await? {
            return Ok(fetched);
        }
        let refused = match self.borrow(role).await {
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Denied) => error,
            other => return other,
        };
        // It may be the other kind of role, and a policy may allow that one only.
        let Some(paths) = fixed(self.engine) else { return Err(refused) };
        match self.of_fixed(paths).await {
            Ok(fetched) => {
                role.is_fixed = true;
                Ok(fetched)
            }
            Err(error) if error.kind == ErrorKind::Denied && refused.kind == ErrorKind::NotFound => Err(error),
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Denied) => Err(refused),
            Err(error) => Err(error),
        }
    }

    /// The credentials that are lent already, renewed; None where there are none that serve for long enough.
    async fn lent(&self, role: &mut Role) -> Result<Option<Fetched>, Error> {
        let Some(lease) = &mut role.current else { return Ok(None) };
        let Some(credentials) = lease.take() else { return Ok(None) };
        if !lease.renew().await? {
            return Ok(None);
        }
        if lease.is_ending() {
            let with_its_token = lease.ends_with_its_token();
            if with_its_token && lease.session.is_ours {
                self.shared.sessions.give_up(&lease.session);
            }
            // Others would end no later with the same token.
            if !with_its_token || !Arc::ptr_eq(&session::get(&self.shared).await?, &lease.session) {
                return Ok(None);
            }
        }
        self.fetched(lease, credentials).map(Some)
    }

    /// New credentials.
    async fn borrow(&self, role: &mut Role) -> Result<Fetched, Error> {
        let paths = dynamic(self.engine);
        let call = self.call(paths);
        let asked = Instant::now();
        let (session, reply) = self.ask(paths, &call).await?;
        if !reply.is_success() {
            return Err(refusal(&call, &reply));
        }
        let lent: Lent<'_> = object(&reply.body).ok_or_else(|| not_understood(&call))?;
        let data = lent.data.ok_or_else(|| not_understood(&call))?.get();
        if lent.lease_id.is_empty() || lent.lease_duration == 0 {
            role.retire();
            return self.unleased(&call, data);
        }
        let version = self.digest(lent.lease_id.as_bytes());
        let terms = Terms {
            id: Secret::from_string(lent.lease_id)?,
            seconds: lent.lease_duration,
            is_renewable: lent.renewable,
        };
        let mut lease = Lease::new(terms, Secret::copy_from(data.as_bytes())?, version, session, asked);
        let credentials = lease.take();
        role.replace(lease);
        match (&role.current, credentials) {
            (Some(lease), Some(credentials)) => self.fetched(lease, credentials),
            (None, _) | (_, None) => Err(not_understood(&call)),
        }
    }

    /// What is lent to nobody in particular and never ends: a version of its own for each content.
    fn unleased(&self, call: &str, data: &str) -> Result<Fetched, Error> {
        let fields: Fields<'_> = object(data.as_bytes()).ok_or_else(|| not_understood(call))?;
        let payload = payload(&self.shared, call, &fields)?;
        Ok(Fetched {
            version: self.digest(payload.raw.expose()),
            payload,
            created: None,
            source: self.source(dynamic(self.engine)),
            tags: Vec::new(),
            lease: None,
        })
    }

    /// The account of a static role. Its password is good until the engine changes it.
    async fn of_fixed(&self, paths: Paths) -> Result<Fetched, Error> {
        let call = self.call(paths);
        let asked = Instant::now();
        let (_, reply) = self.ask(paths, &call).await?;
        if !reply.is_success() {
            return Err(refusal(&call, &reply));
        }
        let Account { fields, left, changed } = account(&call, &reply.body)?;
        let payload = payload(&self.shared, &call, &fields)?;
        Ok(Fetched {
            version: self.digest(payload.raw.expose()),
            payload,
            created: changed,
            source: self.source(paths),
            tags: Vec::new(),
            lease: left.map(|seconds| provider::Lease {
                valid_for: Duration::from_secs(seconds).saturating_sub(asked.elapsed()),
                hold: None,
            }),
        })
    }

    /// Credentials that somebody has read as a version of their own.
    async fn named(&self, role: &mut Role, version: &str) -> Result<Fetched, Error> {
        let not_kept = || self.no_version(&format!("the credentials `{}` are not kept", clean(version)));
        if role.is_fixed
            && let Some(paths) = fixed(self.engine)
        {
            return self
                .of_fixed(paths)
                .await
                .and_then(|fetched| if fetched.version == version { Ok(fetched) } else { Err(not_kept()) });
        }
        let lease = role.find(version).ok_or_else(not_kept)?;
        let credentials = lease.take().filter(|_| !lease.left().is_zero()).ok_or_else(not_kept)?;
        self.fetched(lease, credentials)
    }

    fn fetched(&self, lease: &Lease, credentials: Arc<super::lease::Credentials>) -> Result<Fetched, Error> {
        let call = self.call(dynamic(self.engine));
        let fields: Fields<'_> = object(credentials.0.expose()).ok_or_else(|| not_understood(&call))?;
        Ok(Fetched {
            payload: payload(&self.shared, &call, &fields)?,
            version: lease.version.clone(),
            created: Some(lease.made),
            source: self.source(dynamic(self.engine)),
            tags: Vec::new(),
            lease: Some(provider::Lease { valid_for: lease.left(), hold: Some(credentials) }),
        })
    }

    async fn ask(&self, paths: Paths, call: &str) -> Result<(Arc<Session>, Reply), Error> {
        let request = || CredentialsRequest {
            mount: self.shared.place.mount.clone(),
            credentials: paths.credentials,
            role: self.role.clone(),
        };
        session::attempt_once(&self.shared, call, request).await
    }

    fn digest(&self, bytes: &[u8]) -> String {
        format!("{:016x}", self.shared.digests.hash_one(bytes))
    }

    fn source(&self, paths: Paths) -> String {
        fetch::url(&self.shared, &self.path(paths))
    }
}

/// Engines answer a role that there is not as they answer a wrong request, each in words of its own.
pub(super) fn refusal(call: &str, reply: &Reply) -> Error {
    let mut error = from_reply(call, reply);
    let text = error.detail.to_lowercase();
    let missing = ["unknown", "not found", "no such", "could not find", "does not exist"];
    if error.kind == ErrorKind::Malformed
        && reply.status == 400
        && text.contains("role")
        && missing.iter().any(|words| text.contains(words))
    {
        error.kind = ErrorKind::NotFound;
    }
    error
}
