//! What providers share that speak REST by themselves: how calls are made, and how files of credentials are read.
//!
//! Every such provider has the same proxies, certificates, deadlines and bounds, because it has them from here.

mod client;
mod files;
mod object;
mod text;
mod trouble;

pub use client::{Client, Plan, Reply};
pub use files::{Openness, Stamp, as_word, stamp, whole, word};
pub use object::object;
pub use text::clean;
