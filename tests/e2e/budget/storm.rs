//! A thousand programs that start at once and read two hundred secrets, with the server of each provider.

use std::fs;
use std::sync::Barrier;

use crate::support::daemon::{Place, eventually};
use crate::support::fault_proxy::FaultProxy;
use crate::support::servers;
use crate::support::tls::Terminator;

const SECRETS: usize = 200;
const PROGRAMS: usize = 1000;

/// Calls for names and for values.
fn storm(provider: &str) -> (u64, u64) {
    let names: Vec<String> = (0..SECRETS).map(|number| format!("secret-{number}")).collect();
    let secrets: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let (place, server) = (Place::new(), servers::with(provider, &secrets));
    let proxy = FaultProxy::start(server.address());
    proxy.keep_connections();
    let tls = Terminator::start(proxy.address());
    let ca_file = tls.ca_file();
    let lines = server.lines(&tls.url(), Some(&ca_file));
    place.configure(&format!("[scopes.app]\n{lines}timeout = \"60s\"\ncalls = \"unlimited\"\nlist_ttl = \"1h\"\n"));
    let mut command = place.hushfs(&["mount"]);
    server.environment(&mut command, Some(&ca_file));
    let _daemon = place.start(command);
    if provider == "kubernetes" {
        // When it begins, what has been asked for before is asked for once more.
        eventually("changes are followed", || (proxy.calls("watch api/v1/namespaces/apps/secrets") > 0).then_some(()));
    }
    let together = Barrier::new(PROGRAMS);
    std::thread::scope(|scope| {
        for program in 0..PROGRAMS {
            let (together, name) = (&together, &names[program % SECRETS]);
            let file = place.mnt().join("app").join(name).join("PASSWORD");
            scope.spawn(move || {
                together.wait();
                assert_eq!(&fs::read_to_string(file).unwrap(), name);
            });
        }
    });
    let calls = |kind| place.calls("app", kind);
    println!("{provider}: {} for names, {} for values", calls("list") + calls("look"), calls("fetch"));
    (calls("list") + calls("look"), calls("fetch"))
}

/// One listing answers for names, but for those that were asked for singly before there was a crowd.
#[cfg(any(feature = "aws", feature = "gcp", feature = "kubernetes", feature = "databricks"))]
fn names_cost_a_listing(provider: &str) {
    let (names, values) = storm(provider);
    assert_eq!(values, SECRETS as u64);
    assert!(names <= 80, "{names}");
}

/// Where a listing is many calls each name is asked for, once.
#[cfg(any(feature = "aws", feature = "vault", feature = "azure"))]
fn each_name_is_asked_for_once(provider: &str) {
    let (names, values) = storm(provider);
    assert_eq!((names, values), (SECRETS as u64, SECRETS as u64));
}

#[cfg(feature = "aws")]
#[test]
fn at_secrets_manager_names_cost_a_listing() {
    names_cost_a_listing("aws-secrets-manager");
}

#[cfg(feature = "gcp")]
#[test]
fn at_google_names_cost_a_listing() {
    names_cost_a_listing("gcp-secret-manager");
}

#[cfg(feature = "kubernetes")]
#[test]
fn at_kubernetes_names_cost_a_listing() {
    names_cost_a_listing("kubernetes");
}

#[cfg(feature = "databricks")]
#[test]
fn at_databricks_names_cost_a_listing() {
    names_cost_a_listing("databricks");
}

#[cfg(feature = "aws")]
#[test]
fn at_parameter_store_each_name_is_asked_for_once() {
    each_name_is_asked_for_once("aws-parameter-store");
}

#[cfg(feature = "vault")]
#[test]
fn at_vault_each_name_is_asked_for_once() {
    each_name_is_asked_for_once("vault");
}

#[cfg(feature = "azure")]
#[test]
fn at_azure_each_name_is_asked_for_once() {
    each_name_is_asked_for_once("azure-key-vault");
}
