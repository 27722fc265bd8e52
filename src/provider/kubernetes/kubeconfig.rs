//! A context of a kubeconfig.
//!
//! What kubectl would do with it that a daemon should not is refused by name: no program is run for credentials, and
//! no certificate goes unverified.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::{AuthInfo, Cluster as ClusterEntry, Kubeconfig};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::cluster::{Cluster, rejected};
use crate::provider::rest::{Openness, Stamp, as_word, clean, stamp, whole};
use crate::provider::{Error, ErrorKind};

/// `file`, or those that `KUBECONFIG` names, or `~/.kube/config`.
pub(super) async fn find(file: Option<&Path>, context: Option<&str>) -> Result<Cluster, Error> {
    let paths = match file {
        Some(file) => vec![file.to_owned()],
        None => usual()?,
    };
    let (config, files) = read(&paths, file.is_some()).await?;
    let shown = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":");
    let of = |what: &str, name: &str| rejected(format!("{shown} has no {what} `{}`", clean(name)));

    let name = context.or(config.current_context.as_deref()).filter(|name| !name.is_empty());
    let name =
        name.ok_or_else(|| rejected(format!("{shown} has no current-context, and none is set with `context`")))?;
    let context = config.contexts.iter().find(|it| it.name == name).and_then(|it| it.context.as_ref());
    let context = context.ok_or_else(|| of("context", name))?;
    let entry = config.clusters.iter().find(|it| it.name == context.cluster).and_then(|it| it.cluster.as_ref());
    let entry = entry.ok_or_else(|| of("cluster", &context.cluster))?;
    let user = match &context.user {
        None => None,
        Some(user) => {
            let info = config.auth_infos.iter().find(|it| it.name == *user).and_then(|it| it.auth_info.as_ref());
            Some((user.as_str(), info.ok_or_else(|| of("user", user))?))
        }
    };
    let mut cluster = Cluster { files, namespace: context.namespace.clone(), ..Cluster::default() };
    take_cluster(&mut cluster, entry, &format!("cluster `{}` of {shown}", clean(&context.cluster))).await?;
    if let Some((name, info)) = user {
        take_user(&mut cluster, info, &format!("user `{}` of {shown}", clean(name))).await?;
    }
    Ok(cluster)
}

fn usual() -> Result<Vec<PathBuf>, Error> {
    let set = |name| std::env::var_os(name).filter(|it: &OsString| !it.is_empty());
    if let Some(list) = set("KUBECONFIG") {
        return Ok(std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect());
    }
    let home = set("HOME").ok_or_else(|| rejected("we run in no pod, and neither KUBECONFIG nor HOME is set"))?;
    Ok(vec![PathBuf::from(home).join(".kube/config")])
}

/// All of them as one; the first that says something counts. As kubectl does, one that is not there is passed over.
async fn read(paths: &[PathBuf], is_wanted: bool) -> Result<(Kubeconfig, Vec<(PathBuf, Stamp)>), Error> {
    let (mut merged, mut files) = (Kubeconfig::default(), Vec::new());
    for path in paths {
        if !is_wanted && stamp(path).await.is_none() {
            continue;
        }
        let (bytes, stamp) = whole("kubeconfig", path, Openness::Private).await?;
        // The parser's own error might quote a token.
        let broken = || Error::new(ErrorKind::CredentialsRejected, format!("{} is no kubeconfig", path.display()));
        let text = std::str::from_utf8(&bytes).map_err(|_| broken())?;
        let mut one = Kubeconfig::from_yaml(text).map_err(|_| broken())?;
        make_absolute(&mut one, path.parent().unwrap_or(Path::new("/")));
        merged = merged.merge(one).map_err(|_| broken())?;
        files.push((path.clone(), stamp));
    }
    if files.is_empty() {
        let shown = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        return Err(rejected(format!("we run in no pod, and there is no kubeconfig at {shown}")));
    }
    Ok((merged, files))
}

/// Paths in a kubeconfig count from where it is.
fn make_absolute(config: &mut Kubeconfig, folder: &Path) {
    let absolute = |path: &mut Option<String>| {
        if let Some(path) = path
            && !path.is_empty()
        {
            *path = folder.join(&*path).to_string_lossy().into_owned();
        }
    };
    for cluster in config.clusters.iter_mut().filter_map(|it| it.cluster.as_mut()) {
        absolute(&mut cluster.certificate_authority);
    }
    for user in config.auth_infos.iter_mut().filter_map(|it| it.auth_info.as_mut()) {
        absolute(&mut user.client_certificate);
        absolute(&mut user.client_key);
        absolute(&mut user.token_file);
    }
}

