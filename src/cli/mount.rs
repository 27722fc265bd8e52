//! `hushfs mount`: the daemon, in the foreground.

use std::path::PathBuf;
use std::process::ExitCode;

use super::configuration::loaded;
use super::{Failure, Status};
use crate::config::Source;
use crate::daemon::{self, DaemonError};
use crate::reload::Origin;
use crate::telemetry::{Level, init_logs};

/// Mount the secrets and serve them, in the foreground
///
/// Tells systemd READY=1 once `ls` works. SIGTERM and SIGINT unmount and end with status 0. What a
/// daemon that died left at the mountpoint is cleared away first.
#[derive(Debug, clap::Args)]
pub struct Mount {
    /// Where, instead of the configured mountpoint
    mountpoint: Option<PathBuf>,
    /// How much to log on standard error
    #[arg(long, value_enum, default_value = "info", env = "HUSHFS_LOG")]
    log: Level,
}

impl Mount {
    pub fn run(self, source: &Source) -> Result<ExitCode, Failure> {
        init_logs(self.log);
        let hardened = crate::sandbox::harden();
        hardened.map_err(|error| Failure::new(Status::Os, format!("cannot make the process undumpable: {error}")))?;
        let origin = Origin { source: source.clone(), mountpoint: self.mountpoint };
        let config = loaded(origin.load())?;
        daemon::run(config, origin).map(|()| ExitCode::SUCCESS).map_err(|error| {
            let status = match &error {
                DaemonError::Mount(_)
                | DaemonError::Mountpoint { .. }
                | DaemonError::Sandbox(_)
                | DaemonError::Os { .. } => Status::Os,
                DaemonError::Occupied { .. }
                | DaemonError::Hung { .. }
                | DaemonError::Lingering { .. }
                | DaemonError::GivenUp { .. }
                | DaemonError::Alone { .. } => Status::Unavailable,
                DaemonError::Provider { .. } => Status::Config,
            };
            Failure::new(status, error.to_string())
        })
    }
}
