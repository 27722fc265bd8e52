//! `hushfs refresh`: fetch anew what is in memory.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::place::Place;
use super::status::escaped;
use super::{Failure, Status as Exit, json, print};
use crate::config::Source;
use crate::control::{self, Outcome, RefreshError, RefreshedValue, Request, Response};
use crate::provider::ErrorKind;

/// Fetch anew what is in memory, before its time is over
///
/// Asks the providers for every value at and below PATH that is in memory, as every identity, and waits for the
/// answers. From then on a file that is opened has the new version; one that is open keeps what it had. New secrets
/// and keys are seen at once. What a provider refuses, or does not have any more, is taken away; where one does not
/// answer, the last good value is served as before, and the status is 69. It is 77 where one refuses. What is not in
/// memory is not fetched; that there is something by that name is asked for, and the status is 66 where there is not. Only
/// root and the user who runs the daemon may ask.
#[derive(Debug, clap::Args)]
pub struct Refresh {
    /// A file, a secret, a folder of secrets, a scope or the mountpoint; without it the whole mount
    path: Option<PathBuf>,
    /// The mount, where no PATH is given, instead of the configured mountpoint
    #[arg(long, value_name = "DIR", conflicts_with = "path")]
    mountpoint: Option<PathBuf>,
    /// For machines
    #[arg(long)]
    json: bool,
}

impl Refresh {
    pub fn run(self, source: &Source) -> Result<ExitCode, Failure> {
        let place = Place::of_all(self.path.as_deref(), self.mountpoint, source)?;
        let answer = control::ask(&place.mountpoint, &Request::Refresh { names: place.names })?;
        let Response::Refreshed(refreshed) = answer else {
            return Err(Failure::new(Exit::Software, "the daemon answered another question"));
        };
        let unknown = refreshed.unknown.as_ref();
        let text = if self.json { json::pretty(&refreshed)? } else { for_people(&refreshed.values, unknown) };
        print(text.as_bytes())?;
        Ok(match unknown {
            Some(error) if refuses(&error.kind) => ExitCode::from(Exit::NoPermission as u8),
            Some(_) => ExitCode::from(Exit::Unavailable as u8),
            None => status(&refreshed.values),
        })
    }
}

fn refuses(kind: &str) -> bool {
    [ErrorKind::Denied, ErrorKind::CredentialsRejected].iter().any(|refusal| kind == refusal.as_str())
}

/// The worst that came of it.
fn status(values: &[RefreshedValue]) -> ExitCode {
    let any = |outcome| values.iter().any(|value| value.outcome == outcome);
    if any(Outcome::Failed) {
        ExitCode::from(Exit::Unavailable as u8)
    } else if any(Outcome::Refused) {
        ExitCode::from(Exit::NoPermission as u8)
    } else {
        ExitCode::SUCCESS
    }
}

fn for_people(values: &[RefreshedValue], unknown: Option<&RefreshError>) -> String {
    if let Some(RefreshError { kind, detail }) = unknown {
        return format!(
            "nothing of it was in memory, and whether it is there is not known: {}: {}\n",
            escaped(kind),
            escaped(detail)
        );
    }
    let mut text = String::new();
    // Writing to a String cannot fail.
    for value in values {
        let _ = writeln!(text, "{}", line(value));
    }
    let count = |outcome| values.iter().filter(|value| value.outcome == outcome).count();
    let mut parts = vec![match values.len() {
        0 => "nothing of it was in memory; it is fetched when it is read".to_owned(),
        1 => "1 value".to_owned(),
        many => format!("{many} values"),
    }];
    let counted = [
        (Outcome::Changed, "changed"),
        (Outcome::Unchanged, "unchanged"),
        (Outcome::Gone, "gone"),
        (Outcome::Refused, "refused"),
        (Outcome::Failed, "failed"),
    ];
    let counted = counted.into_iter().map(|(outcome, word)| (count(outcome), word)).filter(|(count, _)| *count > 0);
    parts.extend(counted.map(|(count, word)| format!("{count} {word}")));
    let _ = writeln!(text, "{}", parts.join(", "));
    text
}

fn line(value: &RefreshedValue) -> String {
    let user = value.user.map_or_else(String::new, |uid| format!(" for uid {uid}"));
    let identity = value.identity.as_ref().map_or_else(String::new, |name| format!(" as {}{user}", escaped(name)));
    let before = escaped(&value.before);
    let told = |error: &RefreshError| format!("{}: {}", escaped(&error.kind), escaped(&error.detail));
    let why = value.error.as_ref().map_or_else(String::new, told);
    let what = match value.outcome {
        Outcome::Changed => format!("{before} -> {}", escaped(value.after.as_deref().unwrap_or("?"))),
        Outcome::Unchanged => before,
        Outcome::Gone => format!("{before} -> nothing"),
        Outcome::Refused => format!("{before} -> nothing: {why}"),
        Outcome::Failed => format!("{before} is kept: {why}"),
    };
    let word = match value.outcome {
        Outcome::Changed => "changed",
        Outcome::Unchanged => "unchanged",
        Outcome::Gone => "gone",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
    };
    format!("{word:<9} {}{identity}: {what}", escaped(&value.path))
}
