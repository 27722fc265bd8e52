//! Which API server, and as whom: what the pod, a kubeconfig or files say now.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::kubeconfig;
use crate::config::{KubernetesAuth, KubernetesSettings};
use crate::provider::rest::{Openness, Stamp, clean, stamp, whole, word};
use crate::provider::{Error, ErrorKind};

/// Where Kubernetes puts what a pod needs.
const POD: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A cluster and how it is entered.
#[derive(Default)]
pub(super) struct Cluster {
    /// `https://host:port`, perhaps with a path, no slash at its end.
    pub(super) server: String,
    /// The server's own certificate authorities, PEM. None: the system's.
    pub(super) authorities: Option<Vec<u8>>,
    /// A client certificate and its key, PEM.
    pub(super) identity: Option<Zeroizing<Vec<u8>>>,
    pub(super) authorization: Option<HeaderValue>,
    /// Who is meant, as far as what was read says.
    pub(super) who: Option<String>,
    pub(super) namespace: Option<String>,
    /// Files that it came from, as they were then.
    pub(super) files: Vec<(PathBuf, Stamp)>,
}

/// What the files and the environment hold now.
pub(super) async fn find(settings: &KubernetesSettings) -> Result<Cluster, Error> {
    let mut cluster = match &settings.auth {
        KubernetesAuth::Token { token_file } => {
            let mut cluster = Cluster::default();
            cluster.take_token("token_file", token_file).await?;
            cluster
        }
        KubernetesAuth::InCluster => in_cluster(true).await?.ok_or_else(|| rejected("we run in no pod"))?,
        KubernetesAuth::Kubeconfig { file, context } => kubeconfig::find(file.as_deref(), context.as_deref()).await?,
        KubernetesAuth::Default => match in_cluster(false).await? {
            Some(cluster) => cluster,
            None => kubeconfig::find(None, None).await?,
        },
    };
    if let Some(endpoint) = &settings.endpoint_url {
        endpoint.trim_end_matches('/').clone_into(&mut cluster.server);
    }
    if let Some(path) = &settings.ca_file {
        cluster.take_authorities("ca_file", path).await?;
    }
    Ok(cluster)
}

/// As a pod's service account; None where this is no pod.
async fn in_cluster(is_wanted: bool) -> Result<Option<Cluster>, Error> {
    let (host, port) = (text_of("KUBERNETES_SERVICE_HOST")?, text_of("KUBERNETES_SERVICE_PORT")?);
    let Some(host) = host else {
        if is_wanted {
            return Err(rejected("we run in no pod: KUBERNETES_SERVICE_HOST is not set"));
        }
        return Ok(None);
    };
    let token = Path::new(POD).join("token");
    if !is_wanted && stamp(&token).await.is_none() {
        // A pod whose service account's token is not mounted.
        return Ok(None);
    }
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let server = format!("https://{host}:{}", port.as_deref().unwrap_or("443"));
    let mut cluster = Cluster { server, ..Cluster::default() };
    cluster.take_token("the pod's token", &token).await?;
    cluster.take_authorities("the pod's ca.crt", &Path::new(POD).join("ca.crt")).await?;
    let (namespace, _) = whole("the pod's namespace", &Path::new(POD).join("namespace"), Openness::Any).await?;
    cluster.namespace = Some(String::from_utf8_lossy(&namespace).trim().to_owned());
    Ok(Some(cluster))
}

impl Cluster {
    /// A token that Kubernetes renews in its file, or that somebody puts there.
    pub(super) async fn take_token(&mut self, what: &'static str, path: &Path) -> Result<(), Error> {
        let (token, stamp) = word(what, path, Openness::Any).await?;
        self.bear(token.expose())?;
        self.files.push((path.to_owned(), stamp));
        Ok(())
    }

    /// One word of visible ASCII.
    pub(super) fn bear(&mut self, token: &[u8]) -> Result<(), Error> {
        let text = Zeroizing::new([b"Bearer ", token].concat());
        let mut value =
            HeaderValue::from_bytes(&text).map_err(|_| rejected("the token is no word of visible ASCII"))?;
        // No log shows it.
        value.set_sensitive(true);
        self.who = Some(subject(token).unwrap_or_else(|| "whoever has the bearer token".to_owned()));
        self.authorization = Some(value);
        Ok(())
    }

    pub(super) async fn take_authorities(&mut self, what: &'static str, path: &Path) -> Result<(), Error> {
        let (pem, stamp) = whole(what, path, Openness::Any).await?;
        self.authorities = Some(pem.to_vec());
        self.files.push((path.to_owned(), stamp));
        Ok(())
    }
}

/// Whom a token that is a JWT says to be of: for people, since nobody has verified it here.
fn subject(token: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Claims {
        sub: String,
    }
    let claims = token.split(|byte| *byte == b'.').nth(1)?;
    // Without padding and with another alphabet.
    let mut text: Vec<u8> = claims
        .iter()
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect();
    text.resize(text.len().next_multiple_of(4), b'=');
    let claims = STANDARD.decode(text).ok()?;
    let Claims { sub } = serde_json::from_slice(&claims).ok()?;
    Some(clean(&sub))
}

pub(super) fn rejected(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::CredentialsRejected, format!("Kubernetes: no credentials: {why}"))
}

/// A variable that is set and not empty.
pub(super) fn text_of(name: &str) -> Result<Option<String>, Error> {
    match std::env::var_os(name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(Err(_)) => Err(rejected(format!("{name} is not UTF-8"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_token_is_of_is_what_it_says_and_nothing_if_it_says_nothing() {
        // {"sub":"system:serviceaccount:n:a"}
        let token = b"e30.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6bjphIn0.c2ln";
        assert_eq!(subject(token).as_deref(), Some("system:serviceaccount:n:a"));
        for odd in [&b"opaque"[..], b"a.b.c", b"..", b"", b"e30.e30.x"] {
            assert_eq!(subject(odd), None, "{odd:?}");
        }
    }
}
