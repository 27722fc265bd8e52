//! `hushfs doctor`: what would keep hushfs from working here, and the command that mends it.

use std::fmt::Write;
use std::process::ExitCode;

use serde::Serialize;

use super::status::escaped;
use super::undumpable::hide;
use super::{Failure, Status, json, print};
use crate::config::{Config, Source};
use crate::doctor::{Finding, Verdict, of_host, of_providers};
use crate::words::counted;

/// Say what on this host would keep hushfs from working, and what mends it
///
/// Looks at the device, the mount, memory and swap, the clock, proxies, the unit and the configuration, and asks the
/// providers as `hushfs check --online` does. Changes nothing, and needs no daemon. Run it as the user who runs the
/// daemon, with the same environment. Ends with 0 if there is no problem, with 1 if there is one.
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// Ask nobody outside of this host
    #[arg(long)]
    offline: bool,
    /// Print one JSON object on standard output instead
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Outcome {
    /// Is there no problem?
    ok: bool,
    findings: Vec<Finding>,
}

impl Doctor {
    pub fn run(&self, source: &Source) -> Result<ExitCode, Failure> {
        let (mut findings, config) = of_host(source);
        if let Some(config) = config.filter(|config| !self.offline && !config.scopes.is_empty()) {
            findings.extend(ask(&config)?);
        }
        let ok = findings.iter().all(|finding| finding.verdict != Verdict::Problem);
        let text = if self.json { json::pretty(&Outcome { ok, findings })? } else { for_people(&findings) };
        print(text.as_bytes())?;
        Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn ask(config: &Config) -> Result<Vec<Finding>, Failure> {
    // Of each provider it reads a value.
    hide()?;
    let os = |error: std::io::Error| Failure::new(Status::Os, format!("the runtime cannot be started: {error}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(os)?;
    let findings = runtime.block_on(of_providers(config));
    // A call that hangs does not keep the command.
    runtime.shutdown_background();
    Ok(findings)
}

fn for_people(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { check, verdict, what, why, mend } in findings {
        let word = match verdict {
            Verdict::Ok => "ok     ",
            Verdict::Note => "note   ",
            Verdict::Problem => "PROBLEM",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{word}  {check}: {}", escaped(what));
        for line in why.iter().flat_map(|why| why.lines()) {
            let _ = writeln!(text, "         {}", escaped(line));
        }
        if let Some(mend) = mend {
            let _ = writeln!(text, "         -> {}", escaped(mend));
        }
    }
    let count = |wanted| findings.iter().filter(|finding| finding.verdict == wanted).count();
    let (problems, notes) = (count(Verdict::Problem), count(Verdict::Note));
    let _ = writeln!(text, "\n{}, {}", counted(problems, "problem"), counted(notes, "note"));
    text
}
