//! Standard output that may go away.

use std::io::{ErrorKind, Write};

use super::{Failure, Status};

/// Writes everything, or fails; a reader that has seen enough (`| head`) is no failure.
pub fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Status::Io, format!("standard output cannot be written to: {error}")))
        }
        _ => Ok(()),
    }
}
