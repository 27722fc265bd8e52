//! The cluster in use: when what is known of it is read anew, and how it is asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use kube::core::Request;

use super::cluster::{self, Cluster};
use super::{Shared, error};
use crate::provider::rest::{Client, Plan, Reply, Stream, are_what_they_were, clean};
use crate::provider::{Error, ErrorKind};

/// Room for a page of a listing, whatever annotations its objects have.
const LARGEST_PAGE: u64 = 16 << 20;

/// Empty until the first call.
#[derive(Default)]
pub(super) struct Sessions {
    current: Mutex<Option<Arc<Session>>>,
    opening: tokio::sync::Mutex<()>,
}

/// A cluster and the connections to it.
pub(super) struct Session {
    cluster: Cluster,
    namespace: String,
    /// As whom we act, where it is somebody else.
    impersonated: Option<HeaderValue>,
    client: Client,
}

/// What the requests of the crate kube are.
pub(super) type Asked = Result<http::Request<Vec<u8>>, kube::core::request::Error>;

impl Session {
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn server(&self) -> &str {
        &self.cluster.server
    }

    /// Who the credentials are of, as far as they say so themselves.
    pub(super) fn who(&self) -> String {
        let own = self.cluster.who.as_deref().unwrap_or("nobody, without credentials");
        match self.impersonated.as_ref().and_then(|user| user.to_str().ok()) {
            None => own.to_owned(),
            Some(user) => format!("{user}, impersonated by {own}"),
        }
    }

    /// The objects of the scope's kind and namespace.
    pub(super) fn objects(&self, shared: &Shared) -> Request {
        self.at(&format!("/api/v1/namespaces/{}/{}", self.namespace, shared.resource()))
    }

    pub(super) fn at(&self, path: &str) -> Request {
        Request::new(format!("{}{path}", self.cluster.server))
    }

    fn request(&self, call: &str, asked: Asked) -> Result<reqwest::Request, Error> {
        let malformed = || Error::new(ErrorKind::Malformed, format!("{call}: `{}` is no URL", clean(self.server())));
        let mut request = asked.ok().and_then(|it| reqwest::Request::try_from(it).ok()).ok_or_else(malformed)?;
        let headers = request.headers_mut();
        if let Some(authorization) = &self.cluster.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        if let Some(user) = &self.impersonated {
            headers.insert(HeaderName::from_static("impersonate-user"), user.clone());
        }
        Ok(request)
    }

    async fn ask(&self, call: &str, asked: Asked) -> Result<Reply, Error> {
        let reply = self.client.ask(call, self.request(call, asked)?).await?;
        Ok(if reply.is_success() { reply } else { self.concealed(reply) })
    }

    async fn open(&self, call: &str, asked: Asked) -> Result<Result<Stream, Reply>, Error> {
        let opened = self.client.open(call, self.request(call, asked)?).await?;
        Ok(opened.map_err(|reply| self.concealed(reply)))
    }

    /// A refusal may quote what it refuses.
    fn concealed(&self, mut reply: Reply) -> Reply {
        let token = self.cluster.authorization.as_ref().and_then(|it| it.as_bytes().strip_prefix(b"Bearer "));
        if let Some(token) = token {
            reply.conceal(token);
        }
        reply
    }
}

/// Asks; a reply of any status but a refusal of our credentials is an answer. Where those were refused and there are
/// others now, they are tried, once.
pub(super) async fn ask(shared: &Shared, call: &str, asked: impl Fn(&Session) -> Asked) -> Result<Reply, Error> {
    let session = usable(shared).await?;
    let reply = session.ask(call, asked(&session)).await?;
    if reply.status != 401 {
        return Ok(reply);
    }
    let refusal = error::from_reply(call, &reply);
    let Some(another) = another(shared, &session).await? else { return Err(refusal) };
    let reply = another.ask(call, asked(&another)).await?;
    if reply.status == 401 { Err(error::from_reply(call, &reply)) } else { Ok(reply) }
}

/// As [`ask`], for an answer without end. One that is no success is an answer of its own.
pub(super) async fn open(
    shared: &Shared,
    call: &str,
    asked: impl Fn(&Session) -> Asked,
) -> Result<Result<Stream, Reply>, Error> {
    let session = usable(shared).await?;
    let opened = session.open(call, asked(&session)).await?;
    let Err(reply) = &opened else { return Ok(opened) };
    if reply.status != 401 {
        return Ok(opened);
    }
    let Some(another) = another(shared, &session).await? else { return Ok(opened) };
    another.open(call, asked(&another)).await
}

/// The session in use; a new one if there is none, or if its files have changed.
pub(super) async fn usable(shared: &Shared) -> Result<Arc<Session>, Error> {
    let sessions = &shared.sessions;
    if let Some(session) = sessions.fresh().await {
        return Ok(session);
    }
    // One reads the files; the others wait for it.
    let _opening = sessions.opening.lock().await;
    if let Some(session) = sessions.fresh().await {
        return Ok(session);
    }
    let session = Arc::new(read(shared).await?);
    *sessions.current() = Some(Arc::clone(&session));
    Ok(session)
}

/// A session with other credentials than one whose have been refused.
async fn another(shared: &Shared, refused: &Arc<Session>) -> Result<Option<Arc<Session>>, Error> {
    {
        let mut current = shared.sessions.current();
        if current.as_ref().is_some_and(|it| Arc::ptr_eq(it, refused)) {
            *current = None;
        }
    }
    let session = usable(shared).await?;
    let is_the_same = session.cluster.authorization == refused.cluster.authorization
        && session.cluster.identity == refused.cluster.identity;
    Ok((!is_the_same).then_some(session))
}

impl Sessions {
    async fn fresh(&self) -> Option<Arc<Session>> {
        let session = self.current().clone()?;
        are_what_they_were(&session.cluster.files).await.then_some(session)
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<Session>>> {
        // Each change is one assignment: a panic leaves it whole.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With what the files and the environment hold now.
async fn read(shared: &Shared) -> Result<Session, Error> {
    let mut cluster = cluster::find(&shared.settings).await?;
    let namespace = shared.settings.namespace.clone().or(cluster.namespace.take());
    let namespace = namespace.filter(|it| !it.is_empty()).unwrap_or_else(|| "default".to_owned());
    let in_a_path = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !namespace.bytes().all(in_a_path) {
        let text = format!("`{}` is no namespace: set `namespace` in the scope", clean(&namespace));
        return Err(Error::new(ErrorKind::Malformed, text));
    }
    let impersonated = match &shared.impersonated {
        None => None,
        Some(name) => {
            let (of, name) = name.split_once('/').unwrap_or((&namespace, name));
            let user = HeaderValue::from_str(&format!("system:serviceaccount:{of}:{name}"));
            Some(user.map_err(|_| Error::new(ErrorKind::Malformed, "this is no name of a service account"))?)
        }
    };
    let plan = Plan {
        proxied: true,
        encrypted: cluster.server.starts_with("https://"),
        ca_file: None,
        identity: cluster.identity.clone(),
        deadline: shared.deadline,
        // One value in base64, and once more in an annotation of kubectl's, where it is escaped.
        limit: shared.max_secret_bytes.saturating_mul(4).max(LARGEST_PAGE),
    };
    let (authorities, connections) = (cluster.authorities.clone(), Arc::clone(&shared.connections));
    let built = tokio::task::spawn_blocking(move || plan.build_trusting(authorities.as_deref(), &connections)).await;
    let client = built.map_err(|_| Error::new(ErrorKind::Malformed, "setting up TLS was broken off"))??;
    Ok(Session { cluster, namespace, impersonated, client })
}
