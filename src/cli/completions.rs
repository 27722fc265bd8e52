//! `hushfs completions`: what packages install for shells.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::output::print;
use super::{Cli, Failure};

/// Print a shell's completion script
///
/// For example: hushfs completions bash > /usr/share/bash-completion/completions/hushfs
#[derive(Debug, clap::Args)]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    pub fn run(&self) -> Result<ExitCode, Failure> {
        // Into memory first: the generator panics where it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "hushfs", &mut script);
        print(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
