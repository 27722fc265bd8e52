//! `hushfs status`: what the daemon tells of itself, once or as it goes on.

mod rates;
mod screen;
mod text;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::{Failure, Status as Exit, configuration, json, print};
use crate::config::Source;
use crate::control::{self, ClientError, Request, Response, Status};

pub(super) use crate::words::escaped;

/// The longest time between two looks, in seconds: a day.
const LONGEST: f64 = 86_400.0;
/// The shortest, as `watch` has it.
const SHORTEST: f64 = 0.1;

/// Show scopes, providers' health, the cache, ages and calls, and what could not be shown
#[derive(Debug, clap::Args)]
pub struct StatusCommand {
    /// The mount to ask about, instead of the configured mountpoint
    #[arg(long, value_name = "DIR")]
    mountpoint: Option<PathBuf>,
    /// For machines; with --watch a line each time
    #[arg(long)]
    json: bool,
    /// Look again and again, every 2 seconds or so many, until ^C, and show how fast counts grow
    ///
    /// Goes on while the daemon is down or started anew. What is written to a pipe or a file is not a screen but one
    /// text after the other.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = interval)]
    watch: Option<Duration>,
}

impl StatusCommand {
    pub fn run(self, source: &Source) -> Result<ExitCode, Failure> {
        let mountpoint = match self.mountpoint {
            Some(mountpoint) => mountpoint,
            None => configuration(source)?.mountpoint,
        };
        if let Some(interval) = self.watch {
            return watch::run(mountpoint, interval, self.json);
        }
        let status = ask(&mountpoint)?.ok_or_else(another_question)?;
        let text = if self.json { json::pretty(&status)? } else { text::for_people(&status, None) };
        print(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// None where the daemon answers something else.
fn ask(mountpoint: &Path) -> Result<Option<Box<Status>>, ClientError> {
    Ok(match control::ask(mountpoint, &Request::Status)? {
        Response::Status(status) => Some(status),
        Response::Why(_)
        | Response::Refreshed(_)
        | Response::Flushed(_)
        | Response::Readers(_)
        | Response::Reloaded(_)
        | Response::NoSuch { .. }
        | Response::Refused { .. } => None,
    })
}

fn another_question() -> Failure {
    Failure::new(Exit::Software, "the daemon answered another question")
}

fn interval(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (SHORTEST..=LONGEST).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("expected seconds, {SHORTEST} to {LONGEST}")),
    }
}
