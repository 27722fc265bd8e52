//! A scope whose provider is `vault`.

use std::path::PathBuf;

use super::files;
use super::section::Section;
use super::text::{self, UrlError};
use crate::config::diagnostic::Diagnostic;
use crate::config::keys;
use crate::config::settings::{KvVersion, LeasedEngine, VaultAuth, VaultEngine, VaultSettings};
use crate::config::suggest::nearest;
use crate::config::written::{Item, Value};

/// Where Kubernetes puts a pod's own token.
const POD_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const ADDRESS: &str = "an address such as \"https://vault.example:8200\"";

#[derive(Clone, Copy, PartialEq)]
enum Method {
    Token,
    AppRole,
    Kubernetes,
    Jwt,
    Aws,
    Cert,
}

impl Method {
    const ALL: &[(&str, Self)] = &[
        ("token", Self::Token),
        ("approle", Self::AppRole),
        ("kubernetes", Self::Kubernetes),
        ("jwt", Self::Jwt),
        ("aws", Self::Aws),
        ("cert", Self::Cert),
    ];

    /// What it must be given, and what it may be besides.
    fn settings(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Token => (&[], &["token_file"]),
            Self::AppRole => (&["role_id_file", "secret_id_file"], &["wrapped", "mount"]),
            Self::Kubernetes => (&["role"], &["token_file", "mount"]),
            Self::Jwt => (&["role", "token_file"], &["mount"]),
            Self::Aws => (&["role"], &["mount", "region", "header_value"]),
            Self::Cert => (&["cert_file", "key_file"], &["role", "mount"]),
        }
    }

    /// Also where it is mounted unless somebody chose otherwise.
    fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::AppRole => "approle",
            Self::Kubernetes => "kubernetes",
            Self::Jwt => "jwt",
            Self::Aws => "aws",
            Self::Cert => "cert",
        }
    }
}

/// None where there is nothing to make of it; the problems say why.
pub fn read(section: &Section<'_>, scope: &Item) -> Option<VaultSettings> {
    let auth = match (section.inside("auth", keys::VAULT_AUTH), section.get("auth")) {
        (Some(inside), Some(item)) => auth(&inside, item),
        _ => Some(VaultAuth::Token { file: None }),
    };
    let mount = folder(section, "mount", "where the engine is mounted, such as \"secret\"");
    let prefix = match section.get("prefix").map(|item| &item.value) {
        Some(Value::String(text)) if text.is_empty() => None,
        _ => folder(section, "prefix", "folders of the mount, such as \"prod/\""),
    };
    let ca_file = section.path("ca_file").map(|(path, item)| {
        files::judge_ca_file(section, &path, item);
        path
    });
    let engine = engine(section);
    if let (Some(VaultEngine::Leased(leased)), Some(item)) = (engine, section.get("prefix")) {
        section.add(
            Diagnostic::error(format!(
                "{} has no effect with the engine \"{}\"",
                section.name("prefix"),
                leased.name()
            ))
            .at(item.key.clone())
            .label("its roles are in no folders")
            .help("remove it"),
        );
    }
    let engine = engine.unwrap_or(VaultEngine::Kv(KvVersion::Two));
    let namespace = folder(section, "namespace", "a namespace such as \"team\"");
    let address = address(section, scope)?;
    Some(VaultSettings {
        address,
        mount: mount.unwrap_or_else(|| mounted_by_default(engine).to_owned()),
        prefix: prefix.unwrap_or_default(),
        engine,
        namespace,
        ca_file,
        auth: auth?,
    })
}

/// `kv`: a version of the key-value engine, or another engine by its name. None where it is not set, or wrong.
fn engine(section: &Section<'_>) -> Option<VaultEngine> {
    let item = section.get("kv")?;
    let choices: Vec<_> = LeasedEngine::ALL.iter().map(|engine| (engine.name(), *engine)).collect();
    match &item.value {
        Value::String(text) if nearest(text, choices.iter().map(|(name, _)| *name)).is_some() => {
            section.choice("kv", &choices).map(VaultEngine::Leased)
        }
        Value::Integer(Some(1)) => Some(VaultEngine::Kv(KvVersion::One)),
        Value::Integer(Some(2)) => Some(VaultEngine::Kv(KvVersion::Two)),
        other => {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let expected = format!("1 or 2 without quotes, or another engine: {}", names.join(", "));
            match other {
                Value::String(_) | Value::Integer(_) => section.refuse("kv", item, &expected),
                _ => section.add(section.wrong_type("kv", item, &expected)),
            }
            None
        }
    }
}

fn mounted_by_default(engine: VaultEngine) -> &'static str {
    match engine {
        VaultEngine::Kv(_) => "secret",
        VaultEngine::Leased(leased) => leased.name(),
    }
}

