//! A scope whose provider is `azure-key-vault`.

use super::address::{self, Plaintext};
use super::auth_method::{self, AuthMethod};
use super::section::Section;
use super::{files, prefix};
use crate::config::keys;
use crate::config::settings::{AzureAuth, AzureKeyVaultSettings};
use crate::config::written::Item;

const AUTHORITY: &str = "an address such as \"https://login.microsoftonline.us\"";
const VAULT_URL: &str = "an address such as \"https://my-vault.vault.azure.net\"";

#[derive(Clone, Copy)]
enum Method {
    ClientSecret,
    Certificate,
    ManagedIdentity,
    WorkloadIdentity,
    Cli,
}

const METHODS: &[AuthMethod<Method>] = &[
    AuthMethod {
        name: "client-secret",
        means: Method::ClientSecret,
        needs: &["tenant_id", "client_id", "client_secret_file"],
        takes: &["authority_host"],
    },
    AuthMethod {
        name: "certificate",
        means: Method::Certificate,
        needs: &["tenant_id", "client_id", "certificate_file"],
        takes: &["authority_host"],
    },
    AuthMethod { name: "managed-identity", means: Method::ManagedIdentity, needs: &[], takes: &["client_id"] },
    AuthMethod {
        name: "workload-identity",
        means: Method::WorkloadIdentity,
        needs: &[],
        takes: &["tenant_id", "client_id", "token_file", "authority_host"],
    },
    AuthMethod { name: "cli", means: Method::Cli, needs: &[], takes: &["tenant_id"] },
];

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
    section.require("vault_url", VAULT_URL, scope);
    let vault_url = address(section, "vault_url", VAULT_URL)?;
    Some(AzureKeyVaultSettings { vault_url, endpoint_url, prefix, ca_file, authority_host, auth: auth? })
}

fn address(section: &Section<'_>, key: &'static str, expected: &str) -> Option<String> {
    // This machine included.
    let plaintext = Plaintext::Refused("Azure's client sends no token without TLS");
    address::read(section, key, expected, plaintext, false)
}

fn prefix(section: &Section<'_>) -> String {
    let is_right =
        |text: &str| text.len() < 127 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let otherwise = "up to 126 letters, digits or `-`: names have no others";
    prefix::read(section, "the start of secrets' names, such as \"prod-\"", is_right, otherwise)
}

fn auth(section: &Section<'_>, whole: &Item) -> Option<AzureAuth> {
    let method = auth_method::choose(section, whole, keys::AZURE_AUTH, METHODS);
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
