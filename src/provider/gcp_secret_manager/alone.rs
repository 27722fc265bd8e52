//! Of this provider what reads texts by itself, and nothing that needs Google's client library.

#![allow(dead_code, reason = "who uses it is left out")]

pub mod fuzzing;
mod key_file;
mod names;
mod quoted;
