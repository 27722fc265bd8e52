//! Servers and helpers that the integration tests share. A test binary takes it in with
//! `#[path = "../support/mod.rs"] mod support;` and uses what it needs.
#![allow(dead_code)]

pub mod audit_log;
#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "azure")]
pub mod azure;
pub mod backend;
pub mod bao_auth;
pub mod bao_cluster;
pub mod child;
#[cfg(feature = "aws")]
pub mod cloud;
pub mod connect_proxy;
pub mod containers;
pub mod control_group;
pub mod daemon;
#[cfg(feature = "databricks")]
pub mod databricks;
pub mod fault_proxy;
#[cfg(feature = "gcp")]
pub mod gcp;
pub mod hosts;
pub mod http;
// What it is asked with.
#[cfg(any(feature = "kubernetes", feature = "vault"))]
pub mod kubernetes;
pub mod line;
pub mod machine;
pub mod marked;
pub mod memory;
pub mod minilake;
pub mod ministack;
pub mod missing;
pub mod openbao;
pub mod over;
pub mod own_process;
pub mod page_cache;
pub mod plain;
pub mod ports;
pub mod postgres;
pub mod rabbitmq;
pub mod second_opinion;
pub mod servers;
pub mod session;
pub mod store;
pub mod tls;
pub mod users;
pub mod vault_aws;
#[cfg(feature = "vault")]
pub mod vault_walk;
pub mod walk;
