//! As whom an `[[identity]]` has providers asked: one table of it, named after the service.

use super::section::Section;
use super::{files, text};
use crate::config::acts_as::{ActsAs, IdentityRole, VaultRole};
use crate::config::diagnostic::{Diagnostic, quoted};
use crate::config::keys;
use crate::config::settings::{ProviderSettings, VaultAuth};
use crate::config::written::Item;

const DEFAULT_SESSION: &str = "hushfs-{host}-{user}";

/// A service that can be asked as somebody else.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Service {
    Aws,
    Gcp,
    Vault,
    Kubernetes,
}

/// Each service, its table in `[[identity]]`, and the setting without which that says nothing.
const SERVICES: &[(Service, &str, &str)] = &[
    (Service::Aws, "aws", "role_arn"),
    (Service::Gcp, "gcp", "impersonate"),
    (Service::Vault, "vault", "role"),
    (Service::Kubernetes, "kubernetes", "service_account"),
];

/// None, and a problem, if it does not say which identity.
pub fn read(section: &Section<'_>, element: &Item) -> Option<ActsAs> {
    let mut written = SERVICES.iter().filter_map(|(service, table, _)| Some((*service, *table, section.get(table)?)));
    let Some((service, table, item)) = written.next() else {
        let all: Vec<String> = SERVICES.iter().map(|(_, table, needed)| format!("`{table}.{needed}`")).collect();
        section.add(
            Diagnostic::error(format!("{} does not say which identity", section.title()))
                .at(element.key.clone())
                .label(format!("expected the setting {}", all.join(" or "))),
        );
        return None;
    };
    if let Some((_, other, second)) = written.next() {
        section.add(
            Diagnostic::error(format!("{} names two identities", section.title()))
                .at(second.key.clone())
                .label(format!("`{other}` and `{table}` are identities at different services"))
                .help("write an [[identity]] for each"),
        );
    }
    match service {
        Service::Aws => aws_role(section, item),
        Service::Gcp => gcp_service_account(section, item),
        Service::Vault => vault_role(section, item),
        Service::Kubernetes => kubernetes_service_account(section, item),
    }
}

/// Why the scope called `name`, named at `item`, cannot be asked as this one.
pub fn misfit(provider: &ProviderSettings, acts_as: Option<&ActsAs>, name: &str, item: &Item) -> Option<Diagnostic> {
    let service = match provider {
        ProviderSettings::AwsSecretsManager(_) | ProviderSettings::AwsParameterStore(_) => Some(Service::Aws),
        ProviderSettings::GcpSecretManager(_) => Some(Service::Gcp),
        ProviderSettings::Vault(_) => Some(Service::Vault),
        ProviderSettings::Kubernetes(_) => Some(Service::Kubernetes),
        ProviderSettings::Local(_) | ProviderSettings::Databricks(_) | ProviderSettings::AzureKeyVault(_) => None,
    };
    let Some(service) = service else {
        let problem = Diagnostic::error(format!("the scope {} cannot be asked as somebody else", quoted(name)));
        let label = format!("its provider is `{}`, which has one identity", provider.kind());
        return Some(problem.at(item.place.clone()).label(label).help("grants say who may read it"));
    };
    let acts_as = acts_as?;
    if of(acts_as) == service {
        return match (provider, acts_as) {
            (ProviderSettings::Vault(vault), ActsAs::VaultRole(role)) => misfit_at_vault(&vault.auth, role, name, item),
            _ => None,
        };
    }
    let needed = SERVICES.iter().find(|(it, ..)| *it == service).map(|(_, table, key)| format!("`{table}.{key}`"));
    let problem = Diagnostic::error(format!("the scope {} cannot be asked as {}", quoted(name), acts_as.kind()));
    let label = format!("its provider is `{}`", provider.kind());
    Some(
        problem
            .at(item.place.clone())
            .label(label)
            .help(format!("write another [[identity]] for it, with {}", needed.unwrap_or_default())),
    )
}

fn of(acts_as: &ActsAs) -> Service {
    match acts_as {
        ActsAs::AwsRole(_) => Service::Aws,
        ActsAs::GcpServiceAccount(_) => Service::Gcp,
        ActsAs::VaultRole(_) => Service::Vault,
        ActsAs::KubernetesServiceAccount(_) => Service::Kubernetes,
    }
}

fn aws_role(section: &Section<'_>, item: &Item) -> Option<ActsAs> {
    const ARN: &str = "the ARN of a role, such as \"arn:aws:iam::123456789012:role/NAME\"";
    let aws = section.inside("aws", keys::IDENTITY_AWS)?;
    aws.reject_unknown();
    let external_id = template(&aws, "external_id", "2 to 1224 letters, digits or `_+=,.@:/-`", text::is_external_id);
    let session = "2 to 64 letters, digits or `_+=,.@-`";
    let session_name = template(&aws, "session_name", session, text::is_session_name);
    let role_arn = needed(&aws, "aws", item, "role_arn", ARN, text::is_role_arn)?;
    let session_name = session_name.unwrap_or_else(|| DEFAULT_SESSION.to_owned());
    Some(ActsAs::AwsRole(IdentityRole { role_arn, external_id, session_name }))
}

