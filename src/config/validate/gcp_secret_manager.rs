//! A scope whose provider is `gcp-secret-manager`.

use super::auth_method::AuthMethod;
use super::section::Section;
use super::{address, auth_method, files, prefix, text};
use crate::config::diagnostic::Diagnostic;
use crate::config::keys;
use crate::config::settings::{GcpAuth, GcpSecretManagerSettings};
use crate::config::written::Item;

/// How we come by credentials, where the application default ones are not meant.
#[derive(Clone, Copy)]
enum Method {
    ServiceAccount,
    AccessToken,
    Impersonate,
    Anonymous,
}

const METHODS: &[AuthMethod<Method>] = &[
    AuthMethod { name: "service-account", means: Method::ServiceAccount, needs: &["key_file"], takes: &[] },
    AuthMethod { name: "access-token", means: Method::AccessToken, needs: &["token_file"], takes: &[] },
    AuthMethod { name: "impersonate", means: Method::Impersonate, needs: &["service_account"], takes: &[] },
    AuthMethod { name: "anonymous", means: Method::Anonymous, needs: &[], takes: &[] },
];

/// None without a usable `project`.
pub fn read(section: &Section<'_>, scope: &Item) -> Option<GcpSecretManagerSettings> {
    let auth = match (section.inside("auth", keys::GCP_AUTH), section.get("auth")) {
        (Some(inside), Some(item)) => auth(section, &inside, item),
        _ => GcpAuth::ApplicationDefault,
    };
    let location = location(section);
    let prefix = prefix(section);
    let endpoint_url = address::endpoint(section);
    let project = project(section, scope)?;
    Some(GcpSecretManagerSettings { project, location, prefix, endpoint_url, auth })
}

fn project(section: &Section<'_>, scope: &Item) -> Option<String> {
    const EXPECTED: &str = "the id of a project, such as \"my-project\"";
    section.require("project", EXPECTED, scope);
    let (text, item) = section.string("project", EXPECTED)?;
    if !text::is_project(text) {
        section.refuse("project", item, EXPECTED);
    }
    Some(text.to_owned())
}

fn location(section: &Section<'_>) -> Option<String> {
    const EXPECTED: &str = "a location such as \"europe-west3\"";
    let (text, item) = section.string("location", EXPECTED)?;
    if !text::is_region(text) {
        section.refuse("location", item, EXPECTED);
    }
    Some(text.to_owned())
}

fn prefix(section: &Section<'_>) -> String {
    let is_right = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        text.len() < 255 && text.bytes().all(plain)
    };
    let otherwise = "up to 254 letters, digits, `_` or `-`: ids have no others";
    prefix::read(section, "the start of secrets' ids, such as \"prod-\"", is_right, otherwise)
}

fn auth(scope: &Section<'_>, section: &Section<'_>, whole: &Item) -> GcpAuth {
    let method = auth_method::choose(section, whole, keys::GCP_AUTH, METHODS);
    let file = |key: &'static str| {
        section.path(key).map(|(path, item)| {
            files::judge_credential(section, key, &path, item);
            path
        })
    };
    let (key_file, token_file, service_account) = (file("key_file"), file("token_file"), service_account(section));
    match method {
        Some(Method::ServiceAccount) => key_file.map(|key_file| GcpAuth::ServiceAccount { key_file }),
        Some(Method::AccessToken) => token_file.map(|token_file| GcpAuth::AccessToken { token_file }),
        Some(Method::Impersonate) => service_account.map(|service_account| GcpAuth::Impersonate { service_account }),
        Some(Method::Anonymous) => {
            if scope.get("endpoint_url").is_none() {
                section.add(
                    Diagnostic::error("Google answers nobody who is anonymous")
                        .at(whole.key.clone())
                        .help("set `endpoint_url` to an emulator's address, or remove `auth`"),
                );
            }
            Some(GcpAuth::Anonymous)
        }
        None => None,
    }
    .unwrap_or(GcpAuth::ApplicationDefault)
}

fn service_account(section: &Section<'_>) -> Option<String> {
    let (text, item) = section.string("service_account", text::SERVICE_ACCOUNT)?;
    if !text::is_service_account(text) {
        section.refuse("service_account", item, text::SERVICE_ACCOUNT);
    }
    Some(text.to_owned())
}
