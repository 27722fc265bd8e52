//! Each way that a provider's page says a daemon can log in, written as there: through `hushfs mount`, with the programs
//! that a user would use, and `hushfs check --online`.

#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "databricks")]
mod databricks;
#[cfg(feature = "gcp")]
mod gcp;
#[cfg(feature = "kubernetes")]
mod kubernetes;
