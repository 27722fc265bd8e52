//! A scope whose provider is `databricks`.

use super::address::{self, Plaintext};
use super::auth_method::{self, AuthMethod};
use super::section::Section;
use super::{files, prefix};
use crate::config::diagnostic::Diagnostic;
use crate::config::keys;
use crate::config::settings::{DatabricksAuth, DatabricksSettings};
use crate::config::written::Item;

const PLAINTEXT: Plaintext = Plaintext::Warned("the token and values cross the network in plaintext");
const HOST: &str = "an address such as \"https://adb-1.azuredatabricks.net\"";

#[derive(Clone, Copy)]
enum Method {
    Pat,
    OauthM2m,
}

const METHODS: &[AuthMethod<Method>] = &[
    AuthMethod { name: "pat", means: Method::Pat, needs: &["token_file"], takes: &[] },
    AuthMethod { name: "oauth-m2m", means: Method::OauthM2m, needs: &["client_id", "client_secret_file"], takes: &[] },
];

/// None where there is nothing to make of it; the problems say why.
pub fn read(section: &Section<'_>) -> Option<DatabricksSettings> {
    let host = address::read(section, "host", HOST, PLAINTEXT, false);
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

fn prefix(section: &Section<'_>) -> String {
    const OTHERWISE: &str =
        "the start of secret scopes' names, such as \"prod-\": fewer than 128 letters, digits or `_-.@/`";
    let is_right = |text: &str| {
        let possible = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@/".contains(&byte);
        text.len() < 128 && text.bytes().all(possible)
    };
    prefix::read(section, "the start of secret scopes' names, such as \"prod-\"", is_right, OTHERWISE)
}

fn auth(section: &Section<'_>, whole: &Item) -> Option<DatabricksAuth> {
    let method = auth_method::choose(section, whole, keys::DATABRICKS_AUTH, METHODS);
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
