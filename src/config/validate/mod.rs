//! From values to settings: every rule about what a configuration may say.

mod accounts;
mod acts_as;
mod address;
mod audit;
mod auth_method;
mod aws;
mod aws_parameter_store;
mod aws_secrets_manager;
mod azure_key_vault;
mod cache;
mod databricks;
mod files;
mod gcp_secret_manager;
mod grant;
mod identity;
mod kubernetes;
mod local;
mod metrics;
mod prefix;
mod principals;
mod sandbox;
mod scope;
mod section;
mod tables;
mod text;
mod unknown;
mod vault;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

pub(super) use self::files::shell_word;
use self::section::Section;
use super::diagnostic::Diagnostic;
use super::keys;
use super::settings::{Config, ControlSettings, RootPolicy, Scope, ScopeName};
use super::written::{Item, Table, Value};

/// The longest path of a Unix socket, in bytes: `sun_path` less its NUL.
const LONGEST_SOCKET_PATH: usize = 107;

/// Where the rules put what they find.
#[derive(Debug, Default)]
struct Problems(RefCell<Vec<Diagnostic>>);

impl Problems {
    fn add(&self, problem: Diagnostic) {
        self.0.borrow_mut().push(problem);
    }
}

/// Judges a whole configuration. What it gives is meaningful only if no error was found.
pub fn validate(whole: &Table) -> (Config, Vec<Diagnostic>) {
    let problems = Problems::default();
    let nothing = Table::new();
    let root = Section::new("", whole, &[keys::ROOT], &problems);

    let cache_table = root.table("cache", "[cache]").unwrap_or(&nothing);
    let cache = Section::new("[cache]", cache_table, &[keys::CACHE, keys::CACHE_ONLY], &problems);
    let (cache_defaults, max_bytes) = cache::whole(&cache);
    cache.reject_unknown();

    let control_table = root.table("control", "[control]").unwrap_or(&nothing);
    let control = Section::new("[control]", control_table, &[keys::CONTROL], &problems);
    let socket = socket(&control);
    control.reject_unknown();

    let audit_table = root.table("audit", "[audit]").unwrap_or(&nothing);
    let audit = Section::new("[audit]", audit_table, &[keys::AUDIT], &problems);
    let mountpoint = mountpoint(&root).unwrap_or_else(|| PathBuf::from("/secrets"));
    let audit_settings = audit::read(&audit, &mountpoint);
    audit.reject_unknown();

    let metrics_table = root.table("metrics", "[metrics]").unwrap_or(&nothing);
    let metrics = Section::new("[metrics]", metrics_table, &[keys::METRICS], &problems);
    let metrics_settings = metrics::read(&metrics);
    metrics.reject_unknown();

    let sandbox_table = root.table("sandbox", "[sandbox]").unwrap_or(&nothing);
    let sandbox = Section::new("[sandbox]", sandbox_table, &[keys::SANDBOX], &problems);
    let sandbox_settings = sandbox::read(&sandbox);
    sandbox.reject_unknown();

    let scopes = root.table("scopes", "[scopes.NAME]").unwrap_or(&nothing);
    let mut judged: BTreeMap<ScopeName, Scope> = BTreeMap::new();
    for (name, item) in scopes {
        if let Some(scope) = scope::read(name, item, &cache_defaults, &max_bytes, &problems) {
            judged.insert(scope.name.clone(), scope);
        }
    }

    let allow_other = root.boolean("allow_other").unwrap_or(false);
    let events = root.boolean("events").unwrap_or(false);
    let root_policy =
        root.choice("root", &[("allow", RootPolicy::Allow), ("deny", RootPolicy::Deny)]).unwrap_or(RootPolicy::Allow);
    let names: Vec<&str> = scopes.keys().map(String::as_str).collect();
    let identities = identity::all(&root, &names, &judged.values().collect::<Vec<_>>(), &problems);
    let host = grant::Host { scopes: names, allow_other, root: root_policy };
    let grants = grant::all(&root, &host, &problems);
    if let (RootPolicy::Deny, None, Some(item)) = (root_policy, root.get("grant"), root.get("root")) {
        root.add(
            Diagnostic::warning("`root = \"deny\"`, and nothing is granted to anybody")
                .at(item.place.clone())
                .label("root's daemon serves no value then")
                .help("add a [[grant]]; a daemon of another user serves that user without any"),
        );
    }

    let config = Config {
        mountpoint,
        allow_other,
        events,
        root: root_policy,
        max_bytes: max_bytes.bytes,
        control: ControlSettings { socket },
        audit: audit_settings,
        metrics: metrics_settings,
        sandbox: sandbox_settings,
        scopes: judged,
        grants,
        identities,
    };
    root.reject_unknown();
    (config, problems.0.into_inner())
}

fn mountpoint(root: &Section<'_>) -> Option<PathBuf> {
    let (path, item) = root.path("mountpoint")?;
    if path.components().all(|part| part == std::path::Component::RootDir) {
        root.add(
            Diagnostic::error("`mountpoint` is the root directory")
                .at(item.place.clone())
                .label("expected a directory of its own, such as \"/secrets\""),
        );
    }
    Some(path)
}

fn socket(control: &Section<'_>) -> Option<PathBuf> {
    let (path, item) = control.path("socket")?;
    let length = path.as_os_str().len();
    if length > LONGEST_SOCKET_PATH {
        control.add(
            Diagnostic::error(format!("`socket` in [control] is {length} bytes long"))
                .at(item.place.clone())
                .label(format!("expected at most {LONGEST_SOCKET_PATH} bytes, the system's limit for a socket's path")),
        );
    }
    Some(path)
}

/// The value if it is a table.
fn as_table(item: &Item) -> Option<&Table> {
    match &item.value {
        Value::Table(table) => Some(table),
        _ => None,
    }
}
