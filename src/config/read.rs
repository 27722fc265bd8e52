//! Reading a configuration file that may be anything.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, quoted};
use super::place::{SourceFile, line_at};
use super::suggest::nearest_file;
use crate::sandbox;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Reads one file, `order`th of the configuration.
pub fn read(path: &Path, order: usize) -> Result<Arc<SourceFile>, Box<Diagnostic>> {
    let failed = |error: std::io::Error| Box::new(unreadable(path, &error));
    // Non-blocking, so that a FIFO without a writer cannot hang us before it is found out.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let kind = file.metadata().map_err(failed)?.file_type();
    if !kind.is_file() {
        let what = if kind.is_dir() {
            "a directory"
        } else if kind.is_fifo() {
            "a pipe"
        } else {
            "a device or socket"
        };
        return Err(Diagnostic::error(format!("the configuration file is {what}"))
            .in_file(path)
            .note("expected a regular file")
            .help("put a TOML file there, or name another one: --config FILE")
            .into());
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Diagnostic::error("the configuration file is larger than 1MiB")
            .in_file(path)
            .help("is this the right file?")
            .into());
    }
    match String::from_utf8(bytes) {
        // A byte order mark is no text: columns start after it.
        Ok(text) => Ok(Arc::new(SourceFile {
            path: path.to_owned(),
            text: text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text),
            order,
        })),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes().get(..valid).unwrap_or_default()).into_owned();
            let line = line_at(&text, text.len());
            Err(Diagnostic::error("the configuration file is not text in UTF-8")
                .at_point(path, line.number, line.column)
                .help("save the file as UTF-8")
                .into())
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    match error.kind() {
        ErrorKind::NotFound => {
            let what = if path.is_symlink() { "is a link to nothing" } else { "is missing" };
            let diagnostic = Diagnostic::error(format!("the configuration file {what}")).in_file(path);
            match nearest_file(path) {
                Some(near) => diagnostic.help(format!("did you mean {}?", quoted(&near.display().to_string()))),
                None => diagnostic.help("make it, or name another one: --config FILE"),
            }
        }
        ErrorKind::PermissionDenied => {
            let diagnostic = Diagnostic::error("the configuration file may not be read").in_file(path);
            match sandbox::why_withheld(path, error).strip_prefix("; ") {
                Some(withheld) => diagnostic.note(withheld),
                None => diagnostic
                    .note(os_message(error))
                    .help("run hushfs as a user who may read it, or change the file's permissions"),
            }
        }
        _ => Diagnostic::error("the configuration file cannot be read").in_file(path).note(os_message(error)),
    }
}

/// The operating system's words without the number.
pub fn os_message(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
