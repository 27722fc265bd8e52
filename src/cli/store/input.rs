//! Values come in through standard input or a prompt, never through arguments.

use std::io::{IsTerminal, Read};

use zeroize::Zeroizing;

use super::terminal::Hidden;
use crate::cli::{Failure, Status};
use crate::secret::{Secret, SecretWriter};

/// The exact bytes of standard input; on a terminal, a line typed twice without echo.
pub fn value(what: &str, max: u64) -> Result<Secret, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return prompted(what);
    }
    // Not through `Stdin`, whose buffer is never wiped.
    let file = rustix::io::dup(&stdin).map_err(|errno| unreadable("standard input", &errno.into()))?;
    read_all(std::fs::File::from(file), "standard input", max)
}

/// Everything that `from` gives, up to `max` bytes.
pub fn read_all(mut from: impl Read, what: &str, max: u64) -> Result<Secret, Failure> {
    let mut buffer = Zeroizing::new(vec![0; 16 * 1024]);
    let mut value = SecretWriter::new();
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(value.finish()),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(what, &error)),
        };
        value.push(&buffer[..count]).map_err(|error| unreadable(what, &error))?;
        if value.len() as u64 > max {
            return Err(Failure::new(Status::Data, format!("{what} is larger than max_secret_bytes ({max} bytes)")));
        }
    }
}

fn unreadable(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Status::Io, format!("cannot read {what}: {error}"))
}

fn prompted(what: &str) -> Result<Secret, Failure> {
    let broken = |error: std::io::Error| unreadable("the terminal", &error);
    let hidden = Hidden::new().map_err(broken)?;
    let mut value = Zeroizing::new(hidden.line(&format!("Value of {what}: ")).map_err(broken)?);
    let again = Zeroizing::new(hidden.line("The same again: ").map_err(broken)?);
    drop(hidden);
    if *value != *again {
        return Err(Failure::new(Status::Data, "the two entries differ; nothing was changed"));
    }
    let value = std::mem::take(&mut *value);
    Secret::from_string(value).map_err(|error| Failure::new(Status::Os, format!("no memory for the value: {error}")))
}
