//! `hushfs guard`: what hushfs-guard.service runs.

use std::process::ExitCode;

use super::{Failure, Status};
use crate::telemetry::{Level, init_logs};

/// Let go whoever waits for a mount that nobody serves, as hushfs-guard.service does where the kernel cannot
#[derive(Debug, clap::Args)]
pub struct Guard {}

impl Guard {
    pub fn run(self) -> Result<ExitCode, Failure> {
        init_logs(Level::Info);
        match crate::guard::run() {
            Ok(never) => match never {},
            Err(error) => Err(Failure::new(Status::Os, format!("cannot look after mounts: {error}"))),
        }
    }
}
