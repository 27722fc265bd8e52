//! `[scopes.<name>]`: what all providers share, then the provider's own.

use super::cache::{self, MaxBytes};
use super::section::Section;
use super::{
    Problems, as_table, aws_parameter_store, aws_secrets_manager, azure_key_vault, databricks, gcp_secret_manager,
    kubernetes, local, unknown, vault,
};
use crate::config::conceal::holds_key_material;
use crate::config::diagnostic::{Diagnostic, quoted};
use crate::config::keys;
use crate::config::settings::{CacheSettings, Format, ProviderSettings, Scope, ScopeName};
use crate::config::suggest::nearest;
use crate::config::written::Item;

/// Reads one scope. None if it is so wrong that there is nothing to make of it.
pub fn read(
    written_name: &str,
    item: &Item,
    defaults: &CacheSettings,
    max_bytes: &MaxBytes,
    problems: &Problems,
) -> Option<Scope> {
    let name = ScopeName::new(written_name);
    if name.is_none() {
        problems.add(bad_name(written_name, item));
    }
    let Some(table) = as_table(item) else {
        problems.add(not_a_table(written_name, item));
        return None;
    };

    let provider = table.get("provider");
    let title = title(written_name);
    let common = [keys::SCOPE, keys::CACHE];
    let probe = Section::new(title.clone(), table, &common, problems);
    let kind = match provider {
        Some(_) => known_provider(&probe),
        None => {
            problems.add(no_provider(&title, item));
            None
        }
    };
    // Without one, any provider's setting may be meant.
    let own: Vec<&'static str> = match kind {
        Some(provider) => provider.settings.to_vec(),
        None => keys::PROVIDERS.iter().flat_map(|provider| provider.settings).copied().collect(),
    };
    let section = Section::new(title, table, &[keys::SCOPE, keys::CACHE, &own], problems);
    // A provider that is not known may have settings that are not known either.
    if kind.is_some() || provider.is_none() {
        section.reject_unknown();
    }
    let mut cache = cache::read(&section, defaults, max_bytes);
    // A folder of this host has no quota.
    if kind.is_some_and(|kind| kind.name == "local") && section.get("calls").is_none() {
        cache.calls = None;
    }
    let formats = [("auto", Format::Auto), ("json", Format::Json), ("raw", Format::Raw)];
    let format = section.choice("format", &formats).unwrap_or_default();
    let provider = match kind?.name {
        "local" => ProviderSettings::Local(local::read(&section, item)?),
        "gcp-secret-manager" => ProviderSettings::GcpSecretManager(gcp_secret_manager::read(&section, item)?),
        "vault" => ProviderSettings::Vault(vault::read(&section, item)?),
        "azure-key-vault" => ProviderSettings::AzureKeyVault(azure_key_vault::read(&section, item)?),
        "databricks" => ProviderSettings::Databricks(databricks::read(&section)?),
        "kubernetes" => ProviderSettings::Kubernetes(kubernetes::read(&section)?),
        "aws-parameter-store" => ProviderSettings::AwsParameterStore(aws_parameter_store::read(&section)),
        _ => ProviderSettings::AwsSecretsManager(aws_secrets_manager::read(&section)),
    };
    Some(Scope { name: name?, cache, format, provider })
}

/// The scope's header as one would write it.
fn title(name: &str) -> String {
    let bare =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let shown = quoted(name).trim_matches('`').to_owned();
    if bare { format!("[scopes.{shown}]") } else { format!("[scopes.\"{shown}\"]") }
}

fn bad_name(name: &str, item: &Item) -> Diagnostic {
    Diagnostic::error(format!("{} cannot be the name of a scope", quoted(name)))
        .at(item.key.clone())
        .label("expected a plain file name: no `/`, `%` or control character, no leading `.` or `@`, 1 to 255 bytes")
}

fn not_a_table(name: &str, item: &Item) -> Diagnostic {
    Diagnostic::error(format!("the scope {} has the wrong type", quoted(name)))
        .at(item.place.clone())
        .label(format!("expected a table [scopes.NAME], found {}", item.value.type_name()))
}

fn no_provider(title: &str, item: &Item) -> Diagnostic {
    Diagnostic::error(format!("{title} has no `provider`"))
        .at(item.place.clone())
        .label("expected the setting `provider` in this scope")
        .note(providers())
}

/// The provider's name and settings, if it is one that this program has.
fn known_provider(section: &Section<'_>) -> Option<&'static keys::Provider> {
    let (text, item) = section.string("provider", "the name of a provider")?;
    if let Some(provider) = keys::PROVIDERS.iter().find(|provider| provider.name == text) {
        if !provider.built_in {
            section.add(
                Diagnostic::error(format!("this hushfs was built without the provider `{text}`"))
                    .at(item.place.clone())
                    .help("install a hushfs that was built with it"),
            );
        }
        return Some(provider);
    }
    let problem = if holds_key_material(text) {
        Diagnostic::error("unknown provider")
    } else {
        Diagnostic::error(format!("unknown provider {}", quoted(text)))
    };
    let problem = problem.at(item.place.clone());
    let near = nearest(text, keys::PROVIDERS.iter().map(|provider| provider.name));
    let problem = match near {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem,
    };
    section.add(problem.label("expected a provider that this version has").note(providers()));
    None
}

fn providers() -> String {
    let names: Vec<&str> = keys::PROVIDERS.iter().map(|provider| provider.name).collect();
    format!("the providers are {}", unknown::list(&names))
}
