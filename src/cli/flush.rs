//! `hushfs flush`: forget and wipe what is in memory.

use std::path::PathBuf;
use std::process::ExitCode;

use super::place::Place;
use super::{Failure, Status as Exit, json, print};
use crate::config::Source;
use crate::control::{self, Flushed, Request, Response};

/// Forget and wipe what is in memory
///
/// Values, listings, refusals and what is expected of permissions, at and below PATH: whatever is asked for next is
/// asked of the provider. A file that is open keeps its value, in memory too, until it is closed. Where a provider
/// does not answer there is then no last good value to serve. No provider is asked whether there is anything by that
/// name: of one that is not known it is said, and the status is 0. Only root and the user who runs the daemon may ask.
#[derive(Debug, clap::Args)]
pub struct Flush {
    /// A file, a secret, a folder of secrets, a scope or the mountpoint; without it the whole mount
    path: Option<PathBuf>,
    /// The mount, where no PATH is given, instead of the configured mountpoint
    #[arg(long, value_name = "DIR", conflicts_with = "path")]
    mountpoint: Option<PathBuf>,
    /// For machines
    #[arg(long)]
    json: bool,
}

impl Flush {
    pub fn run(self, source: &Source) -> Result<ExitCode, Failure> {
        let place = Place::of_all(self.path.as_deref(), self.mountpoint, source)?;
        let answer = control::ask(&place.mountpoint, &Request::Flush { names: place.names })?;
        let Response::Flushed(flushed) = answer else {
            return Err(Failure::new(Exit::Software, "the daemon answered another question"));
        };
        let text = if self.json { json::pretty(&flushed)? } else { for_people(&flushed) + "\n" };
        print(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn for_people(flushed: &Flushed) -> String {
    let values = match flushed.values {
        1 => "1 value is".to_owned(),
        many => format!("{many} values are"),
    };
    let open = match flushed.open {
        0 => String::new(),
        1 => "; 1 file is still open and keeps its value until it is closed".to_owned(),
        many => format!("; {many} files are still open and keep their values until they are closed"),
    };
    let unknown = if flushed.unknown { "; nothing is known here by that name: is it right?" } else { "" };
    format!("{values} wiped from memory{open}{unknown}")
}
