//! A scope whose provider is `vault`.

use std::path::PathBuf;

use super::address::{self, Plaintext};
use super::auth_method::{self, AuthMethod};
use super::section::Section;
use super::{files, text};
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

const METHODS: &[AuthMethod<Method>] = &[
    AuthMethod { name: "token", means: Method::Token, needs: &[], takes: &["token_file"] },
    AuthMethod {
        name: "approle",
        means: Method::AppRole,
        needs: &["role_id_file", "secret_id_file"],
        takes: &["wrapped", "mount"],
    },
    AuthMethod { name: "kubernetes", means: Method::Kubernetes, needs: &["role"], takes: &["token_file", "mount"] },
    AuthMethod { name: "jwt", means: Method::Jwt, needs: &["role", "token_file"], takes: &["mount"] },
    AuthMethod { name: "aws", means: Method::Aws, needs: &["role"], takes: &["mount", "region", "header_value"] },
    AuthMethod { name: "cert", means: Method::Cert, needs: &["cert_file", "key_file"], takes: &["role", "mount"] },
];

/// None where there is nothing to make of it; the problems say why.
pub fn read(section: &Section<'_>, scope: &Item) -> Option<VaultSettings> {
    let auth = match (section.inside("auth", keys::VAULT_AUTH), section.get("auth")) {
        (Some(inside), Some(item)) => auth(&inside, item, cfg!(feature = "aws")),
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
    section.require("address", ADDRESS, scope);
    let plaintext = Plaintext::Warned("the token and values cross the network in plaintext");
    address::read(section, "address", ADDRESS, plaintext, false)
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

fn name_of(method: Method) -> &'static str {
    METHODS.iter().find(|it| it.means == method).map_or("", |it| it.name)
}

/// Something that can be in an HTTP header as it is.
fn is_word(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `has_aws`: is the feature `aws` built in?
fn auth(section: &Section<'_>, whole: &Item, has_aws: bool) -> Option<VaultAuth> {
    let method = auth_method::choose(section, whole, keys::VAULT_AUTH, METHODS);
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
    // Where it is unless somebody chose otherwise: at its name.
    let mount = mount.unwrap_or_else(|| name_of(method).to_owned());
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
        Method::Aws if has_aws => VaultAuth::Aws { mount, role: role?, region, header_value },
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::place::SourceFile;
    use crate::config::report::Report;
    use crate::config::validate::Problems;
    use crate::config::written::parse;

    /// What `auth` becomes, and what is said of it.
    fn judged(auth_line: &str, has_aws: bool) -> (Option<VaultAuth>, String) {
        let text = format!("[v]\n{auth_line}\n");
        let file = Arc::new(SourceFile { path: "f.toml".into(), text, order: 0 });
        let whole = parse(&file).unwrap();
        let problems = Problems::default();
        let Value::Table(table) = &whole["v"].value else { panic!("no table") };
        let section = Section::new("scope `v`", table, &[keys::VAULT], &problems);
        let inside = section.inside("auth", keys::VAULT_AUTH).unwrap();
        let settings = auth(&inside, section.get("auth").unwrap(), has_aws);
        (settings, Report::new(problems.0.into_inner()).render(false))
    }

    #[test]
    fn a_build_without_aws_refuses_the_login_that_needs_it_and_no_other() {
        let (settings, said) = judged(r#"auth = { method = "aws", role = "hushfs" }"#, false);
        assert!(settings.is_none());
        for words in ["needs what this hushfs was built without", "from the feature `aws`", "f.toml:2"] {
            assert!(said.contains(words), "{words} in\n{said}");
        }
        let (settings, said) = judged(r#"auth = { method = "aws", role = "hushfs" }"#, true);
        assert!(matches!(settings, Some(VaultAuth::Aws { role, .. }) if role == "hushfs"), "{said}");
        let (settings, said) = judged(r#"auth = { method = "jwt", role = "hushfs", token_file = "/t" }"#, false);
        assert!(matches!(settings, Some(VaultAuth::Jwt { .. })), "{said}");
    }
}
