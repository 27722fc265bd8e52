//! The command line: one file per command.

mod check;
mod completions;
mod configuration;
mod doctor;
mod env;
mod exec;
mod exit;
mod flush;
mod guard;
mod json;
mod man;
mod mount;
mod output;
mod place;
mod readers;
mod refresh;
mod reload;
mod status;
#[cfg(feature = "local")]
mod store;
mod undumpable;
mod unmount;
mod variables;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand};

pub use configuration::configuration;
pub use exit::{Failure, Status};
pub use output::print;

use crate::config::Source;

/// Mounts secrets as files.
#[derive(Debug, Parser)]
#[command(name = "hushfs", version, about, propagate_version = true)]
pub struct Cli {
    /// The configuration file, instead of /etc/hushfs/hushfs.toml and /etc/hushfs/conf.d/*.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Mount(mount::Mount),
    Unmount(unmount::Unmount),
    Status(status::StatusCommand),
    Check(check::Check),
    Doctor(doctor::Doctor),
    Why(why::Why),
    Exec(exec::Exec),
    Env(env::Env),
    Refresh(refresh::Refresh),
    Flush(flush::Flush),
    Readers(readers::Readers),
    Reload(reload::Reload),
    #[command(hide = true)]
    Guard(guard::Guard),
    Completions(completions::Completions),
    Man(man::Man),
    /// The local encrypted store: a folder of age-encrypted files
    #[cfg(feature = "local")]
    Store(store::StoreArgs),
}

/// Runs one command and turns its outcome into an exit status (`sysexits.h` where one fits).
pub fn main() -> ExitCode {
    if crate::fs::events::toucher::is_meant() {
        return crate::fs::events::toucher::main();
    }
    if crate::broker::is_meant() {
        return crate::broker::main();
    }
    #[cfg(debug_assertions)]
    if crate::sandbox::hostile::is_meant() {
        return crate::sandbox::hostile::main();
    }
    // In every command: those of the store hold values too.
    crate::telemetry::silence_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => return not_a_command(answer),
    };
    match run(cli) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let source = Source::new(cli.config.as_deref());
    match cli.command {
        Command::Mount(mount) => mount.run(&source),
        Command::Unmount(unmount) => unmount.run(&source),
        Command::Status(status) => status.run(&source),
        #[cfg(feature = "local")]
        Command::Store(args) => store::run(args, &source),
        Command::Check(check) => check.run(&source),
        Command::Doctor(doctor) => doctor.run(&source),
        Command::Why(why) => why.run(),
        Command::Exec(exec) => exec.run(&source),
        Command::Env(env) => env.run(&source),
        Command::Refresh(refresh) => refresh.run(&source),
        Command::Flush(flush) => flush.run(&source),
        Command::Readers(readers) => readers.run(),
        Command::Reload(reload) => reload.run(&source),
        Command::Guard(guard) => guard.run(),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
    }
}

/// Help and version, which were asked for, or what is wrong with the command line.
fn not_a_command(mut answer: clap::Error) -> ExitCode {
    // A value given to a flag that takes none (`store set --json=…`) may be a secret.
    if answer.kind() == clap::error::ErrorKind::TooManyValues {
        answer.insert(ContextKind::InvalidValue, ContextValue::String("…".to_owned()));
    }
    // Nobody is left to tell if this cannot be printed.
    let _ = answer.print();
    if answer.use_stderr() { ExitCode::from(Status::Usage as u8) } else { ExitCode::SUCCESS }
}
