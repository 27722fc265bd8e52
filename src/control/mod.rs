//! The daemon's control socket: one request in, one answer out, a line of JSON each.
//!
//! - `protocol` is what is said, and `who` whom a question is about;
//! - `place` is where the socket is, and `socket` binds and removes it;
//! - `server` is the daemon's end: it waits for a client in one of its `places`, and has the `desk` answer it;
//! - `client` is the commands' end;
//! - `report` is what the daemon tells of itself, `readers` who has read what, `renewal` what it fetches anew or forgets
//!   when told to, and `reload` what came of another configuration.
//!
//! Nothing that passes here is a value.

mod client;
mod desk;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod place;
mod places;
mod protocol;
mod readers;
mod reload;
mod renewal;
mod report;
mod server;
pub mod socket;
mod who;

pub use client::{ClientError, ask};
pub use desk::Desk;
pub use place::{Place, place};
pub use protocol::{
    AgeStatus, Flushed, Outcome, Reader, ReadersReport, RefreshError, RefreshedValue, Request, Response, ScopeStatus,
    Status, Who,
};
pub use reload::{ReloadChanges, ReloadOutcome, ReloadRequests, Reloaded, ScopeChanges, TableChanges};
pub use report::Reporter;
pub use server::{Server, bind, start};
