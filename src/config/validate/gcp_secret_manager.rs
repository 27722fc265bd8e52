//! A scope whose provider is `gcp-secret-manager`.

use super::section::Section;
use super::{endpoint, files, text};
use crate::config::diagnostic::Diagnostic;
use crate::config::keys;
use crate::config::settings::{GcpAuth, GcpSecretManagerSettings};
use crate::config::written::{Item, Value};

/// How we come by credentials, where the application default ones are not meant.
#[derive(Clone, Copy, PartialEq)]
enum Method {
    ServiceAccount,
    AccessToken,
    Impersonate,
    Anonymous,
}

const METHODS: &[(&str, Method)] = &[
    ("service-account", Method::ServiceAccount),
    ("access-token", Method::AccessToken),
    ("impersonate", Method::Impersonate),
    ("anonymous", Method::Anonymous),
];

impl Method {
    /// The setting that it needs.
    fn needs(self) -> Option<&'static str> {
        match self {
            Self::ServiceAccount => Some("key_file"),
            Self::AccessToken => Some("token_file"),
            Self::Impersonate => Some("service_account"),
            Self::Anonymous => None,
        }
    }
}

/// None without a usable `project`.
pub fn read(section: &Section<'_>, scope: &Item) -> Option<GcpSecretManagerSettings> {
    let auth = match (section.inside("auth", keys::GCP_AUTH), section.get("auth")) {
        (Some(inside), Some(item)) => auth(section, &inside, item),
        _ => GcpAuth::ApplicationDefault,
    };
    let location = location(section);
    let prefix = prefix(section);
    let endpoint_url = endpoint::read(section);
    let project = project(section, scope)?;
    Some(GcpSecretManagerSettings { project, location, prefix, endpoint_url, auth })
}

fn project(section: &Section<'_>, scope: &Item) -> Option<String> {
    const EXPECTED: &str = "the id of a project, such as \"my-project\"";
    if section.get("project").is_none() {
        section.add(
            Diagnostic::error(format!("{} has no `project`", section.title()))
                .at(scope.place.clone())
                .label(format!("expected the setting `project`: {EXPECTED}")),
        );
    }
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

/// May be empty: it means what leaving it out means.
fn prefix(section: &Section<'_>) -> String {
    const EXPECTED: &str = "the start of secrets' ids, such as \"prod-\"";
    if let Some(Value::String(text)) = section.get("prefix").map(|item| &item.value)
        && text.is_empty()
    {
        return String::new();
    }
    let Some((text, item)) = section.string("prefix", EXPECTED) else { return String::new() };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if text.len() >= 255 || !text.bytes().all(plain) {
        section.refuse("prefix", item, "up to 254 letters, digits, `_` or `-`: ids have no others");
    }
    text.to_owned()
}

fn auth(scope: &Section<'_>, section: &Section<'_>, whole: &Item) -> GcpAuth {
    section.reject_unknown();
    let method = section.choice("method", METHODS);
    let needed = method.map_or(Some("method"), Method::needs);
    if let Some(needed) = needed
        && section.get(needed).is_none()
    {
        let problem = Diagnostic::error(format!("{} has no `{needed}`", section.title()));
        section.add(match section.get("method") {
            Some(method) => problem.at(method.place.clone()).label(format!("expected `{needed}` beside it")),
            None => problem.at(whole.key.clone()).label("expected `method = \"service-account\"` or another in it"),
        });
    }
    for (name, owner) in METHODS {
        if let (Some(method), Some(key)) = (method, owner.needs())
            && method != *owner
            && let Some(item) = section.get(key)
        {
            section.add(
                Diagnostic::error(format!("{} has no effect with this method", section.name(key)))
                    .at(item.key.clone())
                    .help(format!("remove it, or use the method \"{name}\"")),
            );
        }
    }
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
