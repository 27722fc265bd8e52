//! Every provider against the same promises.
//!
//! `suite.rs` has the promises. To hold a new provider to them: write a file with a [`suite::Fixture`]
//! that makes, changes and deletes secrets on the real service or its best emulator, a function that runs
//! a case on it, and `contract!(that_function);`.

#[path = "../support/mod.rs"]
mod support;

#[macro_use]
mod suite;

#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "aws")]
mod aws_faults;
#[cfg(feature = "aws")]
mod aws_iam;
#[cfg(feature = "aws")]
mod aws_parameters;
#[cfg(feature = "aws")]
mod aws_parameters_faults;
#[cfg(feature = "aws")]
mod aws_parameters_iam;
#[cfg(feature = "aws")]
mod aws_policies;
#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "azure")]
mod azure_auth;
#[cfg(feature = "azure")]
mod azure_faults;
#[cfg(feature = "databricks")]
mod databricks;
#[cfg(feature = "databricks")]
mod databricks_auth;
#[cfg(feature = "databricks")]
mod databricks_faults;
#[cfg(feature = "gcp")]
mod gcp;
#[cfg(feature = "gcp")]
mod gcp_faults;
#[cfg(feature = "kubernetes")]
mod kubernetes;
#[cfg(feature = "kubernetes")]
mod kubernetes_auth;
#[cfg(feature = "kubernetes")]
mod kubernetes_faults;
#[cfg(feature = "kubernetes")]
mod kubernetes_watch;
#[cfg(feature = "local")]
mod local;
#[cfg(feature = "vault")]
mod vault;
#[cfg(feature = "vault")]
mod vault_auth;
#[cfg(all(feature = "vault", feature = "aws"))]
mod vault_aws;
#[cfg(feature = "vault")]
mod vault_cluster;
#[cfg(feature = "vault")]
mod vault_faults;
#[cfg(feature = "vault")]
mod vault_leased;
