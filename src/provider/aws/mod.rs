//! AWS: what its services have in common, and a provider for each of them.
//!
//! A scope is a `connection` to one service: region, credentials and roles as `client`, `role` and
//! `transport` make them, kept by `session`, with `error` for what goes wrong and `whoami` for whose
//! credentials these are. `iam` asks what a read would be answered. `batch` puts reads together that wait.
//!
//! To add a service: a folder with a type that implements [`Provider`](super::Provider) and one that implements
//! `connection::Service`.

mod batch;
mod body_limit;
#[cfg(feature = "vault")]
pub(super) mod caller_identity;
mod client;
mod connection;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod iam;
pub mod parameter_store;
mod role;
pub mod secrets_manager;
mod session;
mod spread;
mod transport;
mod whoami;
