//! `src/secret`, which depends on nothing else of hushfs, for Miri to run its tests.

#[path = "../../../src/secret/mod.rs"]
pub mod secret;
