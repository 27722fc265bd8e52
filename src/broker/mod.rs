//! What the daemon does with more rights than it keeps: a process of its own, started before the daemon enters its
//! sandbox ([`crate::sandbox`]), which can be asked for a few things and nothing else.
//!
//! It mounts and unmounts at the one mountpoint that it was started for, asks it whether it is served, makes that file
//! system writable to the kernel while watchers are told of a change, looks which program a caller runs, and asks systemd
//! whether the unit is being restarted. It opens the audit log, to be added to, and removes the daemon's sockets, each by
//! the path that it was started with. It is never given a value or a credential. Whoever has taken over the daemon can ask
//! it for the same, and so unmount the secrets, but not mount anything else, start a program, or read a file.
//!
//! `protocol` is what is said, `client` the daemon's end, `line` how it asks and waits, `process` the other end.

mod client;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod line;
mod process;
mod protocol;

pub use client::{Broker, NAME, Terms, Touching, installed};
pub use process::{is_meant, main};
