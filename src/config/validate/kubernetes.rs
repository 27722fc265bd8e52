//! A scope whose provider is `kubernetes`.

use super::auth_method::{self, AuthMethod};
use super::section::Section;
use super::{address, files, prefix, text};
use crate::config::diagnostic::Diagnostic;
use crate::config::keys;
use crate::config::settings::{KubernetesAuth, KubernetesKind, KubernetesSettings};
use crate::config::written::Item;

#[derive(Clone, Copy, PartialEq)]
enum Method {
    InCluster,
    Kubeconfig,
    Token,
}

const METHODS: &[AuthMethod<Method>] = &[
    AuthMethod { name: "in-cluster", means: Method::InCluster, needs: &[], takes: &[] },
    AuthMethod { name: "kubeconfig", means: Method::Kubeconfig, needs: &[], takes: &["kubeconfig", "context"] },
    AuthMethod { name: "token", means: Method::Token, needs: &["token_file"], takes: &[] },
];

/// None where there is nothing to make of it; the problems say why.
pub fn read(section: &Section<'_>) -> Option<KubernetesSettings> {
    let namespace = namespace(section);
    let kinds = [("secrets", KubernetesKind::Secrets), ("configmaps", KubernetesKind::ConfigMaps)];
    let kind = section.choice("kind", &kinds).unwrap_or(KubernetesKind::Secrets);
    let labels = labels(section);
    let prefix = prefix(section);
    let endpoint_url = address::endpoint(section);
    let ca_file = section.path("ca_file").map(|(path, item)| {
        files::judge_ca_file(section, &path, item);
        path
    });
    let auth = match (section.inside("auth", keys::KUBERNETES_AUTH), section.get("auth")) {
        (Some(inside), Some(item)) => auth(section, &inside, item),
        _ => Some(KubernetesAuth::Default),
    };
    Some(KubernetesSettings { namespace, kind, labels, prefix, endpoint_url, ca_file, auth: auth? })
}

fn namespace(section: &Section<'_>) -> Option<String> {
    const EXPECTED: &str = "the name of a namespace, such as \"dagster-prd\"";
    let (text, item) = section.string("namespace", EXPECTED)?;
    if !text::is_namespace(text) {
        section.refuse("namespace", item, EXPECTED);
    }
    Some(text.to_owned())
}

/// The server reads it; here only that it can stand in a URL and a log.
fn labels(section: &Section<'_>) -> Option<String> {
    const EXPECTED: &str = "a label selector, such as \"app=db,tier!=test\" or \"tier in (a, b)\"";
    let (text, item) = section.string("labels", EXPECTED)?;
    let possible = |byte: u8| byte.is_ascii_alphanumeric() || b" -_./=!,()<>".contains(&byte);
    if text.len() > 1024 || text.trim().is_empty() || !text.bytes().all(possible) {
        section.refuse("labels", item, EXPECTED);
    }
    Some(text.to_owned())
}

fn prefix(section: &Section<'_>) -> String {
    const OTHERWISE: &str = "the start of objects' names, such as \"prod-\": lower-case letters, digits, `-` and `.`";
    let is_right = |text: &str| {
        let possible = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        text.len() < 253 && text.bytes().all(possible) && !text.starts_with(['-', '.'])
    };
    prefix::read(section, "the start of objects' names, such as \"prod-\"", is_right, OTHERWISE)
}

fn auth(scope: &Section<'_>, section: &Section<'_>, whole: &Item) -> Option<KubernetesAuth> {
    let method = auth_method::choose(section, whole, keys::KUBERNETES_AUTH, METHODS);
    // A token must not go wherever a file or the environment points to.
    if method == Some(Method::Token) && scope.get("endpoint_url").is_none() {
        scope.add(
            Diagnostic::error(format!("{} has no `endpoint_url`", scope.title()))
                .at(whole.key.clone())
                .label("expected `endpoint_url` beside it: a token does not say which API server it is for"),
        );
    }
    let file = |key: &'static str| {
        let (path, item) = section.path(key)?;
        files::judge_credential(section, key, &path, item);
        Some(path)
    };
    let kubeconfig = file("kubeconfig");
    // Kubernetes puts a pod's token there for everybody in the pod.
    let token_file = section.path("token_file").map(|(path, _)| path);
    let context = section.string("context", "the name of a context of the kubeconfig").map(|(text, _)| text.to_owned());
    Some(match method? {
        Method::InCluster => KubernetesAuth::InCluster,
        Method::Kubeconfig => KubernetesAuth::Kubeconfig { file: kubeconfig, context },
        Method::Token => KubernetesAuth::Token { token_file: token_file? },
    })
}
