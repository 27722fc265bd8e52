//! What to say about a setting that does not exist here.

use super::section::Section;
use crate::config::conceal::is_credential_name;
use crate::config::diagnostic::{Diagnostic, quoted};
use crate::config::keys;
use crate::config::suggest::nearest;
use crate::config::written::Item;

/// Longer lists are left out of a complaint: nobody reads them.
const MOST_LISTED: usize = 12;

/// The complaint about `name`, which is not among the `known` settings of its section.
pub fn key(section: &Section<'_>, name: &str, item: &Item, known: &[&'static str]) -> Diagnostic {
    let title = section.title();
    let place = if title.is_empty() { "at the top level".to_owned() } else { format!("in {title}") };
    let unknown = Diagnostic::error(format!("unknown key {} {place}", quoted(name))).at(item.key.clone()).cut();
    if keys::LATER.contains(&name) && (title.is_empty() || home_of(name).is_none()) {
        return unknown.note(format!("`{name}` is not in this version of hushfs"));
    }
    if name == "ca_file" && known.ends_with(keys::GCP_SECRET_MANAGER) {
        return unknown
            .note("the client library of `gcp-secret-manager` trusts the system's certificates and takes no others")
            .help("add the certificate to the system's, or set SSL_CERT_FILE for the daemon");
    }
    if let Some(near) = nearest(name, known.iter().copied()) {
        return unknown.help(format!("did you mean `{near}`?"));
    }
    if let Some(home) = home_of(name) {
        return unknown.note(home);
    }
    if is_credential_name(name) {
        return unknown
            .help("take the credential out of this file: no setting holds one, only names of files or roles");
    }
    if let Some((near, home)) = nearest(name, everything()).and_then(|near| Some((near, home_of(near)?))) {
        return unknown.help(format!("did you mean `{near}`?")).note(home);
    }
    if known.len() > MOST_LISTED { unknown } else { unknown.note(format!("the keys {place} are {}", list(known))) }
}

fn everything() -> impl Iterator<Item = &'static str> {
    let common = [
        keys::ROOT,
        keys::CACHE,
        keys::CACHE_ONLY,
        keys::CONTROL,
        keys::AUDIT,
        keys::METRICS,
        keys::SCOPE,
        keys::AWS_AUTH,
        keys::GCP_AUTH,
        keys::DATABRICKS_AUTH,
        keys::KUBERNETES_AUTH,
        keys::AZURE_AUTH,
        keys::GRANT,
        keys::IDENTITY,
        keys::IDENTITY_AWS,
        keys::IDENTITY_GCP,
        keys::IDENTITY_VAULT,
        keys::IDENTITY_KUBERNETES,
    ];
    common.into_iter().chain(keys::PROVIDERS.iter().map(|provider| provider.settings)).flatten().copied()
}

/// Where a setting of this name does belong.
fn home_of(name: &str) -> Option<String> {
    let provider = keys::PROVIDERS.iter().find(|provider| provider.settings.contains(&name));
    if let Some(keys::Provider { name: provider, .. }) = provider {
        Some(format!("`{name}` is a setting of a scope whose provider is `{provider}`"))
    } else if keys::SCOPE.contains(&name) {
        Some(format!("`{name}` is a setting of a scope: it belongs in a table [scopes.NAME]"))
    } else if keys::CACHE_ONLY.contains(&name) {
        Some(format!("`{name}` counts for all scopes together: it belongs in the table [cache]"))
    } else if keys::CACHE.contains(&name) {
        Some(format!("`{name}` belongs in the table [cache], or in a scope"))
    } else if keys::CONTROL.contains(&name) {
        Some(format!("`{name}` belongs in the table [control]"))
    } else if keys::AWS_AUTH.contains(&name) {
        Some(format!(
            "`{name}` belongs in `auth = {{ method = … }}` of a scope whose provider is `aws-secrets-manager`"
        ))
    } else if keys::GCP_AUTH.contains(&name) {
        Some(format!("`{name}` belongs in `auth = {{ method = … }}` of a scope whose provider is `gcp-secret-manager`"))
    } else if keys::DATABRICKS_AUTH.contains(&name) {
        Some(format!("`{name}` belongs in `auth = {{ method = … }}` of a scope whose provider is `databricks`"))
    } else if keys::KUBERNETES_AUTH.contains(&name) {
        Some(format!("`{name}` belongs in `auth = {{ method = … }}` of a scope whose provider is `kubernetes`"))
    } else if keys::AZURE_AUTH.contains(&name) {
        Some(format!("`{name}` belongs in `auth = {{ method = … }}` of a scope whose provider is `azure-key-vault`"))
    } else if keys::AUDIT.contains(&name) {
        Some(format!("`{name}` belongs in the table [audit]"))
    } else if keys::METRICS.contains(&name) {
        Some(format!("`{name}` belongs in the table [metrics]"))
    } else if keys::GRANT.contains(&name) {
        Some(format!("`{name}` belongs in a table [[grant]]"))
    } else if keys::IDENTITY.contains(&name) {
        Some(format!("`{name}` belongs in a table [[identity]]"))
    } else if keys::ROOT.contains(&name) {
        Some(format!("`{name}` belongs at the top of the file, above the first table"))
    } else {
        None
    }
}

/// "`a`, `b` and `c`"
pub fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}
