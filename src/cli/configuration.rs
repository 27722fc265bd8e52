//! The configuration as commands need it.

use std::io::{IsTerminal, Write};

use super::{Failure, Status};
use crate::config::{Config, Loaded, Report, Source, load};

/// The configuration, its warnings printed on standard error.
pub fn configuration(source: &Source) -> Result<Config, Failure> {
    loaded(load(source))
}

/// The same of what has been loaded.
pub fn loaded(loaded: Result<Loaded, Report>) -> Result<Config, Failure> {
    match loaded {
        Ok(loaded) => {
            warn(&loaded.warnings);
            Ok(loaded.config)
        }
        Err(report) => Err(failure(&report)),
    }
}

/// Prints warnings on standard error.
pub fn warn(warnings: &Report) {
    if !warnings.is_empty() {
        // Nobody is left to tell if this cannot be printed.
        let _ = writeln!(std::io::stderr(), "{}\n", warnings.render(color()));
    }
}

/// What ends a command whose configuration cannot be used.
pub fn failure(report: &Report) -> Failure {
    let count = match report.errors() {
        1 => "an error".to_owned(),
        many => format!("{many} errors"),
    };
    Failure::new(Status::Config, format!("{count} in the configuration\n\n{}", report.render(color())))
}

/// Colors only where a person looks on, and may be had without (`NO_COLOR`).
fn color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
