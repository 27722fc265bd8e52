//! Files that the configuration names: are they there, and who may touch them?

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::section::Section;
use crate::config::diagnostic::{Diagnostic, quoted};
use crate::config::read::os_message;
use crate::config::suggest::nearest_file;
use crate::config::written::Item;

/// The identity decrypts everything in its scope: nobody but its owner may read or replace it. Its group
/// may read it with a warning, for a daemon that gets its key that way.
pub fn judge_identity(section: &Section<'_>, path: &Path, item: &Item) {
    // Other names are quoted for people and not for a shell, and long ones are cut.
    let is_typed = |scope: &&str| !scope.starts_with('"') && !scope.ends_with('…');
    let scope = section.title().strip_prefix("[scopes.").and_then(|title| title.strip_suffix(']')).filter(is_typed);
    let to_make = scope.map(|scope| format!("`hushfs store init --scope {scope}` makes it"));
    let Some(metadata) = regular_file(section, "identity", to_make, path, item) else { return };
    let mode = metadata.mode() & 0o7777;
    let (severity, what) = if mode & 0o004 != 0 {
        (Diagnostic::error as fn(String) -> Diagnostic, "may be read by every user of this host")
    } else if mode & 0o022 != 0 {
        (Diagnostic::error as fn(String) -> Diagnostic, "may be replaced by others than its owner")
    } else if mode & 0o040 != 0 {
        (Diagnostic::warning as fn(String) -> Diagnostic, "may be read by its group")
    } else {
        return;
    };
    section.add(
        severity(format!("the identity file {what}"))
            .at(item.place.clone())
            .label(format!("its mode is {mode:04o}, expected 0600 or 0400"))
            .help(format!("chmod 600 {}", shell_word(path)))
            .of_a_file(),
    );
}

pub fn judge_ca_file(section: &Section<'_>, path: &Path, item: &Item) {
    let _ = regular_file(section, "ca_file", None, path, item);
}

/// A token, an id or a key at a service. It may be put there later; until then there are no credentials.
pub fn judge_credential(section: &Section<'_>, key: &str, path: &Path, item: &Item) {
    let name = section.name(key);
    let problem = match path.metadata() {
        Ok(metadata) if !metadata.is_file() => {
            Diagnostic::error(format!("{name} is not a regular file")).label("expected a regular file")
        }
        Ok(metadata) if metadata.mode() & 0o006 != 0 => {
            Diagnostic::error(format!("{name} is a file that is open to every user of this host"))
                .label(format!("its mode is {:04o}, expected 0600 or 0400", metadata.mode() & 0o7777))
                .help(format!("chmod 600 {}", shell_word(path)))
        }
        Ok(_) => return,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let warning = Diagnostic::warning(format!("{name} does not exist yet"))
                .label("no such file: the provider refuses us until there is one");
            with_near_file(warning, path)
        }
        Err(error) => Diagnostic::warning(format!("{name} cannot be looked at")).label(os_message(&error)),
    };
    section.add(problem.at(item.place.clone()).of_a_file());
}

/// The folder of a local store. It may be made later: the mount comes up without it.
pub fn judge_store(section: &Section<'_>, path: &Path, item: &Item) {
    let problem = match path.metadata() {
        Ok(metadata) if metadata.is_dir() => return,
        Ok(_) => Diagnostic::error(format!("{} is not a directory", section.name("path")))
            .label("expected the folder of encrypted files"),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let warning = Diagnostic::warning(format!("{} does not exist", section.name("path")))
                .label("no such directory: the scope cannot be reached (EHOSTUNREACH) until there is one");
            with_near_file(warning, path)
        }
        Err(error) => {
            Diagnostic::warning(format!("{} cannot be looked at", section.name("path"))).label(os_message(&error))
        }
    };
    section.add(problem.at(item.place.clone()).of_a_file());
}

/// `to_make`: what to do where it is not there.
fn regular_file(
    section: &Section<'_>,
    key: &str,
    to_make: Option<String>,
    path: &Path,
    item: &Item,
) -> Option<Metadata> {
    let name = section.name(key);
    let problem = match path.metadata() {
        Ok(metadata) if metadata.is_file() => return Some(metadata),
        Ok(metadata) => Diagnostic::error(format!("{name} is not a regular file")).label(if metadata.is_dir() {
            "expected a file, found a directory"
        } else {
            "expected a regular file"
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let problem = Diagnostic::error(format!("{name} does not exist")).label("no such file");
            to_make.into_iter().fold(with_near_file(problem, path), Diagnostic::help)
        }
        Err(error) => Diagnostic::error(format!("{name} cannot be looked at"))
            .label(os_message(&error))
            .help("run this command as the user who runs the daemon"),
    };
    section.add(problem.at(item.place.clone()).of_a_file());
    None
}

fn with_near_file(problem: Diagnostic, path: &Path) -> Diagnostic {
    match nearest_file(path) {
        Some(near) => problem.help(format!("did you mean {}?", quoted(&near.display().to_string()))),
        None => problem,
    }
}

/// A path that can be pasted into a shell.
pub(in crate::config) fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    if text.chars().all(|c| c.is_alphanumeric() || "/._-+@%:,".contains(c)) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
