//! `hushfs check`: judges the configuration, and with `--online` asks the providers what they think of it.

use std::fmt::Write;
use std::process::ExitCode;

use serde::Serialize;

use super::configuration::{failure, warn};
use super::output::print;
use super::status::escaped;
use super::undumpable::hide;
use super::{Failure, Status};
use crate::config::{Config, Entry, Report, Source, load};
use crate::doctor::online::{self, Answer, Finding, NOT_ASKED};
use crate::words::counted;

/// Judge the configuration
///
/// Prints `ok` and the number of scopes, and on standard error what should give pause. A configuration
/// that cannot be used ends it with status 78 and everything that is wrong, with file, line and column.
/// Online, the status is 69 where a provider could not be asked, and 77 where one would refuse what is granted.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Ask each provider who it takes us for, as each identity, and what of the configured access it would refuse
    ///
    /// Of each one secret is read in truth, and dropped. A provider whose login takes something that can be used once is
    /// not asked. Run it as the user who runs the daemon, with the same environment: it finds its credentials as the
    /// daemon does.
    #[arg(long)]
    online: bool,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    online: Option<Vec<Finding>>,
}

impl Check {
    pub fn run(&self, source: &Source) -> Result<ExitCode, Failure> {
        let loaded = match load(source) {
            Ok(loaded) => loaded,
            Err(report) if self.json => {
                print_json(false, Vec::new(), &report, None)?;
                return Ok(ExitCode::from(Status::Config as u8));
            }
            Err(report) => return Err(failure(&report)),
        };
        let scopes: Vec<&str> = loaded.config.scopes.keys().map(|name| name.as_str()).collect();
        let findings = if self.online { Some(ask(&loaded.config)?) } else { None };
        let status = findings.as_deref().map_or(ExitCode::SUCCESS, status);
        if self.json {
            print_json(true, scopes, &loaded.warnings, findings)?;
        } else {
            warn(&loaded.warnings);
            let mut text = format!("ok: {}\n", counted(scopes.len(), "scope"));
            findings.iter().flatten().for_each(|finding| describe(&mut text, finding));
            print(text.as_bytes())?;
        }
        Ok(status)
    }
}

fn print_json(ok: bool, scopes: Vec<&str>, report: &Report, online: Option<Vec<Finding>>) -> Result<(), Failure> {
    let outcome = Outcome { ok, scopes, errors: report.errors(), diagnostics: report.entries(), online };
    let mut text = serde_json::to_vec_pretty(&outcome)
        .map_err(|error| Failure::new(Status::Software, format!("the outcome cannot be written as JSON: {error}")))?;
    text.push(b'\n');
    print(&text)
}

fn ask(config: &Config) -> Result<Vec<Finding>, Failure> {
    // Of each provider it reads a value.
    hide()?;
    let os = |error: std::io::Error| Failure::new(Status::Os, format!("the runtime cannot be started: {error}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(os)?;
    let found = runtime.block_on(online::ask(config));
    // A call that hangs does not keep the command.
    runtime.shutdown_background();
    found.map_err(|(scope, error)| Failure::new(Status::Config, format!("scope `{scope}`: {error}")))
}

fn status(findings: &[Finding]) -> ExitCode {
    if findings.iter().any(|finding| !finding.is_reached()) {
        ExitCode::from(Status::Unavailable as u8)
    } else if findings.iter().any(Finding::refuses) {
        ExitCode::from(Status::NoPermission as u8)
    } else {
        ExitCode::SUCCESS
    }
}

fn describe(text: &mut String, finding: &Finding) {
    let mut line = |words: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", escaped(&words));
    };
    let identity = finding.identity.as_ref().map_or_else(String::new, |identity| format!(" as {identity}"));
    let user = finding.user.map_or_else(String::new, |uid| format!(" for uid {uid}"));
    line(String::new());
    line(format!("{} ({}){identity}{user}", finding.scope, finding.provider));
    match &finding.whoami {
        Answer::Ok(whoami) => line(format!("  it takes us for {whoami}")),
        Answer::Failed { kind: NOT_ASKED, why } => line(format!("  NOT ASKED: {why}")),
        Answer::Failed { kind, why } => line(format!("  NOT REACHED ({kind}): {why}")),
    }
    match &finding.list {
        Answer::Ok(secrets) if finding.whoami.is_ok() => {
            let (secrets, granted) = (counted(*secrets, "secret"), finding.granted);
            let are = if granted == 1 { "is" } else { "are" };
            line(format!("  it lists {secrets}, of which {granted} {are} granted to callers like that"));
        }
        Answer::Ok(_) => {}
        Answer::Failed { kind, why } => line(format!("  NOT LISTED ({kind}): {why}")),
    }
    for refused in &finding.refused {
        line(format!("  WOULD REFUSE {}: {}", refused.secret, refused.why));
    }
    if let Some(because) = finding.unknown_because.as_ref().filter(|_| finding.unknown > 0) {
        line(format!("  of {} it does not say in advance: {because}", finding.unknown));
    }
    match &finding.read {
        None => {}
        Some(Answer::Ok(secret)) => line(format!("  it gave {secret}, which was dropped")),
        Some(Answer::Failed { kind, why }) => line(format!("  REFUSED TO GIVE ONE ({kind}): {why}")),
    }
}
