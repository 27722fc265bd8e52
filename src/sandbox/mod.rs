//! What the process gives up, so that a mistake elsewhere costs less.

mod process;

pub use process::harden;
