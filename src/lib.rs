//! hushfs mounts secrets as files.
//!
//! The way of one read, and so the order to read the code in:
//!
//! 1. [`cli`] is where a command begins; [`config`] is what it was told.
//! 2. [`fs`] takes a request from the kernel; nothing else knows that there is a kernel.
//! 3. [`access`] says whether this caller may.
//! 4. [`tree`] finds the place that is meant.
//! 5. [`cache`] answers from memory, or joins the fetch in flight, or starts one.
//! 6. [`provider`] asks the service that holds the value.
//! 7. [`secret`] is the value: locked, wiped, never printed.
//!
//! Around it: [`daemon`] is the order of its life, [`reload`] another configuration in the midst of it, [`handover`]
//! what outlives it, [`watchdog`] what says that it is alive, [`guard`] what lets others go if it is not, [`control`]
//! answers the commands that speak to it, [`telemetry`] writes logs and metrics, [`doctor`] looks at the
//! host, [`sandbox`] takes from the process what it does not need, and [`broker`] is a process of its own that does what
//! needs more.
//!
//! What must stay true:
//! - a thread that serves the kernel never waits for a provider;
//! - every request is answered within its scope's `timeout`;
//! - a value is held in a [`secret::Secret`] and nothing else, and is handed out only after a decision;
//! - a refusal is never answered with a value from memory;
//! - what a provider gave to one identity is never given to another;
//! - a request is judged and answered by one configuration, from its beginning to its end.

pub mod access;
pub mod broker;
pub mod cache;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod doctor;
pub mod fs;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod guard;
pub mod handover;
pub mod provider;
pub mod reload;
pub mod sandbox;
pub mod secret;
pub mod telemetry;
pub mod tree;
pub mod watchdog;
mod words;