async fn take_cluster(cluster: &mut Cluster, entry: &ClusterEntry, shown: &str) -> Result<(), Error> {
    let refuse = |why: &str| Err(Error::new(ErrorKind::Malformed, format!("{shown} {why}")));
    if entry.insecure_skip_tls_verify == Some(true) {
        return refuse("has insecure-skip-tls-verify: name its authority instead, in it or with `ca_file`");
    }
    if entry.tls_server_name.as_ref().is_some_and(|it| !it.is_empty()) {
        return refuse("has tls-server-name, which hushfs does not know: set `endpoint_url` to that name");
    }
    if entry.proxy_url.as_ref().is_some_and(|it| !it.is_empty()) {
        return refuse("has proxy-url, which hushfs does not know: set HTTPS_PROXY for the daemon");
    }
    let server = entry.server.as_deref().unwrap_or_default();
    if !server.starts_with("https://") && !server.starts_with("http://") {
        return refuse("has no `server` such as https://HOST:PORT");
    }
    server.trim_end_matches('/').clone_into(&mut cluster.server);
    if let Some(data) = non_empty(entry.certificate_authority_data.as_ref()) {
        cluster.authorities = Some(decoded(data, &format!("certificate-authority-data in {shown}"))?.to_vec());
    } else if let Some(path) = non_empty(entry.certificate_authority.as_ref()) {
        cluster.take_authorities("certificate-authority", Path::new(path)).await?;
    }
    Ok(())
}

async fn take_user(cluster: &mut Cluster, info: &AuthInfo, shown: &str) -> Result<(), Error> {
    let refuse = |why: &str| Err(Error::new(ErrorKind::CredentialsRejected, format!("{shown} {why}")));
    if info.exec.is_some() || info.auth_provider.is_some() {
        return refuse(
            "has its credentials made by a program (exec or auth-provider), and hushfs runs none: use a service \
             account's token, in a file that is kept fresh, with `auth = { method = \"token\", token_file = … }`",
        );
    }
    if info.username.is_some() || info.password.is_some() {
        return refuse("has a user and password, which Kubernetes does not take any more");
    }
    let others = [info.impersonate.is_some(), info.impersonate_uid.is_some(), info.impersonate_groups.is_some()];
    if others.contains(&true) || info.impersonate_user_extra.is_some() {
        return refuse("acts as another user (`as`): write an [[identity]] with kubernetes.service_account");
    }
    if let Some(token) = info.token.as_ref().map(ExposeSecret::expose_secret).filter(|it| !it.is_empty()) {
        let Some(word) = as_word(token.as_bytes()) else { return refuse("has a token that is not one word") };
        cluster.bear(word)?;
    } else if let Some(path) = non_empty(info.token_file.as_ref()) {
        cluster.take_token("tokenFile", Path::new(path)).await?;
    }
    let data = info.client_certificate_data.as_deref();
    // Only its key is a secret.
    let certificate = part(cluster, data, info.client_certificate.as_ref(), Openness::Any, shown).await?;
    let data = info.client_key_data.as_ref().map(ExposeSecret::expose_secret);
    let key = part(cluster, data, info.client_key.as_ref(), Openness::Private, shown).await?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            cluster.identity = Some(Zeroizing::new([certificate.as_slice(), b"\n", key.as_slice()].concat()));
            cluster.who.get_or_insert_with(|| format!("whoever the client certificate of {shown} is of"));
        }
        (None, None) => {}
        (Some(_), None) | (None, Some(_)) => return refuse("has a client certificate or its key, and not both"),
    }
    Ok(())
}

/// A part of a client certificate, as data or in a file.
async fn part(
    cluster: &mut Cluster,
    data: Option<&str>,
    file: Option<&String>,
    openness: Openness,
    shown: &str,
) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    if let Some(data) = data.filter(|it| !it.is_empty()) {
        return decoded(data, &format!("the client certificate or key in {shown}")).map(Some);
    }
    let Some(path) = non_empty(file) else { return Ok(None) };
    let (bytes, stamp) = whole("client certificate or key", Path::new(path), openness).await?;
    cluster.files.push((PathBuf::from(path), stamp));
    Ok(Some(bytes))
}

fn non_empty(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

fn decoded(data: &str, what: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut bytes = Zeroizing::new(Vec::new());
    let text: Zeroizing<String> = Zeroizing::new(data.split_ascii_whitespace().collect());
    STANDARD
        .decode_vec(text.as_bytes(), &mut bytes)
        .map_err(|_| Error::new(ErrorKind::CredentialsRejected, format!("{what} is not base64")))?;
    Ok(bytes)
}
