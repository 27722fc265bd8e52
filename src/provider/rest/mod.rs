//! What providers share that speak REST by themselves: how calls are made, and how files of credentials are read.
//!
//! Every such provider has the same proxies, certificates, deadlines and bounds, because it has them from here.

#[cfg(feature = "rest")]
mod client;
#[cfg(feature = "rest")]
mod deadline;
// Also for who has an SDK that leaves the reading to us.
mod files;
#[cfg(feature = "rest")]
mod object;
#[cfg(any(feature = "databricks", feature = "kubernetes"))]
mod together;
#[cfg(feature = "rest")]
mod trouble;

#[cfg(feature = "kubernetes")]
pub use client::Stream;
#[cfg(feature = "rest")]
pub use client::{Client, Plan, Reply};
#[cfg(feature = "rest")]
pub use deadline::within;
#[cfg(feature = "rest")]
pub use files::Stamp;
#[cfg(any(feature = "azure", feature = "databricks", feature = "kubernetes"))]
pub use files::are_what_they_were;
#[cfg(any(feature = "databricks", feature = "kubernetes", feature = "vault"))]
pub use files::as_word;
#[cfg(any(feature = "databricks", feature = "gcp", feature = "kubernetes", feature = "vault"))]
pub use files::stamp;
pub use files::{Openness, whole, word};
#[cfg(feature = "rest")]
pub use object::object;
#[cfg(any(feature = "databricks", feature = "kubernetes"))]
pub use together::together;

#[cfg(feature = "rest")]
pub use super::text::clean;
