//! The providers that are reached over a network.

mod table;

use std::time::Duration;

use table::Row;

use crate::support::servers;

/// How long each fault lasts: `HUSHFS_FAULT_SECONDS`, for a table to look at, or long enough to be noticed by all.
fn window() -> Duration {
    let seconds = std::env::var("HUSHFS_FAULT_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

/// Each fault of the table shows as promised, for no longer than `timeout`, and is over when it is over; nothing else
/// is touched by it.
fn each_fault_shows_as_promised(provider: &str) {
    let rows = table::rows();
    let (seen, calm) = table::run(&*servers::of(provider), &rows, window());
    println!("{}", table::print(provider, &rows, &seen, &calm));
    let complaints: Vec<String> =
        rows.iter().zip(&seen).flat_map(|(row, seen): (&Row, _)| row.complaints(seen)).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert!(calm.reads > 0 && calm.errors.is_empty(), "scopes without a fault: {:#?}", calm.errors);
}

#[cfg(feature = "aws")]
#[test]
fn every_fault_of_aws_secrets_manager_shows_as_promised_and_passes() {
    each_fault_shows_as_promised("aws-secrets-manager");
}

#[cfg(feature = "aws")]
#[test]
fn every_fault_of_aws_parameter_store_shows_as_promised_and_passes() {
    each_fault_shows_as_promised("aws-parameter-store");
}

#[cfg(feature = "gcp")]
#[test]
fn every_fault_of_google_cloud_shows_as_promised_and_passes() {
    each_fault_shows_as_promised("gcp-secret-manager");
}

#[cfg(feature = "vault")]
#[test]
fn every_fault_of_vault_shows_as_promised_and_passes() {
    each_fault_shows_as_promised("vault");
}

#[cfg(feature = "azure")]
#[test]
fn every_fault_of_azure_key_vault_shows_as_promised_and_passes() {
    each_fault_shows_as_promised("azure-key-vault");
}

#[cfg(feature = "kubernetes")]
#[test]
fn every_fault_of_kubernetes_shows_as_promised_and_passes() {
    each_fault_shows_as_promised("kubernetes");
}

#[cfg(feature = "databricks")]
#[test]
fn every_fault_of_databricks_shows_as_promised_and_passes() {
    each_fault_shows_as_promised("databricks");
}
