//! `hushfs exec`: a command with secrets in its environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use super::variables::{self, LeftOut, Unread, Variable, Variables};
use super::{Failure, Status};
use crate::config::Source;

/// Run a command with the keys of secrets as environment variables
///
/// Takes the place of hushfs, so that its status and signals are the command's own. Keys are read as the caller of this,
/// of one and the same version of each secret. A file can be opened anew after a rotation, an environment cannot; and
/// other processes of the same user can see it.
#[derive(Debug, clap::Args)]
pub struct Exec {
    /// Every key of a secret by its own name; or VARIABLE=SCOPE/NAME/KEY for one key
    #[arg(long = "secret", value_name = "SCOPE/NAME", required = true)]
    secrets: Vec<OsString>,
    /// The mount to read from, instead of the configured mountpoint, or the only one there is
    #[arg(long, env = "HUSHFS_MOUNTPOINT", value_name = "DIR")]
    mountpoint: Option<PathBuf>,
    /// The command and its arguments, after `--`
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// As shells do where a command is not there, and where it cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

impl Exec {
    pub fn run(self, source: &Source) -> Result<ExitCode, Failure> {
        let mountpoint = variables::mountpoint(self.mountpoint, source)?;
        let mut unread = Unread::default();
        for secret in &self.secrets {
            match variables::pair(secret) {
                Some((name, file)) => unread.add_file(&mountpoint, &name, &file)?,
                None => unread.add_secret(&mountpoint, secret)?,
            }
        }
        let Variables { all, left_out } = unread.read()?;
        for LeftOut { key, secret, why } in left_out {
            // Nobody is left to tell if this cannot be printed.
            let _ = writeln!(io::stderr(), "hushfs: the key {key} of {} is left out: {why}", secret.display());
        }
        let mut environment: BTreeMap<String, Variable> = BTreeMap::new();
        for variable in all {
            if let Some(earlier) = environment.get(&variable.name) {
                let Variable { name, file, .. } = &variable;
                let text = format!("{name} is given twice: by {} and by {}", earlier.file.display(), file.display());
                return Err(Failure::new(Status::Usage, text));
            }
            environment.insert(variable.name.clone(), variable);
        }
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(Failure::new(Status::Usage, "there is no command"));
        };
        let mut command = Command::new(program);
        command.args(arguments);
        for variable in environment.values() {
            command.env(&variable.name, OsStr::from_bytes(&variable.value));
        }
        // Comes back only if it failed.
        let error = command.exec();
        let _ = writeln!(io::stderr(), "hushfs: cannot run {}: {error}", program.display());
        let status = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
        Ok(ExitCode::from(status))
    }
}
