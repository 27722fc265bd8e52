//! A scope whose provider is `azure-key-vault`.

use super::files;
use super::section::Section;
use super::text::{self, UrlError};
use crate::config::diagnostic::Diagnostic;
use crate::config::keys;
use crate::config::settings::{AzureAuth, AzureKeyVaultSettings};
use crate::config::written::{Item, Value};

const AUTHORITY: &str = "an address such as \"https://login.microsoftonline.us\"";
const VAULT_URL: &str = "an address such as \"https://my-vault.vault.azure.net\"";

#[derive(Clone, Copy, PartialEq)]
enum Method {
    ClientSecret,
    Certificate,
    ManagedIdentity,
    WorkloadIdentity,
    Cli,
}

impl Method {
    const ALL: &[(&str, Self)] = &[
        ("client-secret", Self::ClientSecret),
        ("certificate", Self::Certificate),
        ("managed-identity", Self::ManagedIdentity),
        ("workload-identity", Self::WorkloadIdentity),
        ("cli", Self::Cli),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, method)| *method == self).map_or("", |(name, _)| *name)
    }

    /// The settings that it needs, and those that it may have besides.
    fn settings(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::ClientSecret => (&["tenant_id", "client_id", "client_secret_file"], &["authority_host"]),
            Self::Certificate => (&["tenant_id", "client_id", "certificate_file"], &["authority_host"]),
            Self::ManagedIdentity => (&[], &["client_id"]),
            Self::WorkloadIdentity => (&[], &["tenant_id", "client_id", "token_file", "authority_host"]),
            Self::Cli => (&[], &["tenant_id"]),
        }
    }
}

/// None where there is nothing to make of it; the problems say why.
pub fn read(section: &Section<'_>, scope: &Item) -> Option<AzureKeyVaultSettings> {
    let mut authority_host = None;
    let auth = match (section.inside("auth", keys::AZURE_AUTH), section.get("auth")) {
        (Some(inside), Some(item)) => {
            authority_host = address(&inside, "authority_host", AUTHORITY);
            auth(&inside, item)
        }
        _ => Some(AzureAuth::Default),
    };
    let prefix = prefix(section);
    let ca_file = section.path("ca_file").map(|(path, item)| {
        files::judge_ca_file(section, &path, item);
        path
    });
    let endpoint_url = address(section, "endpoint_url", VAULT_URL);
    if section.get("vault_url").is_none() {
        section.add(
            Diagnostic::error(format!("{} has no `vault_url`", section.title()))
                .at(scope.place.clone())
                .label(format!("expected the setting `vault_url`: {VAULT_URL}")),
        );
    }
    let vault_url = address(section, "vault_url", VAULT_URL)?;
    Some(AzureKeyVaultSettings { vault_url, endpoint_url, prefix, ca_file, authority_host, auth: auth? })
}

/// Azure's client speaks to nothing that is not encrypted, this machine included.
fn address(section: &Section<'_>, key: &'static str, expected: &str) -> Option<String> {
    let (text, item) = section.string(key, expected)?;
    let refuse = |expected: &str| section.refuse(key, item, expected);
    match text::parse_url(text) {
        Ok(url) => {
            let has_path = text
                .split_once("://")
                .is_some_and(|(_, rest)| rest.split_once('/').is_some_and(|(_, path)| !path.is_empty()));
            if !url.encrypted {
                refuse("an address that starts with `https://`: Azure's client sends no token without TLS");
            } else if has_path {
                refuse("an address without a path");
            }
        }
        Err(UrlError::Scheme) => refuse("an address that starts with `https://`"),
        Err(UrlError::Host) => refuse(expected),
        Err(UrlError::Port) => refuse("an address whose port is a number from 1 to 65535"),
        Err(UrlError::Credential) => refuse("an address without a user or password"),
        Err(UrlError::Rest) => refuse("an address without a query, fragment or space"),
    }
    Some(text.to_owned())
}

/// May be empty: it means what leaving it out means.
fn prefix(section: &Section<'_>) -> String {
    const EXPECTED: &str = "the start of secrets' names, such as \"prod-\"";
    if let Some(Value::String(text)) = section.get("prefix").map(|item| &item.value)
        && text.is_empty()
    {
        return String::new();
    }
    let Some((text, item)) = section.string("prefix", EXPECTED) else { return String::new() };
    if text.len() >= 127 || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        section.refuse("prefix", item, "up to 126 letters, digits or `-`: names have no others");
    }
    text.to_owned()
}

fn auth(section: &Section<'_>, whole: &Item) -> Option<AzureAuth> {
    section.reject_unknown();
    if section.get("method").is_none() {
        let words: Vec<String> = Method::ALL.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        section.add(
            Diagnostic::error(format!("{} has no `method`", section.title()))
                .at(whole.key.clone())
                .label(format!("expected `method` in it: {}", words.join(", "))),
        );
    }
    let method = section.choice("method", Method::ALL);
    if let (Some(method), Some(item)) = (method, section.get("method")) {
        let (needed, allowed) = method.settings();
        for key in needed.iter().copied().filter(|key| section.get(key).is_none()) {
            section.add(
                Diagnostic::error(format!("{} has no `{key}`", section.title()))
                    .at(item.place.clone())
                    .label(format!("expected `{key}` beside it")),
            );
        }
        for key in keys::AZURE_AUTH.iter().copied().filter(|key| *key != "method") {
            if let (false, Some(item)) = (needed.contains(&key) || allowed.contains(&key), section.get(key)) {
                let name = section.name(key);
                section.add(
                    Diagnostic::error(format!("{name} has no effect with the method \"{}\"", method.name()))
                        .at(item.key.clone())
                        .help("remove it, or use another method"),
                );
            }
        }
    }
    let file = |key: &'static str| {
        let (path, item) = section.path(key)?;
        // A platform's own token may be as open as the platform likes.
        if key != "token_file" {
            files::judge_credential(section, key, &path, item);
        }
        Some(path)
    };
    let (client_secret_file, certificate_file) = (file("client_secret_file"), file("certificate_file"));
    let token_file = file("token_file");
    let tenant_id = id(section, "tenant_id", "the id of a tenant");
    let client_id = id(section, "client_id", "the id of an application");
    Some(match method? {
        Method::ClientSecret => AzureAuth::ClientSecret {
            tenant_id: tenant_id?,
            client_id: client_id?,
            client_secret_file: client_secret_file?,
        },
        Method::Certificate => {
            AzureAuth::Certificate { tenant_id: tenant_id?, client_id: client_id?, certificate_file: certificate_file? }
        }
        Method::ManagedIdentity => AzureAuth::ManagedIdentity { client_id },
        Method::WorkloadIdentity => AzureAuth::WorkloadIdentity { tenant_id, client_id, token_file },
        Method::Cli => AzureAuth::Cli { tenant_id },
    })
}

/// A GUID, or a domain; it becomes a part of a URL, or of a command.
fn id(section: &Section<'_>, key: &'static str, expected: &str) -> Option<String> {
    let (text, item) = section.string(key, expected)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) || text.len() > 253 || !text.bytes().all(plain) {
        section.refuse(key, item, &format!("{expected}: letters, digits, `-` and `.`"));
    }
    Some(text.to_owned())
}
