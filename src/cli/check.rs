//! `hushfs check`: judges the configuration without touching a provider.

use std::process::ExitCode;

use serde::Serialize;

use super::configuration::{failure, warn};
use super::output::print;
use super::{Failure, Status};
use crate::config::{Entry, Report, Source, load};

/// Judge the configuration
///
/// Prints `ok` and the number of scopes, and on standard error what should give pause. A configuration
/// that cannot be used ends it with status 78 and everything that is wrong, with file, line and column.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Print one JSON object on standard output instead
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Outcome<'a> {
    ok: bool,
    scopes: Vec<&'a str>,
    /// How many there are; of very many, not all are in `diagnostics`.
    errors: usize,
    diagnostics: Vec<Entry>,
}

impl Check {
    pub fn run(&self, source: &Source) -> Result<ExitCode, Failure> {
        let loaded = match load(source) {
            Ok(loaded) => loaded,
            Err(report) if self.json => {
                print_json(false, Vec::new(), &report)?;
                return Ok(ExitCode::from(Status::Config as u8));
            }
            Err(report) => return Err(failure(&report)),
        };
        let scopes: Vec<&str> = loaded.config.scopes.keys().map(|name| name.as_str()).collect();
        if self.json {
            print_json(true, scopes, &loaded.warnings)?;
        } else {
            warn(&loaded.warnings);
            let plural = if scopes.len() == 1 { "" } else { "s" };
            print(format!("ok: {} scope{plural}\n", scopes.len()).as_bytes())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print_json(ok: bool, scopes: Vec<&str>, report: &Report) -> Result<(), Failure> {
    let outcome = Outcome { ok, scopes, errors: report.errors(), diagnostics: report.entries() };
    let mut text = serde_json::to_vec_pretty(&outcome)
        .map_err(|error| Failure::new(Status::Software, format!("the outcome cannot be written as JSON: {error}")))?;
    text.push(b'\n');
    print(&text)
}
