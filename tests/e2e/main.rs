//! The binary over real mounts: a file per behaviour.

#[path = "../support/mod.rs"]
mod support;

/// What needs root; `make test` leaves it out for others.
mod as_root {
    mod audit;
    mod boot;
    mod containers;
    mod core_dumps;
    mod doctor;
    #[cfg(feature = "gcp")]
    mod google_identities;
    mod grants;
    mod handover;
    mod hidden_commands;
    #[cfg(feature = "aws")]
    mod iam;
    #[cfg(feature = "aws")]
    mod identities;
    #[cfg(feature = "kubernetes")]
    mod kubernetes_identities;
    mod left_in_memory;
    mod locked_memory;
    mod own_user;
    mod package;
    pub mod permissions;
    mod posix;
    mod ptrace;
    mod reload;
    mod rootless;
    mod swapped_out;
    mod units;
    mod user_unit;
    #[cfg(feature = "vault")]
    mod vault_identities;
    mod wedged;
    mod why;
}
mod audit;
#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "azure")]
mod azure;
mod bad_input;
mod broker;
mod budget;
#[cfg(feature = "aws")]
mod check_online;
mod control_socket;
mod control_socket_attacks;
mod cost;
#[cfg(feature = "databricks")]
mod databricks;
mod doctor;
#[cfg(feature = "gcp")]
mod endurance;
mod environment;
mod events;
mod false_daemon;
mod faults;
#[cfg(feature = "gcp")]
mod gcp;
#[cfg(feature = "aws")]
mod interrupts;
#[cfg(all(feature = "vault", feature = "databricks"))]
mod keys_by_name;
#[cfg(feature = "kubernetes")]
mod kubernetes;
#[cfg(feature = "aws")]
mod leaks;
mod lifecycle;
#[cfg(any(feature = "aws", feature = "azure", feature = "databricks", feature = "gcp", feature = "kubernetes"))]
mod logins;
mod memory;
mod metrics;
mod migration;
#[cfg(feature = "aws")]
mod never_block;
#[cfg(feature = "aws")]
mod parameter_store;
#[cfg(any(
    feature = "aws",
    feature = "gcp",
    feature = "vault",
    feature = "azure",
    feature = "kubernetes",
    feature = "databricks"
))]
mod reaching;
mod readers;
mod refresh;
mod reload;
#[cfg(all(
    feature = "local",
    feature = "aws",
    feature = "gcp",
    feature = "vault",
    feature = "azure",
    feature = "kubernetes",
    feature = "databricks"
))]
mod rotated_while_cached;
mod rotation;
mod sandbox;
mod scarcity;
#[cfg(feature = "aws")]
mod shutdown;
mod signals;
mod status;
mod tree;
#[cfg(feature = "aws")]
mod unlistable;
#[cfg(feature = "vault")]
mod vault;
#[cfg(feature = "vault")]
mod vault_engines;
#[cfg(feature = "vault")]
mod vault_leased;
#[cfg(feature = "vault")]
mod vault_logins;
#[cfg(feature = "vault")]
mod vault_rabbitmq;
#[cfg(feature = "vault")]
mod vault_servers;
mod who_read;
mod writers;
