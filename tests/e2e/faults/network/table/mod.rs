//! What readers see while a provider's server, or the way to it, is out of order: one table for all providers.
//!
//! Each row is a fault, with a scope of its own whose calls go through a [`Line`], TLS and a [`FaultProxy`] to the one
//! server, so that all rows happen at the same time, beside scopes that have no fault.

mod print;
mod rows;
mod run;

pub use print::print;
pub use rows::{Row, rows};
pub use run::{Calm, Seen, Warm, run};

use crate::support::servers::{COLD, Server, WARM};
