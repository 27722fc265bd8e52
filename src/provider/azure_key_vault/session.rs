//! The client in use, and when to make another.
//!
//! Azure's clients read their files once, and keep a token for as long as it says that it lives. So a client whose
//! credentials failed, or whose files have changed, is given up, and the next is made of what is there then.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use tokio::sync::Mutex;

use super::credential::Credential;
use super::transport::{Calls, What};
use super::{Shared, error, source};
use crate::provider::rest::{Client, Plan, Stamp, are_what_they_were};
use crate::provider::{Error, ErrorKind};

/// Room for a page of a listing, and for a token.
const LARGEST_PAGE: u64 = 1 << 20;

/// Empty until the first call.
#[derive(Default)]
pub(super) struct Sessions(Mutex<Option<Arc<Session>>>);

/// A client that one or more calls use.
pub(super) struct Session {
    pub(super) client: SecretClient,
    pub(super) credential: Arc<Credential>,
    /// Where the credentials came from.
    files: Vec<(PathBuf, Stamp)>,
    has_answered: AtomicBool,
}

impl Sessions {
    /// The client in use, made now if there is none; all who ask meanwhile wait for that one.
    async fn get(&self, shared: &Shared) -> Result<Arc<Session>, Error> {
        let mut current = self.0.lock().await;
        if let Some(session) = &*current
            && are_what_they_were(&session.files).await
        {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(open(shared).await?);
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    async fn give_up(&self, session: &Arc<Session>) {
        let mut current = self.0.lock().await;
        if current.as_ref().is_some_and(|it| Arc::ptr_eq(it, session)) {
            *current = None;
        }
    }
}

/// Makes `call` (such as ``GetSecret of `db` ``). Where credentials are refused that were good before, other ones
/// are looked for, once.
pub(super) async fn ask<T, F>(shared: &Shared, call: &str, make: impl Fn(Arc<Session>) -> F) -> Result<T, Error>
where
    F: Future<Output = azure_core::Result<T>>,
{
    let session = shared.sessions.get(shared).await?;
    let refusal = match answer(&session, call, make(Arc::clone(&session))).await {
        Err(error) if error.kind == ErrorKind::CredentialsRejected => error,
        answer => return answer,
    };
    shared.sessions.give_up(&session).await;
    if !session.has_answered.load(Ordering::Relaxed) {
        return Err(refusal);
    }
    let another = shared.sessions.get(shared).await?;
    let answer = answer(&another, call, make(Arc::clone(&another))).await;
    if answer.as_ref().is_err_and(|error| error.kind == ErrorKind::CredentialsRejected) {
        shared.sessions.give_up(&another).await;
    }
    answer
}

async fn answer<T>(
    session: &Session,
    call: &str,
    made: impl Future<Output = azure_core::Result<T>>,
) -> Result<T, Error> {
    let answer = made.await.map_err(|error| error::from_call(call, &error));
    if answer.is_ok() {
        session.has_answered.store(true, Ordering::Relaxed);
    }
    answer
}

async fn open(shared: &Shared) -> Result<Session, Error> {
    let settings = &shared.settings;
    let tokens = Arc::new(Calls::new(
        client(shared, true, LARGEST_PAGE).await?,
        Some(client(shared, false, LARGEST_PAGE).await?),
        What::Tokens,
    ));
    let found =
        source::find(&settings.auth, settings.authority_host.as_deref(), shared.vault.authority(), &tokens).await?;
    let credential = Arc::new(Credential::new(found.credential, found.whose));
    // In JSON, a byte may be written as six.
    let limit = shared.max_secret_bytes.saturating_mul(6).max(LARGEST_PAGE);
    let vault = What::Vault(shared.vault.url().to_owned());
    let options = SecretClientOptions {
        client_options: Arc::new(Calls::new(client(shared, true, limit).await?, None, vault)).options(),
        // Another name than Azure's, such as that of a proxy, fits no challenge; `Credential` judges what it asks for.
        verify_challenge_resource: Some(shared.vault.is_azures()),
        ..SecretClientOptions::default()
    };
    let client = SecretClient::new(shared.vault.url(), Arc::clone(&credential) as _, Some(options))
        .map_err(|error| error::from_call("setting up the client", &error))?;
    Ok(Session { client, credential, files: found.files, has_answered: AtomicBool::new(false) })
}

/// What is not encrypted is for services of this machine, which are reached without a proxy.
async fn client(shared: &Shared, encrypted: bool, limit: u64) -> Result<Client, Error> {
    let ca_file = shared.settings.ca_file.clone();
    let plan = Plan { encrypted, proxied: encrypted, ca_file, identity: None, deadline: shared.deadline, limit };
    let connections = Arc::clone(&shared.connections);
    match tokio::task::spawn_blocking(move || plan.build(&connections)).await {
        Ok(client) => client,
        Err(_) => Err(Error::new(ErrorKind::Malformed, "setting up TLS was broken off")),
    }
}