fn address(section: &Section<'_>, scope: &Item) -> Option<String> {
    if section.get("address").is_none() {
        section.add(
            Diagnostic::error(format!("{} has no `address`", section.title()))
                .at(scope.place.clone())
                .label(format!("expected the setting `address`: {ADDRESS}")),
        );
    }
    let (text, item) = section.string("address", ADDRESS)?;
    let refuse = |expected: &str| section.refuse("address", item, expected);
    match text::parse_url(text) {
        Ok(url) => {
            let has_path = text
                .split_once("://")
                .is_some_and(|(_, rest)| rest.split_once('/').is_some_and(|(_, path)| !path.is_empty()));
            if has_path {
                refuse("an address without a path");
            }
            if !url.encrypted && !url.loopback {
                section.add(
                    Diagnostic::warning(format!("{} is not encrypted", section.name("address")))
                        .at(item.place.clone())
                        .label("the token and values cross the network in plaintext")
                        .help("use https"),
                );
            }
        }
        Err(UrlError::Scheme) => refuse("an address that starts with `https://` or `http://`"),
        Err(UrlError::Host) => refuse("an address with a host, such as \"https://host:port\""),
        Err(UrlError::Port) => refuse("an address whose port is a number from 1 to 65535"),
        Err(UrlError::Credential) => refuse("an address without a user or password"),
        Err(UrlError::Rest) => refuse("an address without a query, fragment or space"),
    }
    Some(text.to_owned())
}

/// A path inside of Vault, which a name must not be able to leave.
fn folder(section: &Section<'_>, key: &'static str, expected: &str) -> Option<String> {
    let (text, item) = section.string(key, expected)?;
    if !text::is_folder(text) {
        section.refuse(key, item, &format!("{expected}: no empty part, no `.` or `..`, and printable ASCII"));
    }
    Some(text.trim_matches('/').to_owned())
}

fn text_of(section: &Section<'_>, key: &'static str, expected: &str, is_right: fn(&str) -> bool) -> Option<String> {
    let (text, item) = section.string(key, expected)?;
    if !is_right(text) {
        section.refuse(key, item, expected);
    }
    Some(text.to_owned())
}

/// Something that can be in an HTTP header as it is.
fn is_word(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn auth(section: &Section<'_>, whole: &Item) -> Option<VaultAuth> {
    section.reject_unknown();
    let words: Vec<String> = Method::ALL.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    if section.get("method").is_none() {
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
        for key in keys::VAULT_AUTH.iter().copied().filter(|key| *key != "method") {
            if let (false, Some(item)) = (needed.contains(&key) || allowed.contains(&key), section.get(key)) {
                section.add(
                    Diagnostic::error(format!(
                        "{} has no effect with the method \"{}\"",
                        section.name(key),
                        method.name()
                    ))
                    .at(item.key.clone())
                    .help("remove it, or use another method"),
                );
            }
        }
    }
    // A platform's own token may be as open as the platform likes.
    let token = matches!(method, None | Some(Method::Token));
    let file = |key: &'static str, private: bool| -> Option<PathBuf> {
        let (path, item) = section.path(key)?;
        if private {
            files::judge_credential(section, key, &path, item);
        }
        Some(path)
    };
    let token_file = file("token_file", token);
    let role_id_file = file("role_id_file", false);
    let secret_id_file = file("secret_id_file", true);
    let cert_file = file("cert_file", false);
    let key_file = file("key_file", true);
    let role = section.string("role", "the name of a role").map(|(text, _)| text.to_owned());
    let wrapped = section.boolean("wrapped").unwrap_or(false);
    let region = text_of(section, "region", "a region such as \"eu-central-1\"", text::is_region);
    let header_value = text_of(section, "header_value", "a word without spaces, such as \"vault.example\"", is_word);
    let mount = folder(section, "mount", "where the method is mounted below auth/, such as \"approle\"");
    let method = method?;
    let mount = mount.unwrap_or_else(|| method.name().to_owned());
    Some(match method {
        Method::Token => VaultAuth::Token { file: token_file },
        Method::AppRole => {
            VaultAuth::AppRole { mount, role_id_file: role_id_file?, secret_id_file: secret_id_file?, wrapped }
        }
        Method::Kubernetes => {
            let token_file = token_file.unwrap_or_else(|| PathBuf::from(POD_TOKEN));
            VaultAuth::Kubernetes { mount, role: role?, token_file }
        }
        Method::Jwt => VaultAuth::Jwt { mount, role: role?, token_file: token_file? },
        Method::Aws if cfg!(feature = "aws") => VaultAuth::Aws { mount, role: role?, region, header_value },
        Method::Aws => {
            section.add(
                Diagnostic::error(format!("{} needs what this hushfs was built without", section.name("method")))
                    .at(whole.place.clone())
                    .label("the method \"aws\" takes its credentials from the feature `aws`")
                    .help("use a hushfs that has it, or another method"),
            );
            return None;
        }
        Method::Cert => VaultAuth::Cert { mount, role, cert_file: cert_file?, key_file: key_file? },
    })
}
