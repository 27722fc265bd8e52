//! `hushfs store import FILE|-`

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{FormatArg, input, note, shown};
use crate::cli::{Failure, Status};
use crate::provider::local::{FileFormat, Replace, Store};

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file; `-` for standard input
    file: PathBuf,
    /// The secret's name; by default the file's, without .json, .yaml or .env
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What the value is; by default what the file's extension says
    #[arg(long)]
    format: Option<FormatArg>,
    /// Replace a secret that has the name
    #[arg(long)]
    force: bool,
}

pub fn run(store: &Store, args: ImportArgs) -> Result<(), Failure> {
    let from_stdin = args.file == Path::new("-");
    let (default_name, extension) = match args.file.file_name().map(|name| name.to_str()) {
        _ if from_stdin => (None, FileFormat::Bytes),
        Some(Some(file)) => {
            let (name, format) = FileFormat::of(file);
            (Some(name), format)
        }
        _ => (None, FileFormat::Bytes),
    };
    let format = args.format.map_or(extension, FileFormat::from);
    let Some(name) = args.name.as_deref().or(default_name) else {
        return Err(Failure::new(Status::Usage, "which name? Give --name NAME"));
    };
    let what = if from_stdin { "standard input".to_owned() } else { args.file.display().to_string() };
    let value = if from_stdin {
        input::value(name, store.max)?
    } else {
        let file = File::open(&args.file).map_err(|error| {
            let status = match error.kind() {
                std::io::ErrorKind::PermissionDenied => Status::NoPermission,
                _ => Status::NoInput,
            };
            Failure::new(status, format!("{what} cannot be read: {error}"))
        })?;
        input::read_all(file, &what, store.max)?
    };
    if is_age_file(value.expose()) {
        return Err(Failure::new(
            Status::Data,
            format!(
                "{what} is an age file already: if it is encrypted to the store's recipient, copy it into the folder"
            ),
        ));
    }
    let value = store.validate(format, value, &what)?;
    let replace = if args.force { Replace::Anything } else { Replace::Nothing };
    store.lock()?.put(name, format, value.expose(), replace).map_err(|error| {
        let failure = Failure::from(error);
        match failure.status {
            Status::CannotCreate => Failure::new(failure.status, format!("{failure}; --force replaces it")),
            _ => failure,
        }
    })?;
    if !from_stdin {
        note(&format!("imported as `{}`; {what} still holds the plaintext", shown(name)));
    }
    Ok(())
}

fn is_age_file(bytes: &[u8]) -> bool {
    bytes.starts_with(b"age-encryption.org/v1\n") || bytes.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----")
}
