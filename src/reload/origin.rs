//! Where the daemon's configuration comes from, each time.

use std::path::PathBuf;

use crate::config::{self, Loaded, Report};

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    pub source: config::Source,
    /// Named on the command line.
    pub mountpoint: Option<PathBuf>,
}

impl Origin {
    /// As the daemon takes it: with what the command line says.
    ///
    /// # Errors
    /// As [`config::load`].
    pub fn load(&self) -> Result<Loaded, Report> {
        let mut loaded = config::load(&self.source)?;
        if let Some(mountpoint) = &self.mountpoint {
            loaded.config.mountpoint.clone_from(mountpoint);
        }
        Ok(loaded)
    }
}