fn gcp_service_account(section: &Section<'_>, item: &Item) -> Option<ActsAs> {
    let gcp = section.inside("gcp", keys::IDENTITY_GCP)?;
    gcp.reject_unknown();
    let address = needed(&gcp, "gcp", item, "impersonate", text::SERVICE_ACCOUNT, text::is_service_account)?;
    Some(ActsAs::GcpServiceAccount(address))
}

fn vault_role(section: &Section<'_>, item: &Item) -> Option<ActsAs> {
    let vault = section.inside("vault", keys::IDENTITY_VAULT)?;
    vault.reject_unknown();
    let file = |key: &'static str| {
        vault.path(key).inspect(|(path, item)| {
            if key == "secret_id_file" {
                files::judge_credential(&vault, key, path, item);
            }
        })
    };
    let ids = [file("role_id_file"), file("secret_id_file")];
    let name = needed(&vault, "vault", item, "role", "the name of a role", text::is_vault_role)?;
    let approle = match ids {
        [Some((role_id, _)), Some((secret_id, _))] => Some((role_id, secret_id)),
        [Some((_, item)), None] | [None, Some((_, item))] => {
            let problem = Diagnostic::error(format!("{} has one of AppRole's files only", vault.title()));
            vault.add(problem.at(item.place.clone()).label("expected `role_id_file` and `secret_id_file`"));
            None
        }
        [None, None] => None,
    };
    Some(ActsAs::VaultRole(VaultRole { name, approle }))
}

/// AppRole's role is known by its id, which another method has no use for.
fn misfit_at_vault(auth: &VaultAuth, role: &VaultRole, name: &str, item: &Item) -> Option<Diagnostic> {
    let problem = Diagnostic::error(format!("the scope {} cannot be asked as {}", quoted(name), quoted(&role.name)));
    match (auth, &role.approle) {
        (VaultAuth::AppRole { .. }, None) => {
            let help = "set `vault.role_id_file` and `vault.secret_id_file`";
            Some(
                problem
                    .at(item.place.clone())
                    .label("it logs in by AppRole, with files that are this role's")
                    .help(help),
            )
        }
        (VaultAuth::AppRole { .. }, Some(_)) => None,
        (
            VaultAuth::Token { .. }
            | VaultAuth::Kubernetes { .. }
            | VaultAuth::Jwt { .. }
            | VaultAuth::Aws { .. }
            | VaultAuth::Cert { .. },
            Some(_),
        ) => {
            let label = "it does not log in by AppRole, so `vault.role_id_file` has no effect";
            Some(problem.at(item.place.clone()).label(label).help("remove the files"))
        }
        (
            VaultAuth::Token { .. }
            | VaultAuth::Kubernetes { .. }
            | VaultAuth::Jwt { .. }
            | VaultAuth::Aws { .. }
            | VaultAuth::Cert { .. },
            None,
        ) => None,
    }
}

fn kubernetes_service_account(section: &Section<'_>, item: &Item) -> Option<ActsAs> {
    const EXPECTED: &str = "a service account, \"NAME\" or \"NAMESPACE/NAME\"";
    let kubernetes = section.inside("kubernetes", keys::IDENTITY_KUBERNETES)?;
    kubernetes.reject_unknown();
    let is_right = |text: &str| match text.split_once('/') {
        Some((namespace, name)) => text::is_namespace(namespace) && text::is_object_name(name),
        None => text::is_object_name(text),
    };
    let name = needed(&kubernetes, "kubernetes", item, "service_account", EXPECTED, is_right)?;
    Some(ActsAs::KubernetesServiceAccount(name))
}

/// A text that the table `table`, written at `item`, must have.
fn needed(
    section: &Section<'_>,
    table: &str,
    item: &Item,
    key: &'static str,
    expected: &str,
    is_right: fn(&str) -> bool,
) -> Option<String> {
    let Some((text, place)) = section.string(key, expected) else {
        if section.get(key).is_none() {
            let problem = Diagnostic::error(format!("{} has no `{key}`", section.title()));
            section.add(problem.at(item.key.clone()).label(format!("expected `{table}.{key}`: {expected}")));
        }
        return None;
    };
    if !is_right(text) {
        section.refuse(key, place, expected);
    }
    Some(text.to_owned())
}

/// A text in which `{host}`, `{user}` and `{uid}` stand for something else.
fn template(section: &Section<'_>, key: &'static str, expected: &str, is_right: fn(&str) -> bool) -> Option<String> {
    let (written, item) = section.string(key, expected)?;
    // As long as what they stand for is, at the least.
    let example = ["{host}", "{user}", "{uid}"].iter().fold(written.to_owned(), |text, it| text.replace(it, "xx"));
    if !is_right(&example) {
        section.refuse(key, item, &format!("{expected}, and `{{host}}`, `{{user}}` or `{{uid}}`"));
    }
    Some(written.to_owned())
}
