//! What readers see while a provider's server, or the way to it, is out of order: one table for all providers.
//!
//! Each row is a fault, with a scope of its own whose calls go through a [`Line`], TLS and a [`FaultProxy`] to the one
//! server, so that all rows happen at the same time, beside scopes that have no fault.

mod print;
mod rows;
mod run;
mod servers;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

pub use print::print;
pub use rows::{Row, rows};
pub use run::{Calm, Seen, Warm, run};
pub use servers::all;

/// A provider's server with the secrets `db` and `cold`, each with the key `PASSWORD`.
pub trait Server: Sync {
    /// Where it is, in plain HTTP.
    fn address(&self) -> SocketAddr;

    /// A scope's lines, without its name: the server is reached at `url`, and `ca_file` vouches for it.
    fn lines(&self, url: &str, ca_file: &Path) -> String;

    /// What the daemon's environment needs besides.
    fn environment(&self, _command: &mut Command, _ca_file: &Path) {}
}

/// The value of `PASSWORD` in `db`.
pub const WARM: &str = "the value that is known";
/// And in `cold`.
pub const COLD: &str = "the value that is not";
