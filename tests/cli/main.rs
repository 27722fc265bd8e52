//! What the commands print, word for word: the real binary on real files, compared with `snapshots/`.
//!
//! After a change that is meant, `INSTA_UPDATE=always cargo test --test cli` writes them anew; read the diff.

mod audit;
#[cfg(feature = "azure")]
mod azure;
mod bad_input;
mod check_output;
mod commands;
mod conf_d;
#[cfg(feature = "databricks")]
mod databricks;
mod files;
mod grants;
mod identities;
mod keys;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod metrics;
mod sandbox;
mod support;
mod values;
mod vault;
mod writers;
