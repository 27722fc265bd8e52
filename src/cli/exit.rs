//! How a command fails: a message for people and an exit status for scripts.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use crate::control::ClientError;

/// Keeps what the manual says of a status and the status itself in one place.
macro_rules! documented {
    ($(#[$of_type:meta])* pub enum $name:ident { $(#[doc = $meaning:literal] $status:ident = $number:literal,)* }) => {
        $(#[$of_type])*
        pub enum $name { $(#[doc = $meaning] $status = $number,)* }

        impl $name {
            /// Every status with its meaning.
            pub const ALL: &[(Self, &str)] = &[$((Self::$status, $meaning.trim_ascii_start()),)*];
        }
    };
}

documented! {
/// The statuses of `sysexits.h` that hushfs uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// The command line is wrong (EX_USAGE).
    Usage = 64,
    /// Input that cannot be used, such as a file that is not what it should be (EX_DATAERR).
    Data = 65,
    /// A file or secret that is not there (EX_NOINPUT).
    NoInput = 66,
    /// A service or daemon that does not answer (EX_UNAVAILABLE).
    Unavailable = 69,
    /// Something that should not happen (EX_SOFTWARE).
    Software = 70,
    /// The operating system refuses (EX_OSERR).
    Os = 71,
    /// An output file cannot be made (EX_CANTCREAT).
    CannotCreate = 73,
    /// Reading or writing failed (EX_IOERR).
    Io = 74,
    /// Not permitted (EX_NOPERM).
    NoPermission = 77,
    /// The configuration is wrong (EX_CONFIG).
    Config = 78,
}
}

/// A command's failure.
#[derive(Debug)]
pub struct Failure {
    pub status: Status,
    /// What happened, to what, why, and what to do. Never a secret. May have several lines.
    pub message: String,
}

impl Failure {
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Prints the message on standard error and gives the exit status.
    pub fn report(self) -> ExitCode {
        // Not eprintln!: it panics where standard error is closed or full, and the status would be lost.
        let _ = writeln!(std::io::stderr(), "hushfs: {}", self.message);
        ExitCode::from(self.status as u8)
    }
}

/// The daemon could not be asked.
impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let status = match &error {
            ClientError::NotMounted(..) | ClientError::Dead(_) | ClientError::Unheard(_) | ClientError::Broken(..) => {
                Status::Unavailable
            }
            ClientError::Refused(_) => Status::NoPermission,
            ClientError::NoSuch(_) => Status::NoInput,
        };
        Self::new(status, error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
