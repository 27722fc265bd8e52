//! `hushfs unmount`: ends a mount, also one whose daemon has died.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Failure, Status, configuration};
use crate::config::Source;
use crate::fs::mount::{self, State};

/// Unmount, also what a dead daemon left behind
#[derive(Debug, clap::Args)]
pub struct Unmount {
    /// Where, instead of the configured mountpoint
    mountpoint: Option<PathBuf>,
    /// Also when it is in use or does not answer: who waits is let go, and what is open read on until it is closed
    #[arg(long)]
    lazy: bool,
}

impl Unmount {
    pub fn run(self, source: &Source) -> Result<ExitCode, Failure> {
        let mountpoint = match self.mountpoint {
            Some(mountpoint) => mountpoint,
            None => configuration(source)?.mountpoint,
        };
        let os = |error: std::io::Error| Failure::new(Status::Os, format!("{}: {error}", mountpoint.display()));
        let canonical = mount::canonical(&mountpoint).map_err(os)?;
        let failed = |error: mount::Error| Failure::new(Status::Os, error.to_string());
        let lazy = match mount::state(&canonical).map_err(os)? {
            State::Free => {
                let why = format!("no hushfs is mounted at {}", mountpoint.display());
                return Err(Failure::new(Status::Unavailable, why));
            }
            State::Alive | State::Closed => self.lazy,
            State::Dead => true,
            State::Hung if self.lazy => {
                mount::give_up(&canonical).map_err(failed)?;
                return Ok(ExitCode::SUCCESS);
            }
            State::Hung => {
                let why = format!(
                    "the hushfs at {0} does not answer; clear it away with: hushfs unmount --lazy {0}",
                    mountpoint.display()
                );
                return Err(Failure::new(Status::Unavailable, why));
            }
        };
        mount::unmount(&canonical, lazy).map_err(failed)?;
        Ok(ExitCode::SUCCESS)
    }
}
