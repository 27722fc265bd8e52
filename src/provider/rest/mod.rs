//! What providers share that speak REST by themselves: how calls are made, and how files of credentials are read.
//!
//! Every such provider has the same proxies, certificates, deadlines and bounds, because it has them from here.

#[cfg(feature = "rest")]
mod client;
// Also for who has an SDK that leaves the reading to us.
mod files;
#[cfg(feature = "rest")]
mod object;
#[cfg(feature = "rest")]
mod text;
#[cfg(feature = "rest")]
mod together;
#[cfg(feature = "rest")]
mod trouble;

#[cfg(feature = "kubernetes")]
pub use client::Stream;
#[cfg(feature = "rest")]
pub use client::{Client, Plan, Reply};
pub use files::{Openness, stamp, whole, word};
#[cfg(feature = "rest")]
pub use files::{Stamp, as_word};
#[cfg(feature = "rest")]
pub use object::object;
#[cfg(feature = "rest")]
pub use text::clean;
#[cfg(feature = "azure")]
pub use text::reasons;
#[cfg(feature = "rest")]
pub use together::together;
