//! A scope whose provider is `databricks`.

use super::files;
use super::section::Section;
use super::text::{self, UrlError};
use crate::config::diagnostic::Diagnostic;
use crate::config::keys;
use crate::config::settings::{DatabricksAuth, DatabricksSettings};
use crate::config::written::{Item, Value};

const HOST: &str = "an address such as \"https://adb-1.azuredatabricks.net\"";

#[derive(Clone, Copy, PartialEq)]
enum Method {
    Pat,
    OauthM2m,
}

impl Method {
    const ALL: &[(&str, Self)] = &[("pat", Self::Pat), ("oauth-m2m", Self::OauthM2m)];

    fn name(self) -> &'static str {
        match self {
            Self::Pat => "pat",
            Self::OauthM2m => "oauth-m2m",
        }
    }

    fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Pat => &["token_file"],
            Self::OauthM2m => &["client_id", "client_secret_file"],
        }
    }
}

/// None where there is nothing to make of it; the problems say why.
pub fn read(section: &Section<'_>) -> Option<DatabricksSettings> {
    let host = host(section);
    let auth = match (section.inside("auth", keys::DATABRICKS_AUTH), section.get("auth")) {
        (Some(inside), Some(item)) => {
            // A token must not go wherever the environment points to.
            if section.get("host").is_none() {
                section.add(
                    Diagnostic::error(format!("{} has no `host`", section.title()))
                        .at(item.key.clone())
                        .label(format!("expected `host` beside it: {HOST}")),
                );
            }
            auth(&inside, item)
        }
        _ => Some(DatabricksAuth::Default),
    };
    let prefix = prefix(section);
    let ca_file = section.path("ca_file").map(|(path, item)| {
        files::judge_ca_file(section, &path, item);
        path
    });
    Some(DatabricksSettings { host, prefix, ca_file, auth: auth? })
}

fn host(section: &Section<'_>) -> Option<String> {
    let (text, item) = section.string("host", HOST)?;
    let refuse = |expected: &str| section.refuse("host", item, expected);
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
                    Diagnostic::warning(format!("{} is not encrypted", section.name("host")))
                        .at(item.place.clone())
                        .label("the token and values cross the network in plaintext")
                        .help("use https"),
                );
            }
        }
        Err(UrlError::Scheme) => refuse("an address that starts with `https://`"),
        Err(UrlError::Host) => refuse(HOST),
        Err(UrlError::Port) => refuse("an address whose port is a number from 1 to 65535"),
        Err(UrlError::Credential) => refuse("an address without a user or password"),
        Err(UrlError::Rest) => refuse("an address without a query, fragment or space"),
    }
    Some(text.to_owned())
}

/// The only text that may be empty: it means what leaving it out means.
fn prefix(section: &Section<'_>) -> String {
    const EXPECTED: &str = "the start of secret scopes' names, such as \"prod-\"";
    if let Some(Value::String(text)) = section.get("prefix").map(|item| &item.value)
        && text.is_empty()
    {
        return String::new();
    }
    let Some((text, item)) = section.string("prefix", EXPECTED) else { return String::new() };
    let possible = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@/".contains(&byte);
    if text.len() >= 128 || !text.bytes().all(possible) {
        section.refuse("prefix", item, &format!("{EXPECTED}: fewer than 128 letters, digits or `_-.@/`"));
    }
    text.to_owned()
}

fn auth(section: &Section<'_>, whole: &Item) -> Option<DatabricksAuth> {
    section.reject_unknown();
    if section.get("method").is_none() {
        section.add(
            Diagnostic::error(format!("{} has no `method`", section.title()))
                .at(whole.key.clone())
                .label("expected `method = \"pat\"` or \"oauth-m2m\" in it"),
        );
    }
    let method = section.choice("method", Method::ALL);
    if let (Some(method), Some(item)) = (method, section.get("method")) {
        for key in method.needs().iter().copied().filter(|key| section.get(key).is_none()) {
            section.add(
                Diagnostic::error(format!("{} has no `{key}`", section.title()))
                    .at(item.place.clone())
                    .label(format!("expected `{key}` beside it")),
            );
        }
        for key in keys::DATABRICKS_AUTH.iter().copied().filter(|key| *key != "method") {
            if let (false, Some(item)) = (method.needs().contains(&key), section.get(key)) {
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
        files::judge_credential(section, key, &path, item);
        Some(path)
    };
    let token_file = file("token_file");
    let client_secret_file = file("client_secret_file");
    let client_id = client_id(section);
    Some(match method? {
        Method::Pat => DatabricksAuth::Pat { token_file: token_file? },
        Method::OauthM2m => DatabricksAuth::OauthM2m { client_id: client_id?, client_secret_file: client_secret_file? },
    })
}

fn client_id(section: &Section<'_>) -> Option<String> {
    const EXPECTED: &str = "the application id of a service principal";
    let (text, item) = section.string("client_id", EXPECTED)?;
    // A colon would end it in the request.
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
        section.refuse("client_id", item, EXPECTED);
    }
    Some(text.to_owned())
}
