//! `hushfs env`: a secret's keys, as some program reads variables.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use zeroize::Zeroizing;

use super::{Failure, Status, print, variables};
use crate::config::Source;

/// Print the keys of a secret as environment variables
///
/// What is printed are the values: mind where it goes.
#[derive(Debug, clap::Args)]
pub struct Env {
    /// The secret, as it is called below the mountpoint
    #[arg(value_name = "SCOPE/NAME")]
    secret: OsString,
    /// Who is to read it
    #[arg(long, value_enum, default_value_t = Format::Sh)]
    format: Format,
    /// The mount to read from, instead of the configured mountpoint, or the only one there is
    #[arg(long, env = "HUSHFS_MOUNTPOINT", value_name = "DIR")]
    mountpoint: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A POSIX shell: eval "$(hushfs env …)"
    Sh,
    /// Readers of .env files: the secret's file .env
    Dotenv,
    /// docker run --env-file
    Docker,
    /// The secret's file .json
    Json,
    /// systemd's EnvironmentFile=: the secret's file .env
    Systemd,
}

impl Env {
    pub fn run(self, source: &Source) -> Result<ExitCode, Failure> {
        let mountpoint = variables::mountpoint(self.mountpoint, source)?;
        let file =
            |name| variables::directory(&mountpoint, &self.secret).and_then(|place| variables::read(&place.join(name)));
        let text = match self.format {
            Format::Dotenv | Format::Systemd => file(".env")?,
            Format::Json => {
                let mut text = file(".json")?;
                text.push(b'\n');
                text
            }
            Format::Sh | Format::Docker => {
                let mut unread = variables::Unread::default();
                unread.add_secret(&mountpoint, &self.secret)?;
                let variables::Variables { all, left_out } = unread.read()?;
                for variables::LeftOut { key, why, .. } in left_out {
                    // Nobody is left to tell if this cannot be printed.
                    let _ = writeln!(io::stderr(), "hushfs: the key {key} is left out: {why}");
                }
                let mut text = Zeroizing::new(Vec::new());
                for variable in all {
                    match self.format {
                        Format::Docker => docker(&mut text, &variable)?,
                        _ => shell(&mut text, &variable),
                    }
                }
                text
            }
        };
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// In single quotes nothing means anything but the quote that ends them.
fn shell(text: &mut Vec<u8>, variable: &variables::Variable) {
    text.extend_from_slice(b"export ");
    text.extend_from_slice(variable.name.as_bytes());
    text.extend_from_slice(b"='");
    for (number, piece) in variable.value.split(|byte| *byte == b'\'').enumerate() {
        if number > 0 {
            text.extend_from_slice(br"'\''");
        }
        text.extend_from_slice(piece);
    }
    text.extend_from_slice(b"'\n");
}

/// Docker takes a line as it is, and knows no quotes.
fn docker(text: &mut Vec<u8>, variable: &variables::Variable) -> Result<(), Failure> {
    if variable.value.contains(&b'\n') || variable.value.contains(&b'\r') {
        let why = format!(
            "{} has a line break, which docker's --env-file cannot hold; mount the file itself: \
             docker run -v MOUNTPOINT:MOUNTPOINT:ro,rslave",
            variable.name
        );
        return Err(Failure::new(Status::Data, why));
    }
    text.extend_from_slice(variable.name.as_bytes());
    text.push(b'=');
    text.extend_from_slice(&variable.value);
    text.push(b'\n');
    Ok(())
}
