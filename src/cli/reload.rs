//! `hushfs reload`: another configuration for a mount that lives.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::configuration::failure;
use super::status::escaped;
use super::{Failure, Status as Exit, json, print};
use crate::config::{Source, load};
use crate::control::{self, ClientError, ReloadChanges, ReloadOutcome, Reloaded, Request, Response, TableChanges};
use crate::words::{escaped_lines, one_is_at};

/// Have the daemon apply its configuration anew
///
/// The whole of it or nothing: where anything is wrong, everything stays as it was, and the status is 78, as it is where
/// the mountpoint, allow_other or the control socket is another, which takes a restart. Scopes that are what they were
/// keep what is in memory; files that are open stay. When the command is over, nobody gets what only the configuration
/// before gave, and what the kernel remembered is taken back. The daemon reads the file that it was started with. Only
/// root and the user who runs the daemon may ask.
#[derive(Debug, clap::Args)]
pub struct Reload {
    /// The mount, instead of the configured mountpoint
    #[arg(long, value_name = "DIR")]
    mountpoint: Option<PathBuf>,
    /// For machines
    #[arg(long)]
    json: bool,
}

impl Reload {
    pub fn run(self, source: &Source) -> Result<ExitCode, Failure> {
        let answer = match self.mountpoint {
            Some(mountpoint) => control::ask(&mountpoint, &Request::Reload)?,
            None => {
                // What should give pause is the daemon's to say.
                let mountpoint = load(source).map_err(|report| failure(&report))?.config.mountpoint;
                control::ask(&mountpoint, &Request::Reload).map_err(maybe_mounted_elsewhere)?
            }
        };
        let Response::Reloaded(reloaded) = answer else {
            return Err(Failure::new(Exit::Software, "the daemon answered another question"));
        };
        let status = match reloaded.outcome {
            ReloadOutcome::Applied => None,
            ReloadOutcome::Wrong | ReloadOutcome::NeedsRestart => Some(Exit::Config),
            ReloadOutcome::Failed => Some(Exit::Os),
        };
        if self.json {
            print(json::pretty(&reloaded)?.as_bytes())?;
            return Ok(status.map_or(ExitCode::SUCCESS, |status| ExitCode::from(status as u8)));
        }
        match status {
            Some(status) => Err(Failure::new(status, refused(&reloaded))),
            None => {
                if !reloaded.report.is_empty() {
                    // Nobody is left to tell if this cannot be printed.
                    let _ =
                        std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{}\n\n", report_of(&reloaded)));
                }
                print(for_people(&reloaded.changes).as_bytes())?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// The configuration may have another mountpoint than when the daemon was started.
fn maybe_mounted_elsewhere(error: ClientError) -> Failure {
    match error {
        ClientError::NotMounted(at, others) if !others.is_empty() => {
            let why = format!(
                "nothing is reloaded: no hushfs is mounted at {}, where the configuration has it, but {}; if that is \
                 where it was, another `mountpoint` takes a restart: systemctl restart hushfs; or put it back, and reload",
                at.display(),
                one_is_at(&others)
            );
            Failure::new(Exit::Config, why)
        }
        error => error.into(),
    }
}

fn refused(reloaded: &Reloaded) -> String {
    let why = reloaded.message.as_deref().unwrap_or("the daemon does not say why");
    let text = format!("nothing is reloaded, everything stays as it was: {}", escaped(why));
    if reloaded.report.is_empty() { text } else { format!("{text}\n\n{}", report_of(reloaded)) }
}

/// It shows lines of files.
fn report_of(reloaded: &Reloaded) -> String {
    escaped_lines(&reloaded.report)
}

fn for_people(changes: &ReloadChanges) -> String {
    let mut text = String::new();
    let mut line = |word: &str, what: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{word:<9} {}", escaped(what));
    };
    let scopes = &changes.scopes;
    let words = [
        ("added", &scopes.added),
        ("changed", &scopes.changed),
        ("adjusted", &scopes.adjusted),
        ("removed", &scopes.removed),
    ];
    for (word, names) in words {
        names.iter().for_each(|name| line(word, &format!("scope {name}")));
    }
    let mut tables = |kind: &str, tables: &TableChanges| {
        tables.added.iter().for_each(|place| line("added", &format!("{kind} at {place}")));
        tables.removed.iter().for_each(|place| line("removed", &format!("{kind} that was at {place}")));
        if tables.reordered {
            line("changed", &format!("the order of each {kind}"));
        }
    };
    tables("grant", &changes.grants);
    tables("identity", &changes.identities);
    for (is_changed, what) in
        [(changes.root, "what root may"), (changes.max_bytes, "max_bytes"), (changes.audit, "the audit log")]
    {
        if is_changed {
            line("changed", what);
        }
    }
    let kept = match scopes.unchanged {
        0 => String::new(),
        _ => format!("; {}", scopes.kept()),
    };
    let done = if changes.is_empty() { ": nothing is another than before" } else { &kept };
    let _ = writeln!(text, "reloaded{done}");
    text
}
