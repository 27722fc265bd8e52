//! `hushfs store`: writes the folders that the provider `local` reads.

mod edit;
mod get;
mod import;
mod init;
mod input;
mod list;
mod memory_folder;
mod object;
mod place;
mod rm;
mod set;
mod terminal;

use std::io::{ErrorKind as IoErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use super::undumpable::hide;
use super::{Failure, Status};
use crate::config::Source;
use crate::provider::local::{FileFormat, WriteError};
use crate::provider::{Error, ErrorKind};

#[derive(Debug, Args)]
pub struct StoreArgs {
    #[command(flatten)]
    place: place::Place,
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Make the folder and, if there is none, an identity
    Init,
    /// Store a value from standard input, or typed at a prompt
    Set(set::SetArgs),
    /// Write a value's exact bytes to standard output
    Get(get::GetArgs),
    /// List the secrets
    List(list::ListArgs),
    /// Remove a secret, or one field of it
    Rm(rm::RmArgs),
    /// Encrypt a file as it is
    Import(import::ImportArgs),
    /// Change a secret in an editor; the plaintext is in memory only
    Edit(edit::EditArgs),
}

/// How a value becomes keys when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    Json,
    Yaml,
    Env,
    Bytes,
}

impl From<FormatArg> for FileFormat {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Json => Self::Json,
            FormatArg::Yaml => Self::Yaml,
            FormatArg::Env => Self::Env,
            FormatArg::Bytes => Self::Bytes,
        }
    }
}

pub fn run(args: StoreArgs, source: &Source) -> Result<ExitCode, Failure> {
    hide()?;
    let store = place::locate(&args.place, source)?;
    if !matches!(args.command, StoreCommand::Init) && !store.settings.path.exists() {
        return Err(Failure::new(
            Status::NoInput,
            format!("there is no folder {}; `hushfs store init` makes it", store.settings.path.display()),
        ));
    }
    match args.command {
        StoreCommand::Init => init::run(&store),
        StoreCommand::Set(args) => set::run(&store, args),
        StoreCommand::Get(args) => get::run(&store, args),
        StoreCommand::List(args) => list::run(&store, args),
        StoreCommand::Rm(args) => rm::run(&store, args),
        StoreCommand::Import(args) => import::run(&store, args),
        StoreCommand::Edit(args) => edit::run(&store, args),
    }?;
    Ok(ExitCode::SUCCESS)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.kind {
            ErrorKind::NotFound => Status::NoInput,
            ErrorKind::Denied | ErrorKind::CredentialsRejected => Status::NoPermission,
            ErrorKind::Throttled | ErrorKind::Unreachable | ErrorKind::TimedOut => Status::Unavailable,
            ErrorKind::TooLarge | ErrorKind::Malformed => Status::Data,
            ErrorKind::NoMemory => Status::Os,
        };
        Self::new(status, error.detail)
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        let status = match &error {
            WriteError::Name(_) => Status::Usage,
            WriteError::Exists(_) => Status::CannotCreate,
            WriteError::Recipients(_) | WriteError::Value(_) => Status::Data,
            WriteError::Io(_, IoErrorKind::PermissionDenied) => Status::NoPermission,
            WriteError::Io(..) => Status::Io,
            WriteError::Read(error) => return error.clone().into(),
        };
        Self::new(status, error.to_string())
    }
}

/// Writes bytes as they are, past the standard library's buffer, which is never wiped.
fn to_stdout(mut bytes: &[u8]) -> Result<(), Failure> {
    let stdout = std::io::stdout();
    if stdout.is_terminal() && !is_text(bytes) {
        return Err(Failure::new(
            Status::Data,
            "the value is not text, and standard output is a terminal; send it to a file or a pipe",
        ));
    }
    while !bytes.is_empty() {
        match rustix::io::write(&stdout, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => {
                let error = std::io::Error::from(errno);
                return Err(Failure::new(Status::Io, format!("cannot write to standard output: {error}")));
            }
        }
    }
    Ok(())
}

/// Safe on a terminal: no control characters but tabs and line ends, so no escape sequences either.
fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| !text.chars().any(|c| c.is_control() && !"\n\r\t".contains(c)))
}

/// A line for people; nobody reads it if it cannot be written.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "hushfs: {text}");
}

/// A name as it can be shown on one line.
fn shown(name: &str) -> String {
    if name.chars().any(char::is_control) { name.escape_debug().to_string() } else { name.to_owned() }
}

/// Asks on the terminal; without one the answer is no.
fn ask(question: &str) -> bool {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return false;
    }
    let _ = write!(std::io::stderr(), "hushfs: {question} [y/N] ");
    let mut answer = String::new();
    stdin.read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}
