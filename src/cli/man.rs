//! `hushfs man`: manual pages made from the command line's own definition.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_mangen::Man as Page;
use clap_mangen::roff::{Roff, bold, roman};

use super::output::print;
use super::{Cli, Failure, Status};

/// Print the manual page, or write a page per command
#[derive(Debug, clap::Args)]
pub struct Man {
    /// Write hushfs.1 and a page per command into this existing directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        match &self.dir {
            None => print(&page(&command).map_err(|error| cannot_make(None, &error))?)?,
            Some(dir) => write_all(&command, dir)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes the page of a command and those of its subcommands.
fn write_all(command: &Command, dir: &Path) -> Result<(), Failure> {
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        write_all(subcommand, dir)?;
    }
    let path = dir.join(Page::new(command.clone()).get_filename());
    page(command).and_then(|text| std::fs::write(&path, text)).map_err(|error| cannot_make(Some(&path), &error))
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    Page::new(command.clone()).manual("hushfs").render(&mut text)?;
    exit_status().to_writer(&mut text)?;
    files().to_writer(&mut text)?;
    Ok(text)
}

fn exit_status() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    roff.control("TP", []).text([bold("0")]).text([roman("It worked.")]);
    for (status, meaning) in Status::ALL {
        roff.control("TP", []).text([bold((*status as u8).to_string())]).text([roman(*meaning)]);
    }
    roff
}

fn files() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["FILES"]);
    for (path, meaning) in [
        ("/etc/hushfs/hushfs.toml", "The configuration."),
        ("/etc/hushfs/conf.d/*.toml", "More of it. Files add to each other; none overrides another."),
    ] {
        roff.control("TP", []).text([bold(path)]).text([roman(meaning)]);
    }
    roff
}

fn cannot_make(path: Option<&Path>, error: &io::Error) -> Failure {
    match path {
        Some(path) => {
            Failure::new(Status::CannotCreate, format!("the manual page {} cannot be made: {error}", path.display()))
        }
        None => Failure::new(Status::Software, format!("the manual page cannot be made: {error}")),
    }
}
